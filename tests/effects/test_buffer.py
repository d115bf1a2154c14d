"""``EffectBuffer``: an ordered, append-only sequence of intents."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock import Boundary, Drop, EffectBuffer, Emits, Intent, Options, region
from airlock.errors import NotAnIntentError, OptionError
from tests.effects.vocabulary import Charge, Mail, Notify, Urgent

intents = st.lists(st.builds(Notify, st.integers(0, 3)) | st.builds(Mail, st.text(max_size=1)))


def buffer(*emitted: Intent) -> EffectBuffer:
    effects = EffectBuffer()
    for one in emitted:
        effects.emit(one)
    return effects


# -- reading --------------------------------------------------------------------------------------


def test_it_keeps_intents_in_the_order_of_emission() -> None:
    assert list(buffer(Notify(2), Mail("a"), Notify(1))) == [Notify(2), Mail("a"), Notify(1)]


@given(intents)
def test_it_reads_like_a_list(emitted: list[Any]) -> None:
    effects = EffectBuffer(emitted)
    assert len(effects) == len(emitted)
    assert bool(effects) is bool(emitted)
    assert list(effects) == emitted
    assert list(reversed(effects)) == emitted[::-1]
    assert [effects[i] for i in range(len(effects))] == emitted
    assert [effects[-1 - i] for i in range(len(effects))] == emitted[::-1]
    assert effects[1:] == emitted[1:]
    assert all(one in effects for one in emitted)
    assert [effects.count(one) for one in emitted] == [emitted.count(one) for one in emitted]
    assert [effects.index(one) for one in emitted] == [emitted.index(one) for one in emitted]


@given(intents, intents)
def test_it_equals_whatever_sequence_has_the_same_intents(one: list[Any], other: list[Any]) -> None:
    """A list, a tuple, another buffer; from either side."""
    effects = EffectBuffer(one)
    for same in (other, tuple(other), EffectBuffer(other)):
        assert (effects == same) is (one == other)
        assert (same == effects) is (one == other)
        assert (effects != same) is (one != other)


@pytest.mark.parametrize("other", [{Notify(1)}, iter([Notify(1)]), "Notify", None, Notify(1)])
def test_it_equals_nothing_else(other: object) -> None:
    assert buffer(Notify(1)) != other


def test_it_has_no_hash() -> None:
    """It grows."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(EffectBuffer())


def test_it_shows_its_intents_and_no_secret() -> None:
    assert repr(buffer(Notify(1), Charge("4111"))) == (
        "EffectBuffer([Notify(order_id=1), Charge(card=<hidden>, amount=0)])"
    )


def test_it_is_a_sequence_and_an_emits() -> None:
    effects: Emits[Notify] = EffectBuffer()
    assert isinstance(effects, Sequence)


def test_of_reads_one_class_and_its_subclasses() -> None:
    effects = buffer(Notify(1), Mail("a"), Urgent(2))
    assert effects.of(Notify) == [Notify(1), Urgent(2)]
    assert effects.of(Urgent) == [Urgent(2)]
    assert effects.of(Charge) == []


def test_what_was_read_does_not_change_it() -> None:
    effects = buffer(Notify(1))
    list(effects).clear()
    effects.of(Notify).clear()
    effects[:].clear()
    assert effects == [Notify(1)]


def test_it_may_be_emitted_into_while_it_is_read() -> None:
    """An iteration sees what was there when it began."""
    effects = buffer(Notify(1), Notify(2))
    for one in effects:
        effects.emit(Mail(str(one.order_id)))
    assert effects == [Notify(1), Notify(2), Mail("1"), Mail("2")]


@pytest.mark.parametrize("method", ["append", "clear", "pop", "remove", "insert", "__delitem__"])
def test_nothing_can_be_taken_back(method: str) -> None:
    assert not hasattr(EffectBuffer(), method)


# -- emitting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [Notify, print, lambda: None, 3, None, "Notify", [Notify(1)]])
def test_only_intents_are_taken(value: Any) -> None:
    """Refused every time, also where intents of that class, or others, were taken before."""
    effects = buffer(Notify(1))
    for _ in range(2):
        with pytest.raises(NotAnIntentError):
            effects.emit(value)
    assert effects == [Notify(1)]


def test_an_undecorated_subclass_is_refused_after_its_base_was_taken() -> None:
    class Forgotten(Notify):
        pass

    effects = buffer(Notify(1))
    with pytest.raises(NotAnIntentError, match="undecorated subclass of Notify"):
        effects.emit(Forgotten(1))
    assert effects == [Notify(1)]


def test_emit_returns_nothing() -> None:
    emit: Callable[..., object] = EffectBuffer().emit
    assert emit(Notify(1)) is None


def test_emit_all_takes_any_iterable() -> None:
    effects = EffectBuffer()
    effects.emit_all([Notify(1)])
    effects.emit_all((Mail("a"),))
    effects.emit_all(Notify(i) for i in range(2, 4))
    effects.emit_all(buffer(Mail("b")))
    effects.emit_all([])
    assert effects == [Notify(1), Mail("a"), Notify(2), Notify(3), Mail("b")]


