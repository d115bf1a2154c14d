"""Sensitive fields leave the process sealed: taken out of the data, and encrypted together."""

from __future__ import annotations

import binascii
from typing import Any

from airlock.wire.ciphers import Cipher
from airlock.wire.form import Misfit
from airlock.wire.text import Stdlib

__all__ = ["opened", "refuse_clear", "seal"]

_TEXT = Stdlib()


def seal(cipher: Cipher, secrets: dict[str, Any], kind: str, version: int) -> str:
    """Fields, encrypted for a kind and version."""
    sealed = cipher.encrypt(_TEXT.dumps(secrets), _context(kind, version))
    return binascii.b2a_base64(sealed, newline=False).decode()


def opened(cipher: Cipher, sealed: str, kind: str, version: int) -> dict[str, Any]:
    """What ``seal`` was given.

    Raises:
        Misfit: it was sealed with another key, for another kind, or not at all.
    """
    try:
        clear = cipher.decrypt(
            binascii.a2b_base64(sealed.encode("ascii"), strict_mode=True), _context(kind, version)
        )
        secrets = _TEXT.loads(clear)
    except Exception:  # noqa: BLE001 - whatever a cipher raises; its words might tell something
        raise _unopened() from None
    if not isinstance(secrets, dict):
        raise _unopened()
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
