"""Effects in Django's TestCase: its transaction is not there, that of the code under test is."""

from __future__ import annotations

import unittest
from contextlib import suppress
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models.signals import post_delete
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings

import airlock
from airlock import Boundary, FlushError, Hold, Scope, intent
from airlock.errors import NoScopeError, ReleaseError, ScopeStateError
from airlock.integrations.django.testing import EffectsTestMixin, assert_effects, capture_effects
from airlock.integrations.django.transactions import on_commit
from airlock.integrations.django.watching import transactions_of
from airlock.testing import Recording, expect_effects
from tests.integrations.django.shop.models import Row
from tests.integrations.services import postgresql


@intent(kind="django-testing.send-receipt")
class SendReceipt:
    order: str


class SurpriseError(Exception):
    """What goes wrong in a block."""


class Shop:
    """The code under test.

    Attributes:
        sent: what escaped.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.sent: list[str] = []
        self.boundary = Boundary({SendReceipt: self.send})

    def send(self, receipt: SendReceipt) -> None:
        with transaction.atomic(self.alias):  # as handlers may
            self.sent.append(receipt.order)

    def request(self, **options: Any) -> Scope:
        return self.boundary.scope(release=on_commit(self.alias), **options)

    def place(self, order: str) -> None:
        """Which does not mind where it runs."""
        Row.objects.using(self.alias).create(text=order)
        airlock.emit(SendReceipt(order))

    def order(self, order: str, *, fails: bool = False) -> None:
        with transaction.atomic(self.alias):
            self.place(order)
            if fails:
                raise SurpriseError

    def later(self, order: str) -> None:
        """With a callback of its own."""
        with transaction.atomic(self.alias):
            transaction.on_commit(lambda: airlock.emit(SendReceipt(order)), self.alias)


class Cases:
    """Of both test classes; ``alias`` is the database."""

    alias = "default"

    def setUp(self) -> None:
        self.shop = Shop(self.alias)

    def test_nothing_escapes_of_what_is_captured(self) -> None:
        """The recording equals the list of what a commit would deliver."""
        with capture_effects(using=self.alias) as effects:
            self.shop.order("a")
            with self.shop.request():
                self.shop.order("b")
                self.shop.place("c")
        assert effects == [SendReceipt("a"), SendReceipt("b"), SendReceipt("c")]
        assert self.shop.sent == []

    def test_what_is_rolled_back_is_not_in_it(self) -> None:
        """An atomic() of the code under test decides, whatever scope is around it."""
        with capture_effects(using=self.alias) as effects:
            for order, fails in (("a", True), ("b", False), ("c", True)):
                with suppress(SurpriseError):
                    self.shop.order(order, fails=fails)
            scope, atomic = self.shop.request(), transaction.atomic(self.alias)
            with scope, suppress(SurpriseError), atomic:
                self.shop.order("d")
                raise SurpriseError
        assert effects == [SendReceipt("b")]

    def test_a_recording_that_is_passed_on_minds_rollbacks_too(self) -> None:
        """Code that takes a buffer is given the recording."""
        with capture_effects(using=self.alias) as effects:
            with suppress(SurpriseError), transaction.atomic(self.alias):
                effects.emit(SendReceipt("a"))
                raise SurpriseError
            effects.emit(SendReceipt("b"))
        assert effects == [SendReceipt("b")]

    def test_an_error_after_the_commit_unsays_nothing(self) -> None:
        """As in production: the block decides about what was emitted in no atomic()."""
        capturing = capture_effects(using=self.alias)
        with capturing as effects, suppress(SurpriseError), self.shop.request():
            self.shop.order("a")
            self.shop.place("b")
            raise SurpriseError
        assert effects == [SendReceipt("a")]

    def test_callbacks_emit_as_well(self) -> None:
        """What callbacks of the code under test emit is captured."""
        with capture_effects(using=self.alias) as effects:
            self.shop.later("a")
        assert effects == [SendReceipt("a")]

    def test_what_a_policy_holds_is_not_in_it(self) -> None:
        """The policies of the code under test speak."""
        with (
            capture_effects(using=self.alias) as effects,
            self.shop.request(policy=Hold()) as scope,
        ):
            self.shop.order("a")
        scope.plan()
        assert effects == []

    def test_assert_effects(self) -> None:
        """These, and no others; none at all without any."""
        with assert_effects(SendReceipt("b"), SendReceipt("a"), using=self.alias):
            self.shop.order("a")
            self.shop.order("b")
        missing = pytest.raises(AssertionError, match=r"SendReceipt\(order='d'\): missing")
        with missing, assert_effects(SendReceipt("d"), using=self.alias):
            self.shop.order("c")
        unasserted = pytest.raises(AssertionError, match="1 effect was emitted, and not asserted")
        with unasserted, assert_effects(using=self.alias):
            self.shop.order("e")
        with assert_effects(using=self.alias), suppress(SurpriseError):
            self.shop.order("f", fails=True)
        assert self.shop.sent == []

    def test_an_unknown_database_is_refused(self) -> None:
        """Before the block begins."""
        refused = pytest.raises(ReleaseError, match="Did you mean 'default'")
        with refused, capture_effects(using="defualt"):
            raise SurpriseError

    def test_what_callbacks_emit_belongs_to_the_commit(self) -> None:
        """As in production, also if ``captureOnCommitCallbacks`` calls them."""
        calling = TestCase.captureOnCommitCallbacks(using=self.alias, execute=True)
        effects = self.shop.request()
        with suppress(SurpriseError), effects:
            with calling:
                self.shop.later("a")
            self.shop.place("after")
            raise SurpriseError
        assert self.shop.sent == ["a"]
        assert effects.report.discarded == [SendReceipt("after")]

    # -- and without capturing ---------------------------------------------------------------------

    def test_no_atomic_is_autocommit_mode(self) -> None:
        """The block decides, as in production: the transaction of the TestCase is not there."""
        with self.shop.request():
            self.shop.place("a")
            assert self.shop.sent == []
        assert self.shop.sent == ["a"]
        effects = self.shop.request()
        with suppress(SurpriseError), effects:
            self.shop.place("b")
            raise SurpriseError
        assert effects.report.discarded == [SendReceipt("b")]

    def test_the_end_of_an_atomic_is_its_commit(self) -> None:
        """What comes after it unsays nothing, whether the block ends before or after it."""
        effects = self.shop.request()
        with suppress(SurpriseError), effects:
            self.shop.order("a")
            self.shop.place("b")
            raise SurpriseError
        assert self.shop.sent == ["a"]
        assert effects.report.discarded == [SendReceipt("b")]
        with transaction.atomic(self.alias):
            with self.shop.request():
                self.shop.order("c")
            assert self.shop.sent == ["a"]
        assert self.shop.sent == ["a", "c"]

    def test_the_rollback_of_an_atomic_discards(self) -> None:
        """At once, if the block has ended."""
        with self.shop.request() as caught:
            with suppress(SurpriseError):
                self.shop.order("a", fails=True)
            self.shop.order("b")
        assert caught.report.discarded == [SendReceipt("a")]
        waiting = self.shop.request()
        with suppress(SurpriseError), transaction.atomic(self.alias):
            with waiting:
                self.shop.order("c")
            raise SurpriseError
        assert waiting.report.discarded == [SendReceipt("c")]
        assert self.shop.sent == ["b"]

    def test_savepoints_in_an_atomic(self) -> None:
        """They decide about what is in them, also in a loop."""
        with self.shop.request(), transaction.atomic(self.alias):
            for order in "abacab":
                try:
                    with transaction.atomic(self.alias):
                        self.shop.place(order)
                except IntegrityError:
                    continue
            sid = connections[self.alias].savepoint() or ""
            self.shop.place("d")
            transaction.savepoint_rollback(sid, self.alias)
            with transaction.atomic(self.alias, savepoint=False):
                self.shop.place("e")
        assert self.shop.sent == ["a", "b", "c", "e"]

    def test_atomic_without_savepoint(self) -> None:
        """As Django opens it itself, around the signals of a deletion."""

        def deleted(instance: Row, **_: Any) -> None:
            airlock.emit(SendReceipt(instance.text))

        Row.objects.using(self.alias).create(text="a")
        Row.objects.using(self.alias).create(text="b")
        post_delete.connect(deleted, sender=Row)
        try:
            with self.shop.request(keep=lambda error: False):
                Row.objects.using(self.alias).all().delete()
                with transaction.atomic(self.alias):
                    self.shop.place("c")
        finally:
            post_delete.disconnect(deleted, sender=Row)
        assert sorted(self.shop.sent) == ["a", "b", "c"]

    def test_callbacks_captured_by_django_deliver_nothing_twice(self) -> None:
        """Ours is among them, and can be called by whoever likes to."""
        with TestCase.captureOnCommitCallbacks(using=self.alias, execute=True) as callbacks:
            with self.shop.request():
                self.shop.order("a")
                self.shop.order("b")
            assert self.shop.sent == ["a", "b"]
        for callback in callbacks:
            callback()
        assert self.shop.sent == ["a", "b"]


def outcome(case: Any) -> tuple[int, list[str]]:
    """How many tests of a class were run, and what went wrong."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result.testsRun, [text for _, text in (*result.failures, *result.errors)]


