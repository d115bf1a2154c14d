"""The kit needs no pytest: the same assertions in ``unittest``, and in a plain script."""
# ruff: noqa: N802, PT009, PT027 - it is about the assertions and names of unittest

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import unittest
from pathlib import Path

import airlock
from airlock.errors import NoScopeError
from airlock.testing import Recording, expect_effects, fake_boundary, in_order, like, never
from tests.testing.vocabulary import ChargeCard, Done, NotifyWarehouse, SendEmail

ROOT = Path(__file__).parents[2]


def checkout() -> None:
    airlock.emit(ChargeCard("4111", 7))
    airlock.emit(NotifyWarehouse(42))


# -- unittest -------------------------------------------------------------------------------------


class CheckoutTest(unittest.TestCase):
    def setUp(self) -> None:
        self.effects: Recording = self.enterContext(expect_effects())

    def test_effects_compare_as_lists_do(self) -> None:
        checkout()
        self.assertEqual(self.effects, [ChargeCard("4111", 7), NotifyWarehouse(42)])
        self.assertEqual(self.effects, [like(ChargeCard), like(NotifyWarehouse, order_id=42)])
        self.assertIn(NotifyWarehouse(42), self.effects)
        self.assertNotIn(NotifyWarehouse(43), self.effects)
        self.assertEqual(len(self.effects), 2)

    def test_the_assertions_of_a_recording_are_there_too(self) -> None:
        checkout()
        self.effects.saw(in_order(ChargeCard, NotifyWarehouse(42)), never(SendEmail))
        self.effects.nothing_else()

    def test_single_effects_are_found(self) -> None:
        checkout()
        self.assertEqual(self.effects.one(ChargeCard).amount, 7)
        self.assertEqual(self.effects.of(NotifyWarehouse), [NotifyWarehouse(42)])

    def test_nothing_is_delivered(self) -> None:
        done = Done()
        with done.boundary().scope():
            checkout()
        self.assertEqual(done.intents, [])
        self.assertEqual(len(self.effects[:]), 2)

    def test_a_failure_is_told_without_sensitive_values(self) -> None:
        checkout()
        with self.assertRaises(AssertionError) as unequal:
            self.assertEqual(self.effects, [ChargeCard("4111", 8)])
        with self.assertRaises(AssertionError) as unseen:
            self.effects.saw(ChargeCard("4111", 8))
        for caught in (unequal, unseen):
            self.assertIn("ChargeCard(card=<hidden>", str(caught.exception))
            self.assertNotIn("4111", str(caught.exception))
        self.effects.saw(ChargeCard, NotifyWarehouse)


class AsyncCheckoutTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.effects: Recording = await self.enterAsyncContext(expect_effects())

    async def test_effects_of_async_code_are_recorded(self) -> None:
        async with Done().boundary().scope():
            checkout()
        self.assertEqual(self.effects, [ChargeCard("4111", 7), NotifyWarehouse(42)])

    async def test_child_tasks_are_recorded(self) -> None:
        await asyncio.gather(asyncio.to_thread(checkout), asyncio.create_task(checking_out()))
        self.assertEqual(len(self.effects[:]), 4)


async def checking_out() -> None:
    checkout()


class FakesTest(unittest.TestCase):
    def test_fakes_are_delivered_to(self) -> None:
        sent: list[object] = []
        with fake_boundary({SendEmail: sent.append}).scope():
            airlock.emit(SendEmail("ada@example.org"))
        self.assertEqual(sent, [SendEmail("ada@example.org")])

    def test_effects_may_happen_and_be_asserted(self) -> None:
        done = Done()
        with expect_effects(NotifyWarehouse(42), allow=True), done.boundary().scope():
            airlock.emit(NotifyWarehouse(42))
        self.assertEqual(done.intents, [NotifyWarehouse(42)])


class LeftoverTest(unittest.TestCase):
    class Careless(unittest.TestCase):
        def setUp(self) -> None:
            self.enterContext(expect_effects())

        def runTest(self) -> None:
            airlock.emit(NotifyWarehouse(42))

    def test_what_is_left_over_fails_the_test(self) -> None:
        """Where the block was entered in its set-up."""
        result = unittest.TestResult()
        self.Careless().run(result)
        [(_, told)] = result.failures
        self.assertIn("1 effect was emitted, and not asserted", told)
        with self.assertRaises(NoScopeError):
            airlock.current()


# -- plain scripts --------------------------------------------------------------------------------

SCRIPT = """
    import sys

    class NoPytest:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("pytest", "_pytest", "hypothesis"):
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, NoPytest())

    import airlock
    from airlock.testing import FakeHandler, expect_effects, fake_boundary, in_order, like

    @airlock.intent(kind="scripts.notify")
    class Notify:
        order_id: int
        secret: str = airlock.field(default="4111", sensitive=True)

    with expect_effects(in_order(Notify(1), like(Notify, order_id=2))) as fx:
        airlock.emit(Notify(1))
        airlock.emit(Notify(2))
    assert fx == [Notify(1), Notify(2)]

    fake = FakeHandler()
    with fake_boundary({Notify: fake}).scope():
        airlock.emit(Notify(3))
    assert fake.intents == [Notify(3)]

    for module in ("pytest", "_pytest", "hypothesis"):
        assert module not in sys.modules, module

    try:
        with expect_effects(Notify(4)):
            airlock.emit(Notify(5))
    except AssertionError as error:
        print(error)
"""


def test_a_plain_script_needs_neither_pytest_nor_hypothesis(tmp_path: Path) -> None:
    """Neither is imported, nor importable; a failure is told as anywhere."""
    script = tmp_path / "shop.py"
    script.write_text(textwrap.dedent(SCRIPT), "utf-8")
    ran = subprocess.run(
        [sys.executable, "shop.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "the effects are not as expected:",
        "  Notify(order_id=4, secret=<hidden>): missing",
        "",
        "nearest to Notify(order_id=4, secret=<hidden>): #1, at shop.py:34",
        "  order_id: expected 4, got 5",
        "",
        "emitted (1):",
        "    1  Notify(order_id=5, secret=<hidden>)  shop.py:34",
    ]
