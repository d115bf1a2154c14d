"""Expectations of effects: single ones, and an algebra of several.

::

    Expectation
    ├── Leaf            one emission
    │   ├── Exact       equal to a value
    │   └── Like        of a class, with some fields
    ├── Times           a part, several times
    ├── InOrder         parts, one after the other
    ├── AnyOrder        parts, in any order
    ├── OneOf           one of the parts
    └── Never           no such emission
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import attrs

from airlock.effects.describe import field_repr, name_of
from airlock.effects.json import Json
from airlock.effects.registry import KNOWN
from airlock.errors import ExpectationError

__all__ = [
    "AnyOrder",
    "Exact",
    "Expectation",
    "InOrder",
    "Leaf",
    "Like",
    "Never",
    "OneOf",
    "Times",
]

EXACTLY: Final[Any] = object()
"""Stands for an upper limit that is the lower one."""


class Expectation:
    """An expectation of the emitted effects. Made by ``like``, ``in_order`` and their like.

    Attributes:
        used: whether it was given to something that looks for it.
        parts: the expectations in it.
        whole: the expectation that it is a part of.
    """

    def __init__(self, *parts: Expectation) -> None:
        self.used = False
        self.parts = parts
        self.whole: Expectation | None = None
        for part in parts:
            part.whole = self

    @property
    def outermost(self) -> Expectation:
        """The whole that it is a part of, or it."""
        return self if self.whole is None else self.whole.outermost

    def times(self, at_least: int, at_most: int | None = EXACTLY) -> Expectation:
        """Expect this, several times.

        Args:
            at_least: how often.
            at_most: how often at the most, None for no limit; by default ``at_least``, exactly.

        Raises:
            ExpectationError: the numbers make no sense.

        Example:
            >>> from airlock.testing import like
            >>> like(NotifyWarehouse).times(1, 3)
            like(NotifyWarehouse).times(1, 3)
        """
        most = at_least if at_most is EXACTLY else at_most
        written = _format_times(self, at_least, at_most)
        counts = [count for count in (at_least, most) if count is not None]
        if not all(isinstance(count, int) and count >= 0 for count in counts) or most == 0:
            hint = "Give whole numbers from 1, or use never(...) for none at all."
            raise ExpectationError(written, "is no number of times", hint)
        if most is not None and most < at_least:
            hint = "Give the smaller number first."
            raise ExpectationError(written, "can never be met", hint)
        return Times(self, at_least, most)

    def optional(self) -> Expectation:
        """Expect this, or nothing."""
        return self.times(0, 1)

    # As it is; declared here, so that type checkers let a test compare an expectation with an intent.
    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


def _format_times(part: Expectation, at_least: object, at_most: object) -> str:
    """Format a call of ``times``, as a test writes it."""
    limits = [at_least] if at_most is EXACTLY else [at_least, at_most]
    return f"{part!r}.times({', '.join(map(repr, limits))})"


class Leaf(Expectation):
    """An expectation of one emission. It equals the intents that fit, in lists too."""

    def accepts(self, intent: Any) -> bool:
        """Return True if an intent is as expected."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        self.used = True
        return self is other or (type(other) in KNOWN and self.accepts(other))

    __hash__ = None  # type: ignore[assignment]  # equal to values of different hashes


class Exact(Leaf):
    """Equal to a value."""

    def __init__(self, intent: Any) -> None:
        super().__init__()
        self.intent = intent

    def accepts(self, intent: Any) -> bool:
        return bool(self.intent == intent)

    def __repr__(self) -> str:
        return repr(self.intent)


class Like(Leaf):
    """An expectation of a class or its subclasses, with some fields."""

    def __init__(self, cls: type[Any], expected: Mapping[str, Any]) -> None:
        super().__init__()
        self.cls = cls
        self.attributes = {name: getattr(attrs.fields(cls), name) for name in expected}
        self.expected = expected

    def accepts(self, intent: Any) -> bool:
        return isinstance(intent, self.cls) and all(
            value == self.got(intent, name) for name, value in self.expected.items()
        )

    def got(self, intent: Any, name: str) -> Any:
        """Return the value of a field, comparable with what is expected of it."""
        value = getattr(intent, name)
        plain = isinstance(value, Json) and not isinstance(self.expected[name], Json)
        return value.value if plain else value

    def __eq__(self, other: object) -> bool:
        # In a field of another one it stands for a nested value, which is no intent.
        self.used = True
        return self is other or self.accepts(other)

    __hash__ = None

    def __repr__(self) -> str:
        fields = [f"{name}={self.shown(name)}" for name in self.expected]
        return f"like({', '.join([name_of(self.cls), *fields])})"

    def shown(self, name: str) -> str:
        """Format what is expected of a field."""
        return field_repr(self.attributes[name], self.expected[name])


class Times(Expectation):
    """A part, several times, one after the other."""

    def __init__(self, part: Expectation, at_least: int, at_most: int | None) -> None:
        super().__init__(part)
        self.part = part
        self.at_least = at_least
        self.at_most = at_most

    @property
    def counted(self) -> str:
        """The number of times, for people."""
        if (self.at_least, self.at_most) == (0, 1):
            return "optional"
        if self.at_most is None:
            return f"{self.at_least} or more times"
        if self.at_least == self.at_most:
            return f"{self.at_least} times"
        return f"{self.at_least} to {self.at_most} times"

    def __repr__(self) -> str:
        if (self.at_least, self.at_most) == (0, 1):
            return f"{self.part!r}.optional()"
        exactly = self.at_least == self.at_most
        return f"{self.part!r}.times({self.at_least}{'' if exactly else f', {self.at_most}'})"


class InOrder(Expectation):
    """Parts, one after the other; others may stand in between."""

    def __repr__(self) -> str:
        return f"in_order({', '.join(map(repr, self.parts))})"


class AnyOrder(Expectation):
    """Parts, in any order, each with emissions of its own."""

    def __repr__(self) -> str:
        return f"any_order({', '.join(map(repr, self.parts))})"


class OneOf(Expectation):
    """One of the parts."""

    def __repr__(self) -> str:
        return f"one_of({', '.join(map(repr, self.parts))})"


class Never(Expectation):
    """An expectation of no such emission: none at all, or in ``in_order`` none between its neighbours."""

    def __init__(self, part: Leaf) -> None:
        super().__init__(part)
        self.part = part

    def times(self, at_least: int, at_most: int | None = EXACTLY) -> NoReturn:
        raise self._nonsense(_format_times(self, at_least, at_most))

    def optional(self) -> NoReturn:
        raise self._nonsense(f"{self!r}.optional()")

    def _nonsense(self, written: str) -> ExpectationError:
        hint = "Say how often something may happen with like(...).times(...)."
        return ExpectationError(written, "makes no sense", hint)

    def __repr__(self) -> str:
        return f"never({self.part!r})"
