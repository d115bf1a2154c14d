"""Ciphers for sensitive fields: a protocol of two methods, and one that is ready."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

from airlock.errors import DeclarationError, MissingExtraError

__all__ = ["AesGcm", "Cipher"]


class Cipher(Protocol):
    """Seals sensitive fields.

    Both methods are given a context, which names kind and version: authenticate it if the cipher
    can, so that what was sealed for one kind is not opened as another.
    """

    def encrypt(self, clear: bytes, context: bytes, /) -> bytes:
        """Encrypt so that only ``decrypt`` can read the result."""
        ...

    def decrypt(self, sealed: bytes, context: bytes, /) -> bytes:
        """Decrypt what was encrypted with this context.

        Raises any exception if that is not so. An ``OSError`` says that it cannot be known now,
        since a key service is out of reach, say: it goes on as it is.
        """
        ...


class AesGcm:
    """AES-GCM of the ``cryptography`` package, with a fresh nonce each time.

    Needs the extra ``airlock-effects[crypto]``. To change keys, put the new one first: it encrypts,
    and every one of them decrypts.

    Args:
        *keys: of 16, 24 or 32 bytes; ``AesGcm.generate_key()`` makes one.

    Raises:
        MissingExtraError: cryptography is not installed.
        DeclarationError: no key, or one of another length.

    Example:
        >>> cipher = AesGcm(AesGcm.generate_key())
        >>> cipher.decrypt(cipher.encrypt(b"4111", b"card"), b"card")
        b'4111'
    """

    _NONCE = 12

    def __init__(self, *keys: bytes) -> None:
        if not keys or any(
            not isinstance(key, bytes) or len(key) not in (16, 24, 32) for key in keys
        ):
            raise DeclarationError(
                "AesGcm takes keys of 16, 24 or 32 bytes, at least one: make one with "
                "AesGcm.generate_key(), and keep it with the other secrets of the program."
            )
        cipher = _aesgcm()
        self._ciphers: Sequence[Any] = [cipher(key) for key in keys]

    @staticmethod
    def generate_key() -> bytes:
        """Return a new key of 32 bytes."""
        return os.urandom(32)

    def encrypt(self, clear: bytes, context: bytes, /) -> bytes:
        """Nonce, ciphertext and tag, made with the first key."""
        nonce = os.urandom(self._NONCE)
        sealed: bytes = self._ciphers[0].encrypt(nonce, clear, context)
        return nonce + sealed

    def decrypt(self, sealed: bytes, context: bytes, /) -> bytes:
        """Decrypt what was encrypted, with whichever key.

        Raises:
            ValueError: with none of the keys, or not with this context.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as in __init__

        for cipher in self._ciphers:
            try:
                clear: bytes = cipher.decrypt(sealed[: self._NONCE], sealed[self._NONCE :], context)
            except InvalidTag:
                continue
            return clear
        raise ValueError("sealed with another key or context, or changed since")

    def __repr__(self) -> str:
        return f"AesGcm({', '.join('<hidden>' for _ in self._ciphers)})"


def _aesgcm() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers import aead  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtraError("AesGcm", "cryptography", "crypto") from None
    return aead.AESGCM
