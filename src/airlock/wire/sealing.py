"""Sensitive fields leave the process sealed: taken out of the data, and encrypted together."""

from __future__ import annotations

import binascii
from typing import Any

from airlock.wire.ciphers import Cipher
from airlock.wire.form import Misfit
from airlock.wire.text import Flaw, Limits, Stdlib

__all__ = ["opened", "refuse_clear", "seal"]

_TEXT = Stdlib()


def seal(cipher: Cipher, limits: Limits, secrets: dict[str, Any], kind: str, version: int) -> str:
    """Fields, encrypted for a kind and version.

    Raises:
        Flaw: JSON cannot say them, or they are too large.
    """
    limits.measure(secrets)
    sealed = cipher.encrypt(_TEXT.dumps(secrets), _context(kind, version))
    return binascii.b2a_base64(sealed, newline=False).decode()


def opened(cipher: Cipher, limits: Limits, sealed: str, kind: str, version: int) -> dict[str, Any]:
    """What ``seal`` was given.

    Raises:
        Misfit: it was sealed with another key, for another kind, or not at all; or it is too large.
        OSError: the cipher could not be reached, which is no fault of the payload.
    """
    try:
        clear = cipher.decrypt(
            binascii.a2b_base64(sealed.encode("ascii"), strict_mode=True), _context(kind, version)
        )
        secrets = _TEXT.loads(clear)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - whatever a cipher raises; its words might tell something
        raise _unopened() from None
    if not isinstance(secrets, dict):
        raise _unopened()
    try:
        limits.measure(secrets)
    except Flaw as flaw:
        raise Misfit(flaw.problem).within(".sealed") from None
    return secrets


def refuse_clear(data: dict[str, Any], secrets: tuple[str, ...]) -> None:
    """Refuse what should have been sealed, and was not.

    Raises:
        Misfit: a sensitive field is there in clear.
    """
    for key in secrets:
        if key in data:
            raise Misfit("expected the field among what is sealed, found it in clear").within(
                f".data.{key}"
            )


def _unopened() -> Misfit:
    return Misfit(
        "cannot be opened: sealed with another key, for another kind, or changed since"
    ).within(".sealed")


def _context(kind: str, version: int) -> bytes:
    return f"airlock:{kind}:{version}".encode()
