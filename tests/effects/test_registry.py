"""Which classes are intents, and by which kinds they are known."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from airlock import intent
from airlock.effects.intent import admit
from airlock.effects.registry import KNOWN, declared, describe, spec_of, types_named
from airlock.errors import DeclarationError, DuplicateKindError, FieldError


@intent
class Registered:
    n: int


@intent(kind="tests.registry.named", version=2)
class Named:
    pass


def test_the_kind_is_module_and_qualified_name_unless_given() -> None:
    assert spec_of(Registered).kind == f"{__name__}.Registered"
    assert spec_of(Registered).version == 1


def test_kind_and_version_can_be_given() -> None:
    spec = spec_of(Named)
    assert (spec.kind, spec.version) == ("tests.registry.named", 2)


def test_the_spec_knows_where_the_class_was_declared() -> None:
    """The line is that of the decorator."""
    _, line = inspect.getsourcelines(Registered)
    assert spec_of(Registered).place == (__file__, line)


@pytest.mark.parametrize("value", [int, 3, None])
def test_only_decorated_classes_have_a_spec(value: Any) -> None:
    with pytest.raises(DeclarationError, match="decorate it with @intent"):
        spec_of(value)


def test_a_value_has_no_spec_and_its_class_is_named() -> None:
    value: Any = Registered(1)
    with pytest.raises(DeclarationError, match="a value: give its class, Registered"):
        spec_of(value)


def test_a_subclass_has_no_spec_of_its_own_until_it_is_decorated() -> None:
    class Undecorated(Registered):
        pass

    with pytest.raises(DeclarationError, match="decorate it with @intent"):
        spec_of(Undecorated)


def test_declared_lists_intents_in_order_of_declaration() -> None:
    every = declared()
    assert every.index(Registered) < every.index(Named)


def test_a_declared_class_is_known() -> None:
    assert Registered in KNOWN
    admit(Registered(1))


def test_an_unknown_kind_names_no_type() -> None:
    assert types_named("tests.registry.no-such-kind") == ()


def test_two_classes_cannot_claim_one_kind_and_version() -> None:
    """The second is refused, and the first stays."""

    @intent(kind="tests.registry.claimed")
    class First:
        pass

    with pytest.raises(DuplicateKindError) as caught:

        @intent(kind="tests.registry.claimed")
        class Second:
            pass

    assert types_named("tests.registry.claimed") == (First,)
    assert (caught.value.kind, caught.value.version) == ("tests.registry.claimed", 1)
    assert "First" in caught.value.first
    assert "Second" in caught.value.second
    assert "test_registry.py:" in caught.value.first


def test_one_kind_may_have_several_versions() -> None:
    @intent(kind="tests.registry.versioned", version=1)
    class Old:
        pass

    @intent(kind="tests.registry.versioned", version=2)
    class New:
        extra: int = 0

    assert types_named("tests.registry.versioned") == (Old, New)


def test_the_same_place_declared_again_replaces() -> None:
    """A reloaded module, or a class inside a function that is called twice."""

    def declare() -> type[Any]:
        @intent(kind="tests.registry.again")
        class Again:
            pass

        return Again

    first, second = declare(), declare()
    assert first is not second
    assert types_named("tests.registry.again") == (second,)


def test_values_of_a_replaced_class_can_still_be_emitted() -> None:
    def declare() -> type[Any]:
        @intent(kind="tests.registry.replaced")
        class Replaced:
            pass

        return Replaced

    first, _ = declare(), declare()
    admit(first())


def test_what_was_refused_is_not_registered() -> None:
    with pytest.raises(FieldError):

        @intent(kind="tests.registry.refused")
        class Refused:
            items: list[int]

    assert types_named("tests.registry.refused") == ()


def test_anything_is_described_in_few_words() -> None:
    assert describe(Registered) == "the class Registered"
    assert describe(test_an_unknown_kind_names_no_type) == "test_an_unknown_kind_names_no_type"
    assert describe("text") == "'text'"
    assert len(describe(list(range(1000)))) == 80
