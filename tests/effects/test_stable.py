"""``repr`` for snapshots: as Python shows a value, and the same in every run."""

from __future__ import annotations

import enum
import os
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock import Json, field, intent
from airlock.effects.describe import field_repr, name_of, stable_repr
from tests.effects.vocabulary import Charge, Notify

ROOT = Path(__file__).parents[2]


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Tagged:
    tags: frozenset[str]
    note: str = attrs.field(default="", repr=False)


@dataclass(frozen=True)
class Noted:
    tags: frozenset[str]
    hidden: int = dataclass_field(default=0, repr=False)
    kinds: ClassVar[int] = 7


@dataclass(frozen=True)
class Loud:
    tags: frozenset[str]

    def __repr__(self) -> str:
        return "LOUD"


class Pair(NamedTuple):
    first: frozenset[str]
    second: int = 0


class LoudPair(Pair):
    def __repr__(self) -> str:
        return "LOUD"


class Plain:
    pass


@intent(kind="tests.effects.spoken")
class Spoken:
    text: str

    def __repr__(self) -> str:
        return f"<Spoken {self.text}>"


SETS = frozenset({"b", "a", "c"})

VALUES: list[tuple[object, str]] = [
    (SETS, "frozenset({'a', 'b', 'c'})"),
    (set(SETS), "{'a', 'b', 'c'}"),
    (frozenset(), "frozenset()"),
    (set(), "set()"),
    ((), "()"),
    ((1,), "(1,)"),
    ((SETS, [SETS]), "(frozenset({'a', 'b', 'c'}), [frozenset({'a', 'b', 'c'})])"),
    ({SETS: {"key": SETS}}, "{frozenset({'a', 'b', 'c'}): {'key': frozenset({'a', 'b', 'c'})}}"),
    (frozenset({frozenset({2, 1}), frozenset()}), "frozenset({frozenset(), frozenset({1, 2})})"),
    (frozenset({"b", 1, None}), "frozenset({'b', 1, None})"),
    (Tagged(SETS, "unsaid"), "Tagged(tags=frozenset({'a', 'b', 'c'}))"),
    (Noted(SETS, 7), "Noted(tags=frozenset({'a', 'b', 'c'}))"),
    (Pair(SETS), "Pair(first=frozenset({'a', 'b', 'c'}), second=0)"),
    (Loud(SETS), "LOUD"),
    (LoudPair(SETS), "LOUD"),
    (Notify(1), "Notify(order_id=1)"),
    (Charge("4111", 7), "Charge(card=<hidden>, amount=7)"),
    (Spoken("hello"), "<Spoken hello>"),
    ((Charge("4111"), Spoken("hello")), "(Charge(card=<hidden>, amount=0), <Spoken hello>)"),
    (Json({"b": [1], "a": None}), "Json({'a': None, 'b': [1]})"),
    (Colour.RED, "<Colour.RED: 'red'>"),
    ("text\n", r"'text\n'"),
    (object(), "<object object>"),
    ((len, deque([1])), "(<built-in function len>, deque([1]))"),
]


@pytest.mark.parametrize(("value", "shown"), VALUES, ids=[shown for _, shown in VALUES])
def test_values_are_shown_as_python_shows_them_with_sets_in_order(
    value: object, shown: str
) -> None:
    assert stable_repr(value) == shown


def test_addresses_are_left_out() -> None:
    assert "0x" in repr(Plain())
    assert stable_repr(Plain()) == f"<{__name__}.Plain object>"
    assert "0x" not in stable_repr([lambda: None, Plain().__eq__])


values = st.recursive(
    st.none() | st.integers() | st.text() | st.booleans() | st.binary() | st.floats(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(), inner)
        | st.builds(Pair, first=inner, second=inner)
        | st.builds(Noted, tags=inner)
        | st.builds(Tagged, tags=inner)
    ),
    max_leaves=8,
)


