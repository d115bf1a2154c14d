"""Emission that cannot be taken: each mistake is an error of its own, and nothing is recorded."""

# ruff: noqa: PT012 - a block that emits and then fails is what these tests are about
from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

import airlock
from airlock import (
    ALLOW,
    Allow,
    Boundary,
    EffectBuffer,
    Options,
    Policy,
    Scope,
    Verdict,
    View,
    effect,
)
from airlock.errors import (
    AirlockError,
    ClosedRegionError,
    DirectCallError,
    EmittedInPolicyError,
    NoScopeError,
    NotAnIntentError,
    OptionError,
    ScopeStateError,
)
from tests.boundary.vocabulary import (
    AuditEntry,
    NotifyWarehouse,
    SendEmail,
    assert_usable,
    next_line,
)


def emit_here(_: Scope | None, subject: Any) -> None:
    airlock.emit(subject)


def emit_here_with_options(_: Scope | None, subject: Any) -> None:
    airlock.emit(subject, Options(headers={"a": "b"}))


def emit_all_here(_: Scope | None, subject: Any) -> None:
    airlock.emit_all([subject])


def emit_into(scope: Scope | None, subject: Any) -> None:
    assert scope is not None
    scope.emit(subject)


def emit_into_with_options(scope: Scope | None, subject: Any) -> None:
    assert scope is not None
    scope.emit(subject, Options(headers={"a": "b"}))


def emit_all_into(scope: Scope | None, subject: Any) -> None:
    assert scope is not None
    scope.emit_all([NotifyWarehouse(99), subject])


Way = Callable[[Scope | None, Any], None]
AMBIENT: list[Way] = [emit_here, emit_here_with_options, emit_all_here]
HELD: list[Way] = [emit_into, emit_into_with_options, emit_all_into]


# -- no scope -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", AMBIENT)
def test_without_a_scope(way: Way) -> None:
    """Nothing would ever decide about it: open one, or pass a buffer."""
    with pytest.raises(NoScopeError) as raised:
        way(None, NotifyWarehouse(7))
    text = str(raised.value)
    assert "cannot emit NotifyWarehouse(order_id=7)" in text
    assert "no scope is open in this thread or task, so nothing would ever decide about it" in text
    assert "`with boundary.scope(): ...`" in text
    assert "pass an EffectBuffer" in text
    assert_usable()


def test_enqueue_without_a_scope() -> None:
    """The same error."""

    @effect
    def restock(product: int) -> None: ...

    with pytest.raises(NoScopeError, match=r"restock\(product=7\)"):
        airlock.enqueue(restock, 7)
    assert_usable()


