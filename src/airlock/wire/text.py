"""JSON as text: strict about what JSON itself leaves open, and bounded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal, Protocol

import attrs

from airlock.effects.registry import describe
from airlock.errors import DeclarationError, MissingExtraError

__all__ = ["Flaw", "JsonText", "Limits", "Orjson", "Stdlib", "as_bytes", "text_of"]


def _from_one(_: Limits, attribute: Any, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DeclarationError(f"Limits({attribute.name}={value!r}): an int from 1.")


@attrs.frozen(kw_only=True)
class Limits:
    """How large a text may be, read or written.

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
        """Whether it shows at a glance that a text cannot be too large, as most do not.

        Raises:
            Flaw: it is too long.
        """
        size = len(text)
        if size > self.size:
            raise Flaw(f"is {size:,} bytes long, and the limit is {self.size:,}")
        if size > self.items:
            return False
        return size < 2 * self.depth or text.count(b"{") + text.count(b"[") <= self.depth

    def measure(self, document: object) -> None:
        """Refuse a document that is too deep, or has too large a collection.

        Raises:
            Flaw: it is.
        """
        level: list[Any] = [document]
        for _ in range(self.depth + 1):
            level = [node for node in level if type(node) in (dict, list)]
            if not level:
                return
            largest = max(map(len, level))
            if largest > self.items:
                raise Flaw(
                    f"has a collection of {largest:,} items, and the limit is {self.items:,}"
                )
            level = [
                inner for node in level for inner in (node.values() if type(node) is dict else node)
            ]
        raise Flaw(f"is more than {self.depth} levels deep, and that is the limit")


class Flaw(Exception):  # noqa: N818 - internal; becomes a WireError
    """A text that is not JSON, or not such as is taken here.

    Attributes:
        problem: what is wrong.
        path: where, if that can be said.
        document: what could be read of it all the same, for its kind and version.
    """

    def __init__(self, problem: str, path: str = "$", document: object = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.document = document


class JsonText(Protocol):
    """Writes and reads JSON.

    ``quick`` is ``dumps`` for what is well-formed; any exception means that it may not be.
    """

    @property
    def quick(self) -> Callable[[Any], bytes]: ...
    def dumps(self, document: Any, /) -> bytes: ...
    def loads(self, text: bytes, /) -> Any: ...


class Stdlib:
    """The standard library, strict."""

    def __init__(self) -> None:
        options: Any = {"separators": (",", ":"), "ensure_ascii": False, "allow_nan": False}
        self._write: Callable[[Any], str] = json.JSONEncoder(**options, check_circular=False).encode
        self.quick = self.dumps
        decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)
        self._read: Callable[[str], Any] = decoder.decode

    def dumps(self, document: Any) -> bytes:
        """JSON text in UTF-8.

        Raises:
            Flaw: there is something in it that JSON cannot say.
        """
        try:
            return self._write(document).encode()
        except UnicodeEncodeError:
            raise Flaw("has half a surrogate pair in a string, which is no character") from None
        except RecursionError:
            raise Flaw("is too deep") from None
        except ValueError:  # Python writes no integers of more than 4,300 digits
            raise Flaw("has an integer that is too long") from None

    def loads(self, text: bytes) -> Any:
        """The document.

        Raises:
            Flaw: it is not JSON, or has a key twice, NaN, or half a surrogate pair.
        """
        try:
            decoded = text.decode()
        except UnicodeDecodeError as error:
            raise Flaw(f"is not UTF-8 (byte {error.start})") from None
        try:
            document = _parsed(self._read, decoded)
        except _Odd:
            raise _pointed(_parsed(_MARKING.decode, decoded)) from None
        if "\\u" in decoded:
            _no_halves(document)
        return document


class Orjson:
    """orjson, as strict as the standard library.

    It keeps the last of two equal keys, and reads long integers as floats. A text that it writes
    back byte for byte has neither; any other is left to the standard library.
    """

    def __init__(self) -> None:
        try:
            import orjson  # noqa: PLC0415 - an extra: looked for where it is first needed
        except ImportError:
            raise MissingExtraError("Wire(json='orjson')", "orjson", "orjson") from None
        self.quick: Callable[[Any], bytes] = orjson.dumps
        self._loads = orjson.loads
        self._strict = Stdlib()

    def dumps(self, document: Any) -> bytes:
        """As ``Stdlib`` does."""
        try:
            return self.quick(document)
        except (TypeError, ValueError):  # an integer of more than 64 bits, or half a surrogate pair
            return self._strict.dumps(document)

    def loads(self, text: bytes) -> Any:
        """As ``Stdlib`` does."""
        try:
            document = self._loads(text)
            if self.quick(document) == text:
                return document
        except (TypeError, ValueError):
            pass
        return self._strict.loads(text)


def text_of(name: Literal["stdlib", "orjson"]) -> JsonText:
    """What reads and writes JSON, by name.

    Raises:
        DeclarationError: there is no such one.
        MissingExtraError: it is not installed.
    """
    if name not in ("stdlib", "orjson"):
        raise DeclarationError(f"Wire(json={name!r}): give 'stdlib' or 'orjson'.")
    return Stdlib() if name == "stdlib" else Orjson()


# -- what JSON leaves open ------------------------------------------------------------------------


class _Odd(Exception):  # noqa: N818 - a signal: such a text is read again, to say where
    """A key that is there twice, or NaN."""


@attrs.frozen(eq=False)
class _Mark:
    """Stands where something odd was."""

    problem: str
    document: Any = None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Odd
    return made


def _constant(_: str) -> Any:
    raise _Odd


def _parsed(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except json.JSONDecodeError as error:
        raise Flaw(f"is not JSON ({error.msg}, character {error.pos})") from None
    except RecursionError:
        raise Flaw("is too deep") from None
    except ValueError:  # Python reads no integers of more than 4,300 digits
        raise Flaw("has an integer that is too long") from None


def _pointed(document: Any) -> Flaw:
    """What is odd in a document, and where."""
    path, mark = _first_mark(document)
    return Flaw(mark.problem, path, mark.document if document is mark else document)


def _marked_pairs(pairs: list[tuple[str, Any]]) -> Any:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    seen = Counter(key for key, _ in pairs)
    twice = next(key for key, count in seen.items() if count > 1)
    return _Mark(f"has the key {twice[:80]!r} twice", made)


def _marked_constant(name: str) -> Any:
    return _Mark(f"is {name}, which JSON does not have")


_MARKING = json.JSONDecoder(object_pairs_hook=_marked_pairs, parse_constant=_marked_constant)


def _first_mark(document: Any) -> tuple[str, _Mark]:
    stack: list[tuple[str, Any]] = [("$", document)]
    while stack:
        path, node = stack.pop()
        if isinstance(node, _Mark):
            return path, node
        items: Any = node.items() if isinstance(node, dict) else enumerate(node)
        inner = [
            (f"{path}.{key[:80]}" if isinstance(key, str) else f"{path}[{key}]", value)
            for key, value in items
            if isinstance(value, dict | list | _Mark)
        ]
        stack += reversed(inner)
    raise LookupError("a text is odd in one reading, and not in the next")


def _no_halves(document: Any) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Flaw(
            "has half a surrogate pair in a string, which is no character", document=document
        ) from None


def as_bytes(text: Any) -> bytes:
    """A text as bytes.

    Raises:
        Flaw: it is no text.
    """
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise Flaw("has half a surrogate pair, which is no character") from None
    if isinstance(text, bytearray | memoryview):
        return bytes(text)
    raise Flaw(f"is no text: it takes bytes or str, not {describe(type(text))}")