@given(values)
def test_without_sets_it_is_repr(value: Any) -> None:
    """A snapshot of it can be read, and pasted, as any other."""
    assert stable_repr(value) == repr(value)


@given(st.frozensets(st.frozensets(st.integers())))
def test_with_sets_it_evaluates_to_the_same_value(value: frozenset[frozenset[int]]) -> None:
    assert eval(stable_repr(value)) == value


# -- names and fields -----------------------------------------------------------------------------


def test_a_class_is_named_without_the_function_that_declares_it() -> None:
    """As attrs names it in ``repr``."""

    class Outer:
        @attrs.frozen
        class Inner:
            pass

    assert name_of(Outer.Inner) == "Outer.Inner"
    assert name_of(Outer) == "Outer"
    assert stable_repr(Outer.Inner()) == repr(Outer.Inner()) == "Outer.Inner()"


def shout(value: str) -> str:
    return value.upper()


@intent(kind="tests.effects.shown")
class Shown:
    plain: str = "plain"
    secret: str = field(default="4111", sensitive=True)
    unsaid: str = field(default="4111", repr=False)
    shouted: str = field(default="loud", repr=shout)


SHOWN: Any = attrs.fields(Shown)  # type: ignore[arg-type]  # mypy knows no fields of intents


@pytest.mark.parametrize(
    ("name", "shown"),
    [("plain", "'plain'"), ("secret", "<hidden>"), ("unsaid", "<hidden>"), ("shouted", "LOUD")],
)
def test_a_field_shows_its_value_as_it_was_declared(name: str, shown: str) -> None:
    assert field_repr(getattr(SHOWN, name), getattr(Shown(), name)) == shown


def test_a_field_hides_what_its_repr_cannot_show() -> None:
    """What stands for a value, and is none, may say what the field is not to say."""
    assert field_repr(SHOWN.shouted, 4111) == "<hidden>"


# -- every run is the same ------------------------------------------------------------------------

PROGRAM = """
from airlock import ALLOW, DROP, Boundary, Dedupe, EffectBuffer, FlushError, Options
from airlock.testing import expect_effects
from tests.effects.test_stable import Noted, Pair, SETS, Tagged
from airlock import intent

@intent(kind="stable.everything")
class Everything:
    tags: frozenset[str]
    tagged: Tagged
    noted: Noted
    pair: Pair
    nested: tuple[frozenset[frozenset[str]], ...]
    order_id: int = 0

def every(order_id):
    words = frozenset(f"word {i}" for i in range(20))
    nested = (frozenset({words, SETS}),)
    return Everything(words, Tagged(words), Noted(words), Pair(words), nested, order_id)

def deliver(intent):
    if intent.order_id == 1:
        raise LookupError(object())

def odd(view):
    return [DROP if intent.order_id == 2 else ALLOW for intent in view.intents]

buffer = EffectBuffer(map(every, range(3)))
buffer.emit(every(3), Options(headers={"b": "1", "a": "2"}, ordering_key="key"))
print(buffer.to_json())

scope = Boundary({Everything: deliver}).scope(policy=Dedupe(Everything) & odd)
with expect_effects(allow=True) as fx:
    try:
        with scope:
            scope.emit_all([every(i) for i in (0, 1, 2, 0, 3)])
    except FlushError:
        pass
    print(fx.to_json())
print(scope.report.to_json())
"""


def printed(seed: int, program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout


def test_the_json_of_buffers_recordings_and_reports_is_the_same_in_every_run() -> None:
    """Whatever order sets have, and wherever objects are in memory."""
    runs: Sequence[str] = [printed(seed, PROGRAM) for seed in (1, 2)]
    assert runs[0] == runs[1]
    assert len(runs[0].splitlines()) == 3
    assert "0x" not in runs[0]
    assert "LookupError(<object object>)" in runs[0]


def test_the_order_of_sets_does_differ_between_runs() -> None:
    """Or the test above would say nothing."""
    program = "print(frozenset(f'word {i}' for i in range(20)))"
    assert printed(1, program) != printed(2, program)