@pytest.mark.parametrize("alias", ["default", "postgres"])
@pytest.mark.parametrize("base", [TestCase, TransactionTestCase])
def test_the_cases_in_each_of_the_classes_of_django(
    alias: str, base: type[unittest.TestCase]
) -> None:
    """Code that is tested in a TestCase does what it does where transactions are real."""
    if alias == "postgres":
        postgresql()
    count, problems = outcome(type("Tests", (Cases, base), {"alias": alias, "databases": {alias}}))
    assert not problems, "\n".join(problems)
    assert count == len([name for name in dir(Cases) if name.startswith("test_")])


class MixedIn(EffectsTestMixin, TestCase):
    """As users write it; collected by pytest as well."""

    def test_captured(self) -> None:
        shop = Shop("default")
        with self.captureEffects() as effects:
            shop.order("a")
        self.assertEqual(effects, [SendReceipt("a")])  # noqa: PT009 - as users write it
        with self.assertEffects(SendReceipt("b")):
            shop.order("b")

    def test_a_database_that_is_not_named(self) -> None:
        with self.captureEffects() as effects:
            assert effects == []


class Prepares:
    """The set-up of a class, in which its shop emits in no scope and in one."""

    sent: list[str]

    @classmethod
    def setUpClass(cls) -> None:
        shop = Shop("default")
        cls.sent = shop.sent
        shop.order("before")
        super().setUpClass()  # type: ignore[misc]  # of the other base
        shop.order("after")

    @classmethod
    def setUpTestData(cls) -> None:
        shop = Shop("default")
        cls.sent = shop.sent
        shop.order("data")
        with shop.request():
            shop.place("in a request")

    @classmethod
    def tearDownClass(cls) -> None:
        Shop("default").order("torn down")
        super().tearDownClass()  # type: ignore[misc]  # as above
        Row.objects.all().delete()

    def test_it(self) -> None:
        assert self.sent == []
        with pytest.raises(NoScopeError), transaction.atomic():
            airlock.emit(SendReceipt("a"))
        shop = Shop("default")
        with shop.request():
            shop.place("delivered")
        assert shop.sent == ["delivered"]