@pytest.mark.parametrize("bad", [Mail, 3, None, lambda: None])
def test_emit_all_checks_all_before_it_takes_the_first(bad: Any) -> None:
    effects = buffer(Notify(1))
    with pytest.raises(NotAnIntentError):
        effects.emit_all([Mail("a"), bad, Mail("b")])
    assert effects == [Notify(1)]


def test_emit_all_takes_nothing_of_an_iterable_that_fails() -> None:
    def failing() -> Iterator[Notify]:
        yield Notify(1)
        raise ValueError("spoiled")

    effects = EffectBuffer()
    with pytest.raises(ValueError, match="spoiled"):
        effects.emit_all(failing())
    assert effects == []


def test_the_constructor_checks_too() -> None:
    bad: Any = [Notify]
    with pytest.raises(NotAnIntentError):
        EffectBuffer(bad)


def test_a_buffer_can_be_emitted_into_itself() -> None:
    effects = buffer(Notify(1), Mail("a"))
    effects.emit_all(effects)
    assert effects == [Notify(1), Mail("a"), Notify(1), Mail("a")]


def test_two_buffers_share_nothing() -> None:
    one, other = EffectBuffer(), EffectBuffer()
    one.emit(Notify(1))
    assert other == []


# -- options --------------------------------------------------------------------------------------

LATER = Options(delay=timedelta(hours=1))
NAMED = Options(id=uuid.UUID(int=7), headers={"tenant": "t"})


def test_options_are_kept_beside_the_intents() -> None:
    effects = buffer(Notify(1))
    effects.emit(Notify(2), LATER)
    effects.emit(Mail("a"))
    effects.emit(Mail("b"), NAMED)
    assert effects == [Notify(1), Notify(2), Mail("a"), Mail("b")]
    assert effects.flat().options == {1: LATER, 3: NAMED}


@pytest.mark.parametrize("bad", [{"delay": 3}, 3, "later", timedelta(1), Options])
def test_options_are_one_value_of_options(bad: Any) -> None:
    effects = EffectBuffer()
    with pytest.raises(OptionError, match=r"must be an airlock\.Options"):
        effects.emit(Notify(1), bad)
    assert effects == []


def test_none_says_nothing() -> None:
    effects = EffectBuffer()
    effects.emit(Notify(1), None)
    assert effects.flat().options == {}


def test_emit_all_of_a_buffer_keeps_the_options() -> None:
    source = buffer(Notify(1))
    source.emit(Notify(2), LATER)
    source.emit(Mail("a"), NAMED)
    target = buffer(Mail("before"))
    target.emit_all(source)
    assert target == [Mail("before"), Notify(1), Notify(2), Mail("a")]
    assert target.flat().options == {2: LATER, 3: NAMED}


def test_a_buffer_made_of_a_buffer_keeps_the_options() -> None:
    source = EffectBuffer()
    source.emit(Notify(1), NAMED)
    assert EffectBuffer(source).flat().options == {0: NAMED}


def test_options_kept_by_emit_all_reach_the_report() -> None:
    source = EffectBuffer()
    source.emit(Notify(1), NAMED)
    with Boundary({Notify: lambda _: None}).scope() as effects:
        effects.emit(Notify(0))
        effects.emit_all(source)
    assert effects.report.entries[1].id == NAMED.id


def test_buffers_are_equal_whatever_the_options() -> None:
    effects = EffectBuffer()
    effects.emit(Notify(1), LATER)
    assert effects == buffer(Notify(1))


# -- marks ----------------------------------------------------------------------------------------


def test_since_a_mark_is_what_was_emitted_after_it() -> None:
    effects = buffer(Notify(1))
    first = effects.mark()
    effects.emit(Mail("a"))
    second = effects.mark()
    effects.emit(Mail("b"))
    assert effects.since(first) == [Mail("a"), Mail("b")]
    assert effects.since(second) == [Mail("b")]
    assert effects.since(effects.mark()) == []


@given(intents, intents)
def test_before_and_since_make_the_whole(before: list[Any], after: list[Any]) -> None:
    effects = EffectBuffer(before)
    mark = effects.mark()
    effects.emit_all(after)
    assert effects.since(mark) == after
    assert effects == before + after


def test_a_mark_in_a_scope_sees_its_regions() -> None:
    """Those opened before the mark and after it, in the order of the buffer."""
    with Boundary({Notify: lambda _: None}).scope() as effects:
        effects.emit(Notify(1))
        with region(Drop()):
            effects.emit(Notify(2))
            mark = effects.mark()
            effects.emit(Notify(3))
        with region(Drop()):
            effects.emit(Notify(4))
        effects.emit(Notify(5))
        assert effects.since(mark) == [Notify(3), Notify(4), Notify(5)]


def test_a_mark_belongs_to_its_buffer() -> None:
    with pytest.raises(ValueError, match="made by another buffer"):
        EffectBuffer().since(EffectBuffer().mark())
