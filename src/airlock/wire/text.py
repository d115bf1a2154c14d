"""JSON as text: read and written by msgspec, and bounded."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from airlock.effects.registry import describe
from airlock.errors import DeclarationError

__all__ = ["Limits", "TextError", "as_bytes", "dumps", "loads"]


def _plain(value: object) -> str:
    """Write a subclass of ``str``, as lazy and safe texts are, as what it is based on."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
_decode = msgspec.json.Decoder().decode


class TextError(Exception):
    """A text that is not JSON or is too large, or a document that JSON cannot express.

    Attributes:
        problem: what is wrong.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def dumps(document: Any) -> bytes:
    """Return a document as JSON text in UTF-8.

    Raises:
        TextError: there is something in it that JSON cannot express.
    """
    try:
        return _encode(document)
    except UnicodeEncodeError:
        raise TextError("contains an unpaired surrogate, which is no character") from None
    except RecursionError:
        raise TextError("is too deep") from None
    except ValueError:  # Python writes no integers of more than 4,300 digits
        raise TextError("has an integer that is too long") from None


def loads(text: bytes) -> Any:
    """Return the document of a JSON text; of equal keys in one object, the last counts.

    Raises:
        TextError: it is not JSON.
    """
    try:
        return _decode(text)
    except msgspec.ValidationError:
        raise TextError("has a number that is too large") from None
    except msgspec.DecodeError as error:
        problem = str(error).removeprefix("JSON is malformed: ")
    except RecursionError:
        raise TextError("is too deep") from None
    raise TextError(f"is not JSON ({problem})")


def as_bytes(text: Any) -> bytes:
    """Return a text as bytes.

    Raises:
        TextError: it is no text.
    """
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise TextError("contains an unpaired surrogate, which is no character") from None
    if isinstance(text, bytearray | memoryview):
        return bytes(text)
    raise TextError(f"is no text: it takes bytes or str, not {describe(type(text))}")


def _from_one(_: Limits, attribute: Any, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DeclarationError(f"Limits({attribute.name}={value!r}): an int from 1.")


@attrs.frozen(kw_only=True)
class Limits:
    """Bounds of a text, read or written.

    Args:
        size: bytes of the whole text.
        depth: how many arrays and objects may be in each other.
        items: of one array or object.

    Raises:
        DeclarationError: one is not an int from 1.

    Example:
        >>> small = Limits(size=10_000, depth=8)
    """

    size: int = attrs.field(default=1_048_576, validator=_from_one)
    depth: int = attrs.field(default=64, validator=_from_one)
    items: int = attrs.field(default=10_000, validator=_from_one)

    def ample(self, text: bytes) -> bool:
        """Return True if a text is too short to reach a limit of depth or items, as most are.

        Raises:
            TextError: it is too long.
        """
        size = len(text)
        if size > self.size:
            raise TextError(f"is {size:,} bytes long, and the limit is {self.size:,}")
        if size > self.items:
            return False
        return size < 2 * self.depth or text.count(b"{") + text.count(b"[") <= self.depth

    def measure(self, document: object) -> None:
        """Refuse a document that is too deep, or has too large a collection.

        Raises:
            TextError: it is.
        """
        level: list[Any] = [document]
        for _ in range(self.depth + 1):
            level = [node for node in level if type(node) in (dict, list)]
            if not level:
                return
            largest = max(map(len, level))
            if largest > self.items:
                raise TextError(
                    f"has a collection of {largest:,} items, and the limit is {self.items:,}"
                )
            level = [
                inner for node in level for inner in (node.values() if type(node) is dict else node)
            ]
        raise TextError(f"is more than {self.depth} levels deep, and that is the limit")
