"""``@effect``: a function as an effect."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from dependency_injector import containers, providers

import airlock
from airlock import Boundary, EffectBuffer, Handles, effect, enqueue, field, intent, needs
from airlock.effects.function import EffectFunction
from airlock.effects.registry import spec_of
from airlock.errors import (
    DeclarationError,
    DirectCallError,
    DuplicateKindError,
    FieldError,
    HandlerSignatureError,
    NotAnIntentError,
)
from airlock.testing import FakeHandler, Recording

Calls = list[tuple[Any, ...]]

loose: Any = effect
"""``@effect`` as it is seen by callers without a type checker."""


class Http:
    def __init__(self) -> None:
        self.calls: Calls = []


@effect
def notify_warehouse(order_id: int, *, urgent: bool = False, http: Http = needs()) -> str:
    """Tell the warehouse about an order."""
    http.calls.append((order_id, urgent))
    return f"notified of {order_id}"


@effect
def restock(product_id: int, amount: int = 1) -> int:
    return product_id * amount


@effect
async def charge(card: str, *, http: Http = needs()) -> str:
    http.calls.append((card,))
    return card


@effect
def refresh() -> None: ...


def wired(http: Http) -> Boundary:
    container = containers.DynamicContainer()
    container.notify = Handles(notify_warehouse, http=providers.Object(http))
    container.charge = Handles(charge, http=providers.Object(http))
    container.restock = Handles(restock)
    return Boundary(container)


# -- the intent -----------------------------------------------------------------------------------


def test_the_parameters_are_the_fields_of_an_intent() -> None:
    """Those marked with ``needs()`` are not."""
    fields = attrs.fields(notify_warehouse.intent_type)
    assert [(f.name, f.kw_only) for f in fields] == [("order_id", False), ("urgent", True)]
    assert notify_warehouse.needs == ("http",)


def test_the_kind_is_module_and_name() -> None:
    assert spec_of(notify_warehouse.intent_type).kind == f"{__name__}.notify_warehouse"


def test_the_place_is_that_of_the_decorator() -> None:
    _, line = inspect.getsourcelines(notify_warehouse.function)
    assert spec_of(notify_warehouse.intent_type).place == (__file__, line)


def test_intent_makes_a_value_and_runs_nothing() -> None:
    value = notify_warehouse.intent(42, urgent=True)
    assert repr(value) == "notify_warehouse(order_id=42, urgent=True)"
    assert value == notify_warehouse.intent(order_id=42, urgent=True)
    assert hash(value) == hash(notify_warehouse.intent(42, urgent=True))


def test_defaults_fill_in() -> None:
    assert restock.intent(7) == restock.intent(7, 1) == restock.intent(amount=1, product_id=7)


def test_an_effect_may_have_no_arguments() -> None:
    assert refresh.intent() == refresh.intent()
    assert repr(refresh.intent()) == "refresh()"


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "missing 1 required positional argument: 'order_id'"),
        ((1, True), {}, "takes 2 positional arguments but 3 were given"),
        ((1,), {"urgnt": True}, "unexpected keyword argument 'urgnt'"),
        ((1,), {"order_id": 2}, "multiple values for argument 'order_id'"),
    ],
)
def test_arguments_are_bound_when_it_is_emitted(
    args: tuple[Any, ...], kwargs: dict[str, Any], text: str
) -> None:
    """Not when it runs."""
    with pytest.raises(TypeError, match=text):
        notify_warehouse.intent(*args, **kwargs)


def test_a_dependency_is_not_given_at_emission() -> None:
    with pytest.raises(TypeError, match="takes http from the container: leave it out here"):
        notify_warehouse.intent(42, http=Http())


def test_a_dependency_given_by_position_is_refused() -> None:
    """A positional dependency is not taken for the parameter after it."""

    def declare_and_emit() -> None:
        @effect
        def send(to: str, client: object = needs(), subject: str = "") -> None: ...

        send.intent("a@example.org", "a client")

    with pytest.raises((TypeError, DeclarationError)):
        declare_and_emit()


def test_an_intent_of_an_effect_cannot_be_changed() -> None:
    value: Any = restock.intent(7)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.amount = 2
    assert airlock.replace(value, amount=2) == restock.intent(7, 2)


# -- running it -----------------------------------------------------------------------------------


def test_calling_it_directly_is_refused() -> None:
    """That is the bug it is there to end."""
    with pytest.raises(DirectCallError, match=r"airlock\.enqueue\(notify_warehouse, \.\.\.\)"):
        notify_warehouse(42)


def test_run_says_that_you_mean_it() -> None:
    http = Http()
    assert notify_warehouse.run(42, urgent=True, http=http) == "notified of 42"
    assert http.calls == [(42, True)]


def test_run_needs_the_dependencies() -> None:
    with pytest.raises(TypeError, match=r"notify_warehouse\.run\(\) needs http: pass it by name"):
        notify_warehouse.run(42)


@pytest.mark.anyio
async def test_run_of_an_async_effect_is_awaited() -> None:
    http = Http()
    assert await charge.run("4111", http=http) == "4111"
    assert http.calls == [("4111",)]


def test_enqueue_emits_the_intent() -> None:
    http = Http()
    with wired(http).scope() as effects:
        enqueue(notify_warehouse, 42)
        enqueue(notify_warehouse, 43, urgent=True)
        assert effects == [notify_warehouse.intent(42), notify_warehouse.intent(43, urgent=True)]
        assert http.calls == []
    assert http.calls == [(42, False), (43, True)]


@pytest.mark.anyio
async def test_an_async_effect_runs_in_an_async_scope() -> None:
    http = Http()
    async with wired(http).scope():
        enqueue(charge, "4111")
    assert http.calls == [("4111",)]


def test_an_effect_without_dependencies_is_its_own_handler_in_a_mapping() -> None:
    with Boundary({restock: restock}).scope() as effects:
        enqueue(restock, 7)
    assert effects.report.delivered == [restock.intent(7)]


def test_any_other_handler_may_stand_for_it() -> None:
    fake = FakeHandler()
    with Boundary({restock: fake}).scope():
        enqueue(restock, 7)
    assert fake.intents == [restock.intent(7)]


def test_enqueue_refuses_a_raw_callable(effects: Recording) -> None:
    raw: Any = print
    raw_enqueue: Any = enqueue
    with pytest.raises(NotAnIntentError, match=r"decorated with @airlock\.effect"):
        enqueue(raw, 42)
    with pytest.raises(NotAnIntentError, match=r"emitted with airlock\.emit"):
        raw_enqueue(restock.intent_type, 42)
    assert effects == []


def test_an_effect_function_itself_cannot_be_emitted() -> None:
    raw: Any = restock
    with pytest.raises(NotAnIntentError, match=r"airlock\.enqueue"):
        EffectBuffer().emit(raw)


@pytest.mark.parametrize("bad", [{}, {"htp": 1}, {"http": 1, "more": 2}])
def test_its_dependencies_are_checked_where_they_are_wired(bad: dict[str, Any]) -> None:
    with pytest.raises(HandlerSignatureError):
        Handles(notify_warehouse, **bad)


def test_positional_only_parameters_are_delivered_too() -> None:
    """An effect that can be emitted can be run."""
    seen: Calls = []

    @effect
    def positional(first: int, /, second: int) -> None:
        seen.append((first, second))

    wiring: dict[Any, Any] = {positional: positional}
    with Boundary(wiring).scope():
        enqueue(positional, 1, 2)
    assert seen == [(1, 2)]


# -- as an object ---------------------------------------------------------------------------------


def test_it_keeps_name_docstring_and_signature() -> None:
    assert notify_warehouse.__name__ == "notify_warehouse"
    assert notify_warehouse.__doc__ == "Tell the warehouse about an order."
    assert notify_warehouse.__module__ == __name__
    assert list(inspect.signature(notify_warehouse).parameters) == ["order_id", "urgent", "http"]


def test_it_shows_that_it_is_an_effect() -> None:
    assert repr(notify_warehouse) == f"<effect {__name__}.notify_warehouse>"
    assert repr(needs()) == "airlock.needs()"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_pickles_by_name(protocol: int) -> None:
    assert pickle.loads(pickle.dumps(notify_warehouse, protocol)) is notify_warehouse


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_its_intents_pickle(protocol: int) -> None:
    """Although the name of their class is the function's."""
    for value in (notify_warehouse.intent(42, urgent=True), restock.intent(7), refresh.intent()):
        assert pickle.loads(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_it_and_its_intents_copy(copied: Callable[[Any], Any]) -> None:
    assert copied(notify_warehouse) is notify_warehouse
    assert copied(restock.intent(7)) == restock.intent(7)


def test_it_is_made_by_the_decorator() -> None:
    assert isinstance(notify_warehouse, EffectFunction)
    assert notify_warehouse.function.__name__ == "notify_warehouse"


# -- what cannot be an effect ---------------------------------------------------------------------


class Callee:
    def method(self, order_id: int) -> None: ...

    def __call__(self, order_id: int) -> None: ...


@pytest.mark.parametrize(
    "value",
    [Callee, Callee(), Callee().method, print, 3, restock, notify_warehouse.intent(1)],
    ids=lambda value: type(value).__name__,
)
def test_only_a_function_can_be_an_effect(value: object) -> None:
    with pytest.raises(DeclarationError, match="@effect takes a function, not"):
        loose(value)


def test_a_parameter_needs_an_annotation() -> None:
    def bare(order_id) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(FieldError, match="order_id has no annotation") as caught:
        loose(bare)
    assert "airlock.needs()" in caught.value.hint


@pytest.mark.parametrize("name", ["self", "cls"])
def test_a_method_is_refused(name: str) -> None:
    """An intent carries data, not the object."""
    space: dict[str, Any] = {}
    exec(f"def method({name}, order_id: int) -> None: ...", space)
    with pytest.raises(FieldError, match="Decorate a function, not a method"):
        loose(space["method"])


def test_an_annotated_self_is_refused_too() -> None:
    def method(self: int, order_id: int) -> None: ...

    with pytest.raises(DeclarationError):
        loose(method)


@pytest.mark.parametrize("signature", ["*args: int", "**kwargs: int", "a: int, *args: int"])
def test_a_parameter_without_a_name_of_its_own_is_refused(signature: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def variadic({signature}) -> None: ...", space)
    with pytest.raises(
        DeclarationError, match=r"takes \*(args|kwargs): an intent has named fields"
    ):
        loose(space["variadic"])


def test_a_private_parameter_is_refused() -> None:
    def private(_token: str) -> None: ...

    with pytest.raises(FieldError, match=r"_token is private .* Rename it to 'token'"):
        effect(private)


@pytest.mark.parametrize("hint", ["list[int]", "dict[str, int]", "type", "Http"])
def test_a_parameter_is_a_value_like_any_field(hint: str) -> None:
    def wrong(value: object) -> None: ...

    wrong.__annotations__["value"] = hint
    with pytest.raises(FieldError) as caught:
        effect(wrong)
    assert caught.value.field == "value"


def test_the_advice_for_a_mutable_parameter_works() -> None:
    """``field(hash=False)``, which an intent may have, has no place in a parameter list."""

    @effect
    def with_rows(rows: tuple[int, ...], *, client: list[int] = needs()) -> None: ...

    @intent
    class Sum:
        rows: list[int] = field(hash=False)

    assert with_rows.intent((1, 2)) == with_rows.intent((1, 2))
    assert with_rows.needs == ("client",)
    assert hash(Sum([1])) == hash(Sum([2]))


def test_a_module_may_have_any_global_names() -> None:
    """Parameter types are looked up among them."""
    space: dict[str, Any] = {"__name__": "names", "effect": effect}
    exec("frame = self = insist = others = 1\n@effect\ndef f(a: int) -> None: ...", space)
    assert space["f"].intent(1) == space["f"].intent(1)


def test_a_dependency_may_be_of_any_type() -> None:
    @effect
    def untyped(order_id: int, *, rows: list[int] = needs(), http=needs()) -> None: ...  # type: ignore[no-untyped-def]

    assert untyped.needs == ("rows", "http")


def test_two_functions_of_one_name_cannot_both_be_effects() -> None:
    """Their kind would be the same; declared again in the same place, one replaces the other."""

    def declare(extra: str) -> Any:
        space: dict[str, Any] = {"__name__": __name__}
        exec(f"def doubled(order_id: int{extra}) -> None: ...", space)
        return loose(space["doubled"])

    first, second = declare(""), declare(", more: int = 0")
    assert spec_of(first.intent_type).kind == spec_of(second.intent_type).kind

    with pytest.raises(DuplicateKindError):

        @airlock.intent(kind=f"{__name__}.doubled")
        class Doubled:
            pass
