"""``EffectBuffer``: an ordered, append-only sequence of intents; and ``Emits``, its write-only face."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, overload

import attrs

from airlock.effects.describe import stable_repr
from airlock.effects.intent import Intent, admit
from airlock.effects.options import Options
from airlock.effects.registry import KNOWN, describe, spec_of
from airlock.emissions.flat import Flat
from airlock.emissions.region import Mark, Region, marked
from airlock.errors import NotAnIntentError, OptionError

__all__ = ["BufferMark", "EffectBuffer", "Emits"]

IntentT = TypeVar("IntentT", bound=Intent)
IntentT_contra = TypeVar("IntentT_contra", bound=Intent, contravariant=True)


class Emits(Protocol[IntentT_contra]):
    """The write-only face of a buffer: ``effects: Emits[NotifyWarehouse | SendEmail]`` in a signature.

    Every ``EffectBuffer`` and ``Scope`` is an ``Emits`` of anything; the annotation narrows it, and
    type checkers hold the body to it. Nothing can be read back or run.
    """

    def emit(self, intent: IntentT_contra, /, options: Options | None = None) -> None:
        """Append an intent."""

    def emit_all(self, intents: Iterable[IntentT_contra], /) -> None:
        """Emit several, in order."""


@attrs.frozen(eq=False, repr=False)
class BufferMark:
    """A moment in the life of a buffer, for ``since``."""

    buffer: EffectBuffer
    sizes: Mark


class EffectBuffer(Sequence[Any]):
    """An ordered, append-only sequence of intents. Pure: it runs nothing and knows no scope.

    It equals a list, a tuple or another buffer with the same intents.

    Args:
        intents: to start with.

    Example:
        >>> @intent
        ... class NotifyWarehouse:
        ...     order_id: int
        >>> effects = EffectBuffer()
        >>> effects.emit(NotifyWarehouse(42))
        >>> effects == [NotifyWarehouse(42)]
        True
    """

    __slots__ = ("region",)
    region: Region

    def __init__(self, intents: Iterable[Intent] = ()) -> None:
        self.region = Region("buffer")
        self.emit_all(intents)

    def emit(self, intent: Intent, /, options: Options | None = None) -> None:
        """Append an intent.

        Args:
            intent: a value of an ``@intent`` class.
            options: id, delay, keys and headers of this emission.

        Raises:
            NotAnIntentError: it is a class, a callable, or another value.
            OptionError: ``options`` is not an ``Options``.
        """
        region = self.region
        if options is not None or type(intent) not in region.seen:
            put(region, intent, options)
        else:
            region.append(intent)

    def emit_all(self, intents: Iterable[Intent], /) -> None:
        """Append several intents, in order; those of another buffer keep their options.

        All are checked before the first is taken.

        Raises:
            NotAnIntentError: one of them is not an intent.
        """
        extend(self.region, intents)

    def mark(self) -> BufferMark:
        """Remember this moment.

        Example:
            >>> effects = EffectBuffer()
            >>> before = effects.mark()
            >>> effects.since(before)
            []
        """
        return BufferMark(self, marked(self.region))

    def since(self, mark: BufferMark) -> list[Any]:
        """Return what was emitted after ``mark``, in the order of the buffer.

        Raises:
            ValueError: the mark is of another buffer.
        """
        if mark.buffer is not self:
            raise ValueError("this mark was made by another buffer: call mark() on this one")
        return list(self.flat(since=mark.sizes).intents)

    def of(self, cls: type[IntentT]) -> list[IntentT]:
        """Return the intents of a class, subclasses included.

        Args:
            cls: an intent class.
        """
        return [intent for intent in self.flat().intents if isinstance(intent, cls)]

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the intents as JSON, for snapshots: kind, intent, and the options that were given.

        The same in every run. Sensitive values are hidden.

        Args:
            indent: as ``json.dumps`` takes it.

        Example:
            >>> EffectBuffer([NotifyWarehouse(42)]).to_json()
            '[{"kind": "...", "intent": "NotifyWarehouse(order_id=42)"}]'
        """
        flat = self.flat()
        rows: list[dict[str, Any]] = []
        for i, intent in enumerate(flat.intents):
            row = {"kind": spec_of(type(intent)).kind, "intent": stable_repr(intent)}
            options = flat.options.get(i)
            rows.append(row if options is None else {**row, "options": _shown(options)})
        return json.dumps(rows, indent=indent, ensure_ascii=False)

    def flat(self, *, since: Mark | None = None) -> Flat:
        """Return the buffer as one sequence, with the options and regions of its intents."""
        return Flat(self.region, since=since)

    def __copy__(self) -> EffectBuffer:
        copy = EffectBuffer()
        copy.emit_all(self)
        return copy

    def __deepcopy__(self, _: dict[int, Any]) -> EffectBuffer:
        return self.__copy__()  # intents do not change

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self.flat().intents))

    def __len__(self) -> int:
        return len(self.flat().intents)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return list(self.flat().intents)[index]

    def __contains__(self, intent: object) -> bool:
        return intent in self.flat().intents

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EffectBuffer | list | tuple):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


def _shown(options: Options) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in options.given()}
    return {n: dict(v) if isinstance(v, Mapping) else str(v) for n, v in given.items()}


def put(region: Region, intent: Intent, options: Options | None) -> None:
    """Append an intent that has options, or is the first of its class: the slow half of ``emit``."""
    if type(intent) not in KNOWN:
        admit(intent)
    if options is None:
        region.append(intent)
    elif isinstance(options, Options):
        region.put(intent, options)
    else:
        raise _not_options(intent, options)
    region.seen.add(type(intent))


def _not_options(intent: Intent, options: object) -> NotAnIntentError | OptionError:
    if type(options) not in KNOWN:
        return OptionError("options", f"must be an airlock.Options, not {describe(options)}")
    return NotAnIntentError(
        f"{describe(intent)} and {describe(options)} at once",
        "emit takes one intent",
        f"Emit several with emit_all([{type(intent).__name__}(...), {type(options).__name__}(...)]).",
    )


def extend(region: Region, intents: Iterable[Intent]) -> None:
    """Append several intents to a region, after checking all of them."""
    options = intents.flat().options if isinstance(intents, EffectBuffer) else {}
    checked = list(intents)
    for intent in checked:
        if type(intent) not in KNOWN:
            admit(intent)
    if not options:
        region.extend(checked)
        region.seen.update(map(type, checked))
        return
    for i, intent in enumerate(checked):
        if i in options:
            region.put(intent, options[i])
        else:
            region.append(intent)
        region.seen.add(type(intent))
