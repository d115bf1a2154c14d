"""Emission, as type checkers see it: nothing here is an error, and all of it runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeVar, assert_type
from uuid import uuid4

import airlock
from airlock import (
    Boundary,
    Drop,
    EffectBuffer,
    Emits,
    Intent,
    Options,
    Scope,
    emit,
    emit_all,
    enqueue,
    region,
)
from tests.typing.vocabulary import (
    Box,
    Charge,
    Http,
    Notify,
    OrderEffects,
    SendMail,
    Urgent,
    buffer,
    only_mail,
    process,
    refund,
    restock,
)

IntentT = TypeVar("IntentT", bound=Intent)

boundary = Boundary({}, policy=Drop())

# -- Emits ----------------------------------------------------------------------------------------


def domain(effects: Emits[Notify | SendMail]) -> None:
    effects.emit(Notify(1))
    effects.emit(SendMail(to="x"), Options(delay=timedelta(hours=1)))
    effects.emit(SendMail(to="x"), None)
    effects.emit_all([Notify(1), SendMail(to="y")])
    effects.emit_all(Notify(i) for i in range(3))
    effects.emit(Urgent(1, "a subclass"))
    only_mail(effects)  # narrowing: what takes less can be given more


def aliased(effects: Emits[OrderEffects]) -> None:
    domain(effects)


def of_a_box(effects: Emits[Box[int]]) -> None:
    effects.emit(Box(3))


def of_anything(intent: IntentT, effects: Emits[IntentT]) -> None:
    effects.emit(intent)


class Service:
    def __init__(self, effects: Emits[Notify | SendMail]) -> None:
        self.effects = effects

    def run(self) -> None:
        process(self.effects)


domain(EffectBuffer())
aliased(EffectBuffer())
of_a_box(EffectBuffer())
of_anything(Notify(1), EffectBuffer())
Service(EffectBuffer()).run()
narrowed: Emits[Notify] = EffectBuffer()
with boundary.scope() as own_scope:
    domain(own_scope)
    process(airlock.current())

# -- buffers --------------------------------------------------------------------------------------

buffer.emit(Notify(1))
buffer.emit(Charge("4111"), Options(id=uuid4(), headers={"tenant": "t"}))
buffer.emit_all([Notify(1), Charge("4111"), Box(3), restock.intent(1)])
buffer.emit_all(EffectBuffer([Notify(2)]))

assert_type(buffer.of(Notify), list[Notify])
assert_type(buffer.of(Charge)[0].card, str)
assert_type(buffer.of(Urgent), list[Urgent])
assert_type(buffer.since(buffer.mark()), list[Any])
assert_type(len(buffer), int)
assert_type(buffer == [Notify(1)], bool)
assert_type(iter(buffer), Iterator[Any])

# -- ambient --------------------------------------------------------------------------------------

with boundary.scope(policy=Drop(Notify), headers={"tenant": "t"}) as scope:
    assert_type(scope, Scope)
    assert_type(airlock.current(), Scope)
    emit(Notify(1))
    emit(Notify(1), Options(ordering_key="k"))
    emit_all([Notify(1), SendMail(to="a")])
    enqueue(restock, 7)
    enqueue(restock, product_id=7, urgent=True)
    enqueue(refund, "4111")
    assert_type(scope.own, list[Any])
    with scope.override(
        {Notify: None, Charge: lambda intent, call_next: call_next(intent)}
    ) as same:
        emit(Notify(2))
    with region(Drop()):
        emit(Notify(3))

# -- effect functions -----------------------------------------------------------------------------

assert_type(restock.run(7, urgent=True, http=Http()), str)
assert_type(restock.needs, tuple[str, ...])


async def use_refund() -> int:
    return await refund.run("4111")


# -- scoped functions keep their signatures -------------------------------------------------------


@boundary.scoped()
def checkout(order_id: int) -> str:
    emit(Notify(order_id))
    return "done"


@boundary.scoped(policy=Drop())
async def later(order_id: int) -> str:
    return str(order_id)


assert_type(checkout(1), str)


async def use_scope() -> None:
    async with boundary.scope() as effects:
        assert_type(effects, Scope)
        assert_type(await later(1), str)
    async with boundary as opened:
        assert_type(opened, Boundary)