def test_in_a_thread_without_a_scope(boundary: Boundary) -> None:
    """A plain thread does not inherit the scope of the thread that started it."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            airlock.emit(NotifyWarehouse())
        except NoScopeError as error:
            errors.append(error)
        assert_usable()

    with boundary.scope() as effects:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(30)
        assert effects == []
    (error,) = errors
    assert "a new thread or greenlet starts without one" in str(error)


# -- closed scopes --------------------------------------------------------------------------------


def left(boundary: Boundary) -> tuple[Scope, str]:
    """A scope whose block has ended, and where it was opened."""
    place = next_line()
    with boundary.scope() as effects:
        pass
    return effects, place


@pytest.mark.parametrize("way", HELD)
def test_into_a_closed_scope(boundary: Boundary, handled: list[Any], way: Way) -> None:
    """The message says which scope, where it was opened, what ended it, what to do."""
    effects, place = left(boundary)
    with pytest.raises(ClosedRegionError) as raised:
        way(effects, NotifyWarehouse(7))
    text = str(raised.value)
    assert "cannot emit NotifyWarehouse(order_id=" in text
    assert "into the scope opened at" in text
    assert place in text
    assert "its block has ended" in text
    assert "Nothing was recorded" in text
    assert "opens a scope of its own" in text
    assert handled == []
    assert len(effects.report) == 0
    assert_usable()


def test_into_a_discarded_scope(boundary: Boundary) -> None:
    """It says that it was discarded."""
    scope = boundary.scope()
    scope.enter()
    scope.exit()
    scope.discard()
    with pytest.raises(ClosedRegionError, match="it was discarded"):
        scope.emit(NotifyWarehouse())
    assert_usable()


def test_into_a_scope_that_was_not_entered(boundary: Boundary) -> None:
    """It has no lifetime yet."""
    scope = boundary.scope()
    for way in HELD:
        with pytest.raises(ScopeStateError, match=r"has not been entered.*`with scope: ...`"):
            way(scope, NotifyWarehouse())
    assert_usable()
    with scope:
        scope.emit(NotifyWarehouse())


def test_into_a_nested_scope_that_has_ended(boundary: Boundary, handled: list[Any]) -> None:
    """Its intents are captured; it takes no more, though the outer scope is open."""
    with boundary.scope() as outer:
        place = next_line()
        with boundary.scope() as inner:
            inner.emit(NotifyWarehouse(1))
        with pytest.raises(ClosedRegionError) as raised:
            inner.emit(NotifyWarehouse(2))
        assert place in str(raised.value)
        outer.emit(NotifyWarehouse(3))
    assert handled == [NotifyWarehouse(1), NotifyWarehouse(3)]


@pytest.mark.parametrize("way", AMBIENT)
def test_from_a_context_that_outlives_the_scope(boundary: Boundary, way: Way) -> None:
    """A callback with a copied context, after the block: refused, not lost."""
    with boundary.scope() as effects, airlock.region(Allow()):
        context = contextvars.copy_context()
    with pytest.raises(ClosedRegionError, match="its block has ended"):
        context.run(way, None, NotifyWarehouse())
    assert len(effects.report) == 0
    assert_usable()


def test_blocks_of_a_closed_scope(boundary: Boundary) -> None:
    """An override of it cannot be opened any more, and nothing is current after the attempt."""
    effects, place = left(boundary)
    with pytest.raises(AirlockError) as raised, effects.override({NotifyWarehouse: None}):
        pass
    assert place in str(raised.value)
    assert_usable()


# -- what is no intent ----------------------------------------------------------------------------


class Undecorated(SendEmail):
    """Forgot ``@intent``."""


def plain_function() -> None:
    """Not an effect."""


NO_INTENTS: list[tuple[Any, list[str]]] = [
    (NotifyWarehouse, ["the class NotifyWarehouse", "Call it: NotifyWarehouse(...)"]),
    (plain_function, ["plain_function", "a callable", "@airlock.effect", "airlock.enqueue(fn"]),
    (lambda: None, ["<lambda>", "a callable cannot be compared, stored or reviewed"]),
    (print, ["print", "a callable"]),
    (Undecorated(), ["a Undecorated", "undecorated subclass of SendEmail", "Decorate Undecorated"]),
    (42, ["cannot emit 42", "it is not an intent", "Declare its class with @intent"]),
    (None, ["cannot emit None", "@intent"]),
    ("mail", ["cannot emit 'mail'", "@intent"]),
    ([NotifyWarehouse()], ["cannot emit [NotifyWarehouse", "emit_all(...)"]),
    (ValueError("x"), ["ValueError", "@intent"]),
]


@pytest.mark.parametrize("way", [*AMBIENT, *HELD])
@pytest.mark.parametrize(("subject", "words"), NO_INTENTS)
def test_what_is_no_intent(
    boundary: Boundary, handled: list[Any], way: Way, subject: Any, words: list[str]
) -> None:
    """A class, a raw callable, an undecorated subclass, any other value: each says what to do."""
    with boundary.scope() as effects:
        with pytest.raises(NotAnIntentError) as raised:
            way(effects, subject)
        assert effects == []
    assert handled == []
    for word in words:
        assert word in str(raised.value)
    assert_usable()


@pytest.mark.parametrize(("subject", "words"), NO_INTENTS)
def test_what_is_no_intent_for_a_buffer(subject: Any, words: list[str]) -> None:
    """A buffer is as strict as a scope."""
    buffer = EffectBuffer()
    for emit in (buffer.emit, lambda one: buffer.emit_all([NotifyWarehouse(), one])):
        with pytest.raises(NotAnIntentError) as raised:
            emit(subject)
        for word in words:
            assert word in str(raised.value)
    assert buffer == []


def test_a_raw_callable_is_not_enqueued(boundary: Boundary) -> None:
    """``enqueue`` takes effect functions."""
    with boundary.scope() as effects:
        for function in (plain_function, print, NotifyWarehouse):
            with pytest.raises(NotAnIntentError) as raised:
                airlock.enqueue(function)  # type: ignore[arg-type]
            assert "takes a function decorated with @airlock.effect" in str(raised.value)
            assert "airlock.emit(...)" in str(raised.value)
        assert effects == []
    assert_usable()


def test_an_effect_function_is_not_called() -> None:
    """That would run the effect here and now: the message has all three ways to mean something."""

    @effect
    def restock(product: int) -> None: ...

    with pytest.raises(DirectCallError) as raised:
        restock(7)
    for word in ("would run the effect here and now", "enqueue(", "restock.intent(", ".run("):
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "option", "problem"),
    [
        (lambda: Options(id="x"), "id", "must be a UUID, not str"),  # type: ignore[arg-type]
        (lambda: Options(delay=5), "delay", "must be a timedelta"),  # type: ignore[arg-type]
        (lambda: Options(delay=timedelta(-1)), "delay", "must not be negative"),
        (lambda: Options(ordering_key=1), "ordering_key", "must be a str"),  # type: ignore[arg-type]
        (lambda: Options(dedupe_key=b"x"), "dedupe_key", "must be a str"),  # type: ignore[arg-type]
        (lambda: Options(headers={"a": 1}), "headers", "must map str to str"),  # type: ignore[dict-item]
        (lambda: Options(headers=[("a", "b")]), "headers", "must map"),  # type: ignore[arg-type]
    ],
)
def test_options_are_checked(wrong: Callable[[], object], option: str, problem: str) -> None:
    """When they are made; the message shows how to write them."""
    with pytest.raises(OptionError) as raised:
        wrong()
    assert f"emission option {option!r} {problem}" in str(raised.value)
    assert "emit(intent, Options(...))" in str(raised.value)


@pytest.mark.parametrize("wrong", [{"delay": 5}, "urgent", Options, 0])
def test_options_are_one_value(boundary: Boundary, wrong: Any) -> None:
    """A mapping or a keyword is none."""
    with boundary.scope() as effects:
        for emit in (airlock.emit, effects.emit):
            with pytest.raises(OptionError, match=r"must be an airlock.Options.*Options\(\.\.\.\)"):
                emit(NotifyWarehouse(), wrong)
        assert effects == []
    assert_usable()


# -- policies -------------------------------------------------------------------------------------


def opens_a_scope(scope: Scope | None, _: Any) -> None:
    """Try to get around the ban with a scope of another boundary."""
    with Boundary({NotifyWarehouse: print}).scope() as inner:
        inner.emit(NotifyWarehouse())


def opens_a_region(scope: Scope | None, _: Any) -> None:
    with airlock.region(Allow()):
        pass


def opens_an_enclosure(scope: Scope | None, _: Any) -> None:
    with airlock.enclose(Allow()):
        pass


def overrides(scope: Scope | None, _: Any) -> None:
    assert scope is not None
    with scope.override({NotifyWarehouse: None}):
        pass


FROM_POLICIES = [*AMBIENT, *HELD, opens_a_scope, opens_a_region, opens_an_enclosure, overrides]


@pytest.mark.parametrize("way", FROM_POLICIES)
def test_from_inside_a_policy_that_decides(
    boundary: Boundary, handled: list[Any], way: Way
) -> None:
    """Ambient, held, or through a block of its own: the flush is refused, nothing is lost."""
    scopes: list[Scope] = []

    def emits(view: View) -> Sequence[Verdict]:
        way(scopes[0], SendEmail())
        return [ALLOW] * len(view)

    with pytest.raises(EmittedInPolicyError) as raised, boundary.scope(policy=emits) as effects:
        scopes.append(effects)
        effects.emit(NotifyWarehouse())
    text = str(raised.value)
    assert "emits: policies judge intents, they do not make them" in text
    assert "Emit from the domain code or from a handler" in text
    assert "Expands" in text
    assert raised.value.report is effects.report
    assert effects.report.pending == [NotifyWarehouse()]
    assert handled == []
    assert_usable()


@pytest.mark.parametrize("way", FROM_POLICIES)
def test_from_inside_a_policy_at_the_emit_site(
    boundary: Boundary, handled: list[Any], way: Way
) -> None:
    """``refuse`` is a policy too; the emission that it judged is not taken either."""
    scopes: list[Scope] = []

    class Chatty(Policy):
        def refuse(self, subject: Any, /) -> None:
            if subject == NotifyWarehouse():
                way(scopes[0], SendEmail())

    with boundary.scope(policy=Chatty()) as effects:
        scopes.append(effects)
        for emit in (airlock.emit, effects.emit):
            with pytest.raises(EmittedInPolicyError) as raised:
                emit(NotifyWarehouse())
            assert "from inside" in str(raised.value)
            assert "policies judge intents, they do not make them" in str(raised.value)
            assert "Emit from the domain code or from a handler" in str(raised.value)
        assert effects == []
        airlock.emit(AuditEntry())
    assert handled == [AuditEntry()]
    assert_usable()


def test_from_inside_a_predicate_a_key_or_a_chooser(boundary: Boundary) -> None:
    """Whatever a policy asks is part of it."""

    def chatty(_: Any) -> bool:
        airlock.emit(SendEmail())
        return True

    def chooser(one: Any, _: Any) -> Any:
        airlock.emit(SendEmail())
        return one

    for policy in (
        airlock.Drop().where(chatty),
        airlock.Dedupe(key=chatty),
        airlock.Limit(1, per=chatty),
        airlock.Dedupe(key=type, keep=chooser),
    ):
        with (
            pytest.raises(EmittedInPolicyError),
            boundary.scope(policy=policy) as effects,
        ):
            effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
        assert len(effects.report.pending) == 2
        assert_usable()