@pytest.mark.parametrize("mixin_first", [True, False])
@pytest.mark.parametrize("base", [TestCase, TransactionTestCase])
def test_the_set_up_of_a_class_with_the_mixin_delivers_nothing(
    base: type[unittest.TestCase], mixin_first: bool
) -> None:
    """It needs no scope either. Its tests do, as they can be captured."""
    bases = (EffectsTestMixin, base) if mixin_first else (base, EffectsTestMixin)
    cases: Any = type("Cases", (Prepares, *bases), {})
    derived = type("Derived", (cases,), {})
    assert (outcome(cases), outcome(derived)) == ((1, []), (1, []))
    assert Row.objects.count() == 0


class WithoutDatabase(EffectsTestMixin, SimpleTestCase):
    """A test without database captures too: nothing is asked of one."""

    def test_captured(self) -> None:
        with self.assertEffects(SendReceipt("a")):
            airlock.emit(SendReceipt("a"))


class InSetUp(TestCase):
    """The class has a transaction around those of its tests."""

    sent: list[str]

    @classmethod
    def setUpTestData(cls) -> None:
        shop = Shop("default")
        with shop.request():
            shop.order("a")
            shop.place("b")
        cls.sent = shop.sent

    def test_the_data_of_a_class(self) -> None:
        assert self.sent == ["a", "b"]


