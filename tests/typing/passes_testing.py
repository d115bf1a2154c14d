"""The testing kit as it should be used: no type checker objects, and it runs."""

from __future__ import annotations

import asyncio
import re
from typing import assert_type

from airlock import EffectBuffer, Emits
from airlock.testing import (
    Expectation,
    FakeHandler,
    Recording,
    any_order,
    any_value,
    contains,
    expect_effects,
    fake_boundary,
    gt,
    in_order,
    like,
    lt,
    matching,
    never,
    one_of,
)
from tests.typing.vocabulary import Notify, SendMail


def process(effects: Emits[Notify | SendMail]) -> None:
    effects.emit(Notify(1))
    effects.emit(SendMail(to="a"))


def count(effects: EffectBuffer) -> int:
    return len(effects)


def test(effects: Recording) -> None:
    process(effects)
    assert_type(count(effects), int)
    assert_type(effects.one(Notify), Notify)
    assert_type(effects.one(SendMail, to=contains("a")), SendMail)
    assert_type(effects.one(Notify).order_id, int)
    assert_type(effects.of(Notify), list[Notify])
    effects.none(Notify, order_id=gt(5))
    effects.saw(Notify(1), like(SendMail, to=matching(re.compile("^a"))))
    effects.nothing_else()


several: Expectation = any_order(
    Notify(1),
    in_order(like(Notify, order_id=lt(5)).times(1, None), never(SendMail)),
    one_of(Notify, like(SendMail, to=any_value).optional()),
)

with expect_effects() as recording:
    assert_type(recording, Recording)
    test(recording)

with expect_effects(Notify(1), SendMail, exhaustive=False) as recording:
    process(recording)


async def main() -> None:
    async with expect_effects() as effects:
        assert_type(effects, Recording)
        test(effects)


asyncio.run(main())

fake = FakeHandler(ConnectionError("down"), None)
with fake_boundary({Notify: fake}, fail_fast=True).scope():
    pass
