"""Sensitive fields leave the process sealed: taken out of the data, and encrypted together."""

from __future__ import annotations

import binascii
from typing import Any

from airlock.wire.ciphers import Cipher
from airlock.wire.problems import MisfitError
from airlock.wire.text import Limits, TextError, dumps, loads

__all__ = ["opened", "refuse_plaintext", "seal"]


def seal(cipher: Cipher, limits: Limits, secrets: dict[str, Any], kind: str, version: int) -> str:
    """Return fields encrypted for a kind and version.

    Raises:
        TextError: JSON cannot express them, or they are too large.
    """
    limits.measure(secrets)
    sealed = cipher.encrypt(dumps(secrets), _context(kind, version))
    return binascii.b2a_base64(sealed, newline=False).decode()


def opened(cipher: Cipher, limits: Limits, sealed: str, kind: str, version: int) -> dict[str, Any]:
    """Return the fields that ``seal`` encrypted.

    Raises:
        MisfitError: it was sealed with another key, for another kind, or not at all; or it is too large.
        OSError: the cipher could not be reached, which is no fault of the payload.
    """
    try:
        clear = cipher.decrypt(
            binascii.a2b_base64(sealed.encode("ascii"), strict_mode=True), _context(kind, version)
        )
        secrets = loads(clear)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - whatever a cipher raises; its words might show something
        raise _unopened() from None
    if not isinstance(secrets, dict):
        raise _unopened()
    try:
        limits.measure(secrets)
    except TextError as error:
        raise MisfitError(error.problem).within(".sealed") from None
    return secrets


def refuse_plaintext(data: dict[str, Any], secrets: tuple[str, ...]) -> None:
    """Refuse fields that should have been sealed, and were not.

    Raises:
        MisfitError: a sensitive field is there in plaintext.
    """
    for key in secrets:
        if key in data:
            raise MisfitError(
                "expected the field among what is sealed, found it in plaintext"
            ).within(f".data.{key}")


def _unopened() -> MisfitError:
    return MisfitError(
        "cannot be opened: sealed with another key, for another kind, or changed since"
    ).within(".sealed")


def _context(kind: str, version: int) -> bytes:
    return f"airlock:{kind}:{version}".encode()
