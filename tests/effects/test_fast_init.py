"""The fast ``__init__``: whatever the fields, the class behaves exactly as attrs made it."""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock import field, intent
from airlock.effects.fast_init import speed_up

NAMES = ("a", "b", "cls", "type", "object", "attrs", "Factory", "made", "_under", "Ünicode")
ALIASES = ("x", "y", "z", "args", "kwargs", "slots")


@attrs.frozen
class Slot:
    """One field of a layout.

    Attributes:
        name: of the field.
        default: which kind: none, value, factory, or a factory that looks at the instance.
        kw_only: whether it is keyword-only.
        alias: the name of its argument, where it has one of its own.
    """

    name: str
    default: str
    kw_only: bool
    alias: str | None

    @property
    def argument(self) -> str:
        return self.alias or self.name.lstrip("_")

    def made(self) -> Any:
        options: dict[str, Any] = {"kw_only": self.kw_only, "alias": self.alias}
        if self.default == "value":
            options["default"] = f"default of {self.name}"
        elif self.default == "factory":
            options["factory"] = list
        elif self.default == "takes_self":
            options["default"] = attrs.Factory(_seen_so_far, takes_self=True)
        return attrs.field(**options)


def _seen_so_far(instance: Any) -> list[str]:
    """What a factory can read of the instance: the fields before its own."""
    return [a.name for a in attrs.fields(type(instance)) if hasattr(instance, a.name)]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Slot, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    aliases = draw(st.permutations(ALIASES))
    slots = [
        Slot(
            name,
            draw(st.sampled_from(("none", "none", "value", "factory", "takes_self"))),
            draw(st.booleans()),
            alias if draw(st.booleans()) else None,
        )
        for name, alias in zip(names, aliases, strict=False)
    ]
    # As for any function: positional parameters without a default come first.
    return tuple(sorted(slots, key=lambda s: not s.kw_only and s.default != "none"))


def build(layout: Sequence[Slot]) -> type[Any]:
    namespace: dict[str, Any] = {"__annotations__": {s.name: object for s in layout}}
    namespace |= {slot.name: slot.made() for slot in layout}
    namespace |= {"__module__": __name__, "__qualname__": "Layout"}
    return attrs.frozen(type("Layout", (), namespace), weakref_slot=False)