class WithoutSavepoint(TestCase):
    """In a TestCase, Django does nothing at the end of an atomic(savepoint=False)."""

    def setUp(self) -> None:
        self.shop = Shop("default")

    def test_an_error(self) -> None:
        """It spoils the transaction of the TestCase, and is a rollback all the same."""
        effects = self.shop.request()
        with effects, suppress(SurpriseError), transaction.atomic(savepoint=False):
            self.shop.place("a")
            raise SurpriseError
        assert effects.report.discarded == [SendReceipt("a")]

    def test_many(self) -> None:
        """Nothing is left of them."""
        levels = transactions_of(connections["default"])._levels
        before = len(levels)
        with self.shop.request():
            for order in "abc":
                with transaction.atomic(savepoint=False):
                    self.shop.place(order)
        assert self.shop.sent == ["a", "b", "c"]
        assert len(levels) == before

    def test_a_block_that_ends_in_an_atomic_without_savepoint(self) -> None:
        """Nothing tells of its end, but whatever comes next on the connection."""
        with transaction.atomic(savepoint=False), self.shop.request() as effects:
            self.shop.place("a")
        with pytest.raises(ScopeStateError, match="has no report yet"):
            assert effects.report
        with self.shop.request():
            self.shop.place("b")
        assert self.shop.sent == ["a", "b"]


def test_captured_callbacks_while_the_atomic_is_open() -> None:
    """Django executes callbacks at the end of the capturing block: ours counts that as the commit."""

    class Tests(TestCase):
        def test(self) -> None:
            shop = Shop("default")
            with transaction.atomic():
                with self.captureOnCommitCallbacks(execute=True):
                    with shop.request():
                        shop.place("a")
                    assert shop.sent == []
                assert shop.sent == ["a"]
                with shop.request():
                    shop.place("b")
            assert shop.sent == ["a", "b"]

    assert outcome(Tests) == (1, [])


def test_capturing_in_an_open_atomic() -> None:
    """What was emitted so far is there to be looked at."""

    class Tests(TestCase):
        def test(self) -> None:
            shop = Shop("default")
            with transaction.atomic():
                with capture_effects() as effects:
                    shop.order("a")
                    assert effects == [SendReceipt("a")]
                assert effects == [SendReceipt("a")]
            assert effects == [SendReceipt("a")]

    assert outcome(Tests) == (1, [])


def test_errors_of_a_flush_that_are_to_be_raised() -> None:
    """They are raised from the end of the atomic(), as in production."""

    class Tests(TestCase):
        def test(self) -> None:
            def fail(_: SendReceipt) -> None:
                raise SurpriseError

            boundary = Boundary({SendReceipt: fail})
            effects = boundary.scope(release=on_commit(on_flush_error="raise"))
            with pytest.raises(FlushError), transaction.atomic(), effects:
                airlock.emit(SendReceipt("a"))
            assert Row.objects.count() == 0  # the connection is well

    assert outcome(Tests) == (1, [])


@pytest.mark.parametrize(
    ("setting", "recorded"),
    [
        ({}, []),
        ({"DATABASE": "other"}, [SendReceipt("a")]),
        ({"DATABASE": None}, [SendReceipt("a")]),
        ({"DATABASE": "misspelt"}, [SendReceipt("a")]),
        (None, []),
    ],
)
def test_a_recording_minds_the_database_of_the_settings(setting: Any, recorded: list[Any]) -> None:
    """As the scopes do that the project has in production, without importing its boundary."""
    recorded_here = expect_effects(exhaustive=False)
    with override_settings(AIRLOCK=setting), recorded_here as effects, suppress(SurpriseError):
        Shop("default").order("a", fails=True)
    Row.objects.all().delete()
    assert effects == recorded


def test_a_recording_may_be_given_a_release() -> None:
    """Which then decides."""
    recording = Recording(release=on_commit("other"))
    recording.start()
    try:
        with suppress(SurpriseError), transaction.atomic("other"):
            recording.emit(SendReceipt("a"))
            raise SurpriseError
        with suppress(SurpriseError), transaction.atomic():
            recording.emit(SendReceipt("b"))
            raise SurpriseError
    finally:
        recording.stop()
    assert recording == [SendReceipt("b")]
