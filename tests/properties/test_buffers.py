"""Laws of buffers: a buffer is a list of intents, whatever regions it is made of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airlock
from airlock import Allow, Boundary, EffectBuffer, Options, Scope
from airlock.errors import NotAnIntentError
from airlock.testing import FakeHandler
from tests.properties.vocabulary import CONCRETE, Broken, Mail, Work

idle = st.builds(lambda cls, key: cls(key=key), st.sampled_from(CONCRETE), st.integers(0, 3))
lists_of_work = st.lists(idle, max_size=8)
options = st.none() | st.builds(Options, ordering_key=st.sampled_from(("a", "b")))


@given(lists_of_work, lists_of_work)
def test_a_buffer_equals_the_list_of_its_intents(some: list[Work], others: list[Work]) -> None:
    buffer = EffectBuffer(some)
    assert buffer == some
    assert buffer == tuple(some)
    assert buffer == EffectBuffer(some)
    assert (buffer == others) == (some == others)
    assert (buffer != others) == (some != others)
    assert len(buffer) == len(some)
    assert bool(buffer) == bool(some)
    assert list(reversed(buffer)) == some[::-1]
    assert all(intent in buffer for intent in some)
    assert [buffer.count(intent) for intent in others] == [some.count(i) for i in others]


@given(lists_of_work, st.integers(-9, 9), st.slices(8))
def test_reading_a_buffer_is_reading_a_list(some: list[Work], at: int, part: slice) -> None:
    buffer = EffectBuffer(some)
    assert buffer[part] == some[part]
    with contextlib.ExitStack() as stack:
        if not -len(some) <= at < len(some):
            stack.enter_context(pytest.raises(IndexError))
        assert buffer[at] is some[at]


@given(lists_of_work, st.sampled_from((Work, *CONCRETE)))
def test_of_selects_a_class_and_its_subclasses(some: list[Work], cls: type[Work]) -> None:
    assert EffectBuffer(some).of(cls) == [intent for intent in some if isinstance(intent, cls)]


@given(st.lists(st.tuples(idle, options), max_size=8))
def test_emit_all_is_many_emits(some: list[tuple[Work, Options | None]]) -> None:
    one, other = EffectBuffer(), EffectBuffer()
    for intent, told in some:
        one.emit(intent, told)
    other.emit_all(one)
    assert one == other == [intent for intent, _ in some]
    work = FakeHandler()
    with Boundary({Work: work}).scope() as effects:
        effects.emit_all(other)
    assert [one.options.ordering_key for one in work.deliveries] == [
        told and told.ordering_key for _, told in some
    ]


@given(lists_of_work, st.integers(0, 8), st.sampled_from((Mail, 42, print, None, "mail")))
def test_emit_all_takes_all_or_nothing(some: list[Any], at: int, wrong: Any) -> None:
    buffer = EffectBuffer(some)
    with pytest.raises(NotAnIntentError):
        buffer.emit_all([*some[:at], wrong, *some[at:]])
    assert buffer == some


# -- regions and marks ------------------------------------------------------------------------------

Program = Sequence[Any]
"""Intents, ``"mark"``, and ``(kind, program, spoiled)`` for blocks."""


def programs() -> st.SearchStrategy[Program]:
    atoms = idle | st.just("mark")
    kinds = st.sampled_from(("region", "scope", "enclose", "override"))
    return st.recursive(
        st.lists(atoms, max_size=4),
        lambda inner: st.lists(atoms | st.tuples(kinds, inner, st.booleans()), max_size=5),
        max_leaves=20,
    )


class Reader:
    """Runs a program in a scope, and says what ought to be read after each mark."""

    def __init__(self, boundary: Boundary, scope: Scope) -> None:
        self.boundary = boundary
        self.scope = scope
        self.clock = 0
        self.marks: list[tuple[int, Any]] = []

    def run(self, program: Program) -> list[tuple[int, Work]]:
        """Returns what is kept, in order, each with the time of its emission."""
        kept: list[tuple[int, Work]] = []
        for part in program:
            self.clock += 1
            if part == "mark":
                self.marks.append((self.clock, self.scope.mark()))
            elif isinstance(part, tuple):
                kept += self._block(*part)
            else:
                airlock.emit(part)
                kept.append((self.clock, part))
        return kept

    def _block(self, kind: str, program: Program, spoiled: bool) -> list[tuple[int, Work]]:
        blocks: dict[str, Callable[[], AbstractContextManager[object]]] = {
            "region": lambda: airlock.region(Allow()),
            "scope": self.boundary.scope,
            "enclose": lambda: airlock.enclose(Allow()),
            "override": lambda: self.scope.override({Mail: None}),
        }
        kept = list[tuple[int, Work]]()
        with contextlib.suppress(Broken), blocks[kind]():
            kept = self.run(program)
            if spoiled:
                raise Broken
        return [] if spoiled and kind == "scope" else kept


@given(programs())
def test_since_reads_what_came_after_a_mark_in_the_order_of_the_buffer(program: Program) -> None:
    boundary = Boundary({Work: lambda _: None})
    with boundary.scope() as effects:
        reader = Reader(boundary, effects)
        kept = reader.run(program)
        assert effects == [intent for _, intent in kept]
        for time, mark in reader.marks:
            assert effects.since(mark) == [intent for at, intent in kept if at > time]


@given(lists_of_work)
def test_a_mark_is_of_one_buffer(some: list[Work]) -> None:
    mark = EffectBuffer(some).mark()
    with pytest.raises(ValueError, match="another buffer"):
        EffectBuffer(some).since(mark)