def outcome(call: Callable[[], object]) -> object:
    """What a call gives: its result, or the type and text of its error."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - whatever it is, both must raise it
        return type(error), str(error)


def values(instance: Any) -> object:
    if not attrs.has(type(instance)):
        return instance  # an outcome that is an error
    return {a.name: getattr(instance, a.name) for a in attrs.fields(type(instance))}


arguments = st.lists(st.integers(0, 3), max_size=7)


@given(layouts())
def test_the_signature_is_the_same(layout: tuple[Slot, ...]) -> None:
    stock, fast = build(layout), speed_up(build(layout))
    assert shown_signature(fast) == shown_signature(stock)
    assert fast.__init__.__annotations__ == stock.__init__.__annotations__
    assert fast.__init__.__qualname__ == stock.__init__.__qualname__
    assert fast.__init__.__doc__ == stock.__init__.__doc__
    assert fast.__init__.__module__ == stock.__init__.__module__
    assert inspect.getfullargspec(fast.__init__).args == inspect.getfullargspec(stock.__init__).args


def shown_signature(cls: type[Any]) -> list[tuple[str, object, object]]:
    parameters = inspect.signature(cls).parameters.values()
    return [(p.name, p.kind, p.default is not p.empty) for p in parameters]


@given(layouts(), arguments, st.data())
def test_every_call_gives_the_same_values_or_the_same_error(
    layout: tuple[Slot, ...], args: list[int], data: st.DataObject
) -> None:
    """Missing, unexpected and too many arguments included, and the words of the errors."""
    stock, fast = build(layout), speed_up(build(layout))
    kwargs = data.draw(keywords(layout))
    expected = outcome(lambda: values(stock(*args, **kwargs)))
    assert outcome(lambda: values(fast(*args, **kwargs))) == expected


@given(layouts(), st.data())
def test_calls_by_name_give_the_same_values(layout: tuple[Slot, ...], data: st.DataObject) -> None:
    """With every mandatory argument given, so that most of them succeed."""
    stock, fast = build(layout), speed_up(build(layout))
    kwargs = complete(layout, data)
    one, other = stock(**kwargs), fast(**kwargs)
    assert values(one) == values(other)
    assert repr(one) == repr(other)
    assert fast(**kwargs) == other


@given(layouts(), st.data())
def test_evolve_gives_the_same_values(layout: tuple[Slot, ...], data: st.DataObject) -> None:
    stock, fast = build(layout), speed_up(build(layout))
    kwargs, changes = complete(layout, data), data.draw(keywords(layout))
    expected = outcome(lambda: values(attrs.evolve(stock(**kwargs), **changes)))
    assert outcome(lambda: values(attrs.evolve(fast(**kwargs), **changes))) == expected


@given(layouts(), st.data(), st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_instances_pickle_as_before(
    layout: tuple[Slot, ...], data: st.DataObject, protocol: int
) -> None:
    """Also what the one class pickled and the other loads."""
    stock, fast = build(layout), speed_up(build(layout))
    kwargs = complete(layout, data)
    module: Any = sys.modules[__name__]
    for dumping, loading in ((fast, fast), (stock, fast), (fast, stock)):
        module.Layout = dumping
        text = pickle.dumps(dumping(**kwargs), protocol)
        module.Layout = loading
        assert values(pickle.loads(text)) == values(dumping(**kwargs))


def keywords(layout: Sequence[Slot]) -> st.SearchStrategy[dict[str, int]]:
    names = [slot.argument for slot in layout] + ["unknown"]
    return st.dictionaries(st.sampled_from(names), st.integers(10, 13))


def complete(layout: Sequence[Slot], data: st.DataObject) -> Mapping[str, int]:
    given_ones = data.draw(keywords(layout))
    given_ones.pop("unknown", None)
    missing = {slot.argument: 20 for slot in layout if slot.default == "none"}
    return {**missing, **given_ones}


# -- what it leaves alone -------------------------------------------------------------------------


def test_a_class_without_fields_keeps_its_init() -> None:
    empty = attrs.make_class("Empty", {}, frozen=True)
    before = vars(empty)["__init__"]
    assert speed_up(empty) is empty
    assert vars(empty)["__init__"] is before


@pytest.mark.parametrize(
    "options",
    [{"converter": str}, {"validator": attrs.validators.instance_of(int)}, {"init": False}],
    ids=str,
)
def test_a_field_that_is_more_than_stored_keeps_the_init(options: dict[str, Any]) -> None:
    cls = attrs.make_class(
        "Made", {"n": attrs.field(default=1, **options)}, frozen=True, slots=True
    )
    before = vars(cls)["__init__"]
    assert vars(speed_up(cls))["__init__"] is before


def test_hooks_around_the_init_keep_it() -> None:
    @attrs.frozen
    class Hooked:
        n: int

        def __attrs_post_init__(self) -> None:
            object.__setattr__(self, "n", self.n + 1)

    assert speed_up(Hooked)(1).n == 2


def test_an_init_of_ones_own_stays() -> None:
    @intent
    class Own:
        n: int

        def __init__(self, text: str) -> None:
            self.__attrs_init__(int(text))  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    assert Own("7").n == 7


def test_a_class_without_slots_keeps_its_init() -> None:
    @attrs.frozen(slots=False)
    class Unslotted:
        n: int

    before = vars(Unslotted)["__init__"]
    assert vars(speed_up(Unslotted))["__init__"] is before


def test_inherited_fields_are_set_too() -> None:
    @intent
    class Base:
        a: int

    @intent
    class Derived(Base):
        b: int = 2

    assert repr(Derived(1)).endswith("Derived(a=1, b=2)")


def test_a_default_is_shared_and_a_factory_called_each_time() -> None:
    @intent
    class Defaults:
        shared: object = field(default=shared_default)
        fresh: object = attrs.field(factory=object)

    one, other = Defaults(), Defaults()
    assert one.shared is other.shared
    assert one.fresh is not other.fresh


shared_default = object()


@pytest.mark.parametrize(
    "name", ["airlock_set0", "airlock_NOTHING", "airlock_make1", "airlock_default1"]
)
def test_no_field_name_collides_with_the_names_of_the_generated_code(name: str) -> None:
    layout = (Slot(name, "none", False, None), Slot("late", "factory", False, None))
    stock, fast = build(layout), speed_up(build(layout))
    assert values(fast(3)) == values(stock(3))
