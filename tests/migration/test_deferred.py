"""``Reads``: whether what a callback reads has changed, without calling anybody's code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest

from airlock.migration.deferred import Reads

number = 0


class Order:
    def __init__(self, status: str = "new") -> None:
        self.status = status
        self.lines = [1]
        self._private = 0

    def __eq__(self, other: object) -> bool:
        raise AssertionError("nobody may ask")

    __hash__ = None  # type: ignore[assignment]  # as for any with __eq__

    def send(self) -> None:
        """Read itself."""


@attrs.define
class Slotted:
    status: str = "new"


def ignore(*_: object, **__: object) -> None: ...


def loop_variable() -> tuple[Callable[[], object], Callable[[], object]]:
    value = 1

    def change() -> None:
        nonlocal value
        value = 2

    return lambda: value, change


def module_variable() -> tuple[Callable[[], object], Callable[[], object]]:
    def change() -> None:
        globals()["number"] += 1

    return lambda: number, change


def of_an_object(
    made: Any, change: Callable[[Any], object], read: Callable[[Any], Any] = lambda it: lambda: it
) -> tuple[Callable[[], object], Callable[[], object]]:
    return read(made), lambda: change(made)


def calling(function: Callable[[], object]) -> Callable[[], object]:
    return lambda: function()  # noqa: PLW0108 - the inner one is what is tested


def rename(order: Any) -> None:
    order.status = "paid"


CHANGING: dict[str, Callable[[], tuple[Callable[[], object], Callable[[], object]]]] = {
    "loop variable": loop_variable,
    "module variable": module_variable,
    "list": lambda: of_an_object([1], lambda it: it.append(2)),
    "list, same length": lambda: of_an_object([1], lambda it: it.__setitem__(0, 2)),
    "dict": lambda: of_an_object({"a": 1}, lambda it: it.update(a=2)),
    "set": lambda: of_an_object({1}, lambda it: it.add(2)),
    "attribute": lambda: of_an_object(Order(), rename),
    "slot": lambda: of_an_object(Slotted(), rename),
    "in a list": lambda: of_an_object([Order()], lambda it: rename(it[0])),
    "in an attribute": lambda: of_an_object(Order(), lambda it: it.lines.append(2)),
    "partial": lambda: of_an_object(Order(), rename, lambda it: partial(ignore, it)),
    "keyword": lambda: of_an_object(Order(), rename, lambda it: partial(ignore, order=it)),
    "method": lambda: of_an_object(Order(), rename, lambda it: it.send),
    "default": lambda: of_an_object(Order(), rename, lambda it: lambda order=it: order),
    "inner": lambda: of_an_object(Order(), rename, lambda it: calling(lambda: it)),
}


@pytest.mark.parametrize("what", CHANGING)
def test_what_has_changed_is_named(what: str) -> None:
    function, change = CHANGING[what]()
    reads = Reads(function)
    assert reads.changed() == []
    change()
    assert len(reads.changed()) >= 1


def test_names_are_those_of_the_code() -> None:
    order, rows = Order(), [1]
    reads = Reads(lambda: (order, rows))
    rename(order)
    rows.append(2)
    assert reads.changed() == ["order.status", "rows"]


def test_what_was_bound_has_not_changed() -> None:
    for value in (1, "a", None, 1.5, float("nan"), (1, 2), frozenset({1})):
        reads = Reads(partial(ignore, value))
        assert reads.changed() == []


def test_what_the_function_itself_changes_is_left_out() -> None:
    rows: list[int] = []
    at = 1

    def function() -> None:
        rows.append(at)

    reads = Reads(function)
    function()
    reads.ran()
    rows.append(2)
    assert reads.changed() == []
    at = 2
    assert reads.changed() == ["at"]


def test_private_state_and_code_is_left_out() -> None:
    order = Order()
    reads = Reads(lambda: (order, pytest, Order, len, ignore))
    order._private = 2
    assert reads.changed() == []
