"""The pytest plugin: what set-up code of a wider scope than a test emits reaches nobody."""

from __future__ import annotations

import pytest

from airlock import Boundary, emit
from airlock.errors import NoScopeError, RefusedError
from airlock.testing import expect_effects
from airlock.testing.preparing import preparing
from tests.testing.test_plugin import SHOP, child, delivered, module, options, passes
from tests.testing.vocabulary import Done, NotifyWarehouse, SendEmail

SETUP = """
import threading
import unittest

def placed(number):
    emit(Notify(number))            # what a model does in save()
    process(number)                 # what a view does
    thread = threading.Thread(target=process, args=[number])
    thread.start()
    thread.join()

def setup_module():
    placed(1)

def teardown_module():
    placed(2)

@pytest.fixture(scope="session", autouse=True)
def session():
    placed(3)
    yield
    placed(4)

@pytest.fixture(scope="package")
def package(request):
    request.addfinalizer(lambda: placed(5))
    placed(6)

@pytest.fixture(scope="module", params=[1, 2])
def module(package, request):
    placed(7)
    yield
    placed(8)

@pytest.fixture(scope="class")
def of_class(module):
    placed(9)
    return 9

def test_function(of_class): pass

def test_with_the_fixture(of_class, effects):
    emit(Notify(0))
    assert effects == [Notify(0)]

class TestMethods:
    @classmethod
    def setup_class(cls):
        placed(10)

    @classmethod
    def teardown_class(cls):
        placed(11)

    def test_method(self): pass

class Cases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        placed(12)
        cls.addClassCleanup(placed, 13)

    @classmethod
    def tearDownClass(cls):
        placed(14)

    def setUp(self):
        placed(15)

    def test_case(self): pass
"""


@pytest.mark.parametrize("mode", ["record", "drop"])
def test_set_up_of_every_scope_delivers_nothing(pytester: pytest.Pytester, mode: str) -> None:
    """It needs no scope either, in whichever way it is written."""
    pytester.makeini(f"[pytest]\nairlock_effects = {mode}")
    result = child(pytester, SETUP)
    result.assert_outcomes(passed=6)
    assert delivered(pytester) == []


def test_set_up_of_what_is_marked(pytester: pytest.Pytester) -> None:
    """The marker of a class or a module reaches the set-up of that; fixtures around it are not its own."""
    source = """
        import unittest

        @pytest.mark.effects("record")
        class Marked(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                emit(Notify(1))
                process(1)

            def test_marked(self): pass

        class NotMarked(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                assert nowhere()
                process(2)

            def test_not_marked(self): pass

        @pytest.fixture(scope="session", autouse=True)
        def session():
            assert nowhere()

        def test_nothing_is_left():
            assert nowhere()
    """
    passes(pytester, source)
    assert delivered(pytester) == ["Notify(order_id=2, urgent=False)"]
    source = "pytestmark = pytest.mark.effects\n\ndef setup_module(): emit(Notify(1))\n\ndef test_it(): pass"
    passes(pytester, source)


def test_what_tests_allow_is_as_ever_after_it(pytester: pytest.Pytester) -> None:
    """Nothing of the set-up is in force in a test."""
    pytester.makeini("[pytest]\nairlock_effects = record")
    source = """
        @pytest.fixture(scope="module", autouse=True)
        def placed():
            process(1)

        @pytest.mark.effects("allow")
        def test_allowed():
            process(2)
            assert nowhere()
    """
    passes(pytester, source)
    assert delivered(pytester) == ["Notify(order_id=2, urgent=False)"]


def test_set_up_that_leaves_something_open(pytester: pytest.Pytester) -> None:
    """A fixture of the session may put a policy around all tests."""
    pytester.makeini("[pytest]\nairlock_effects = record")
    source = """
        import airlock

        @pytest.fixture(scope="session", autouse=True)
        def nothing_at_all():
            with airlock.enclose(Drop(Charge), process=True):
                yield

        def test_recorded(effects):
            emit(Notify(1))
            assert effects == [Notify(1)]

        @pytest.mark.effects("allow")
        def test_allowed():
            with shop.scope():
                emit(Charge("a@b"))
                emit(Notify(2))
            assert delivered() == ["Notify(order_id=2, urgent=False)"]
    """
    passes(pytester, source)


def test_what_a_test_asks_for_late_is_recorded_in_it(pytester: pytest.Pytester) -> None:
    """As it always was: its recording is in force."""
    pytester.makeini("[pytest]\nairlock_effects = record")
    source = """
        @pytest.fixture(scope="module")
        def placed():
            emit(Notify(1))

        def test_late(request, effects):
            request.getfixturevalue("placed")
            assert effects == [Notify(1)]
    """
    passes(pytester, source)


def test_refused_in_set_up(pytester: pytest.Pytester) -> None:
    """Where tests must not emit, their set-up must not."""
    pytester.makeini("[pytest]\nairlock_effects = refuse")
    source = """
        @pytest.fixture(scope="module", params=["ambient", "scope"])
        def placed(request):
            emit(Notify(1)) if request.param == "ambient" else process(1)

        def test_it(placed): pass
    """
    result = child(pytester, source)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*RefusedError: *Notify*", "*test_it.py:3*"])
    assert delivered(pytester) == []


def test_set_up_that_fails_leaves_nothing(pytester: pytest.Pytester) -> None:
    """Nor does a tear-down that fails."""
    source = """
        @pytest.fixture(scope="class")
        def fails():
            emit(Notify(1))
            raise ValueError

        @pytest.fixture(scope="class")
        def fails_later():
            yield
            emit(Notify(1))
            raise ValueError

        @pytest.mark.effects("record")
        class TestFails:
            def test_fails(self, fails): pass

        @pytest.mark.effects("record")
        class TestFailsLater:
            def test_fails(self, fails_later): pass

        def test_nothing_is_left():
            assert nowhere()
            process(2)
    """
    result = child(pytester, source)
    result.assert_outcomes(passed=2, errors=2)
    assert delivered(pytester) == ["Notify(order_id=2, urgent=False)"]


@pytest.mark.parametrize("scope", ["session", "module", "class"])
def test_async_set_up(pytester: pytest.Pytester, scope: str) -> None:
    """It runs in whatever task and context a plugin likes."""
    pytester.makeini(
        "[pytest]\nairlock_effects = record\nasyncio_default_fixture_loop_scope = session"
    )
    source = f"""
        import pytest_asyncio

        @pytest_asyncio.fixture(scope="{scope}", loop_scope="session")
        async def placed():
            emit(Notify(1))
            async with shop.scope():
                emit(Notify(2))
            yield
            emit(Notify(3))
            process(4)

        @pytest.mark.asyncio(loop_scope="session")
        async def test_it(placed, effects):
            emit(Notify(5))
            assert effects == [Notify(5)]
    """
    pytester.makepyfile(shop=SHOP, test_it=module(source))
    result = pytester.runpytest_subprocess(*options("asyncio"))
    result.assert_outcomes(passed=1)
    assert delivered(pytester) == []


# -- the block ------------------------------------------------------------------------------------


def test_in_the_block_nothing_is_delivered() -> None:
    """Scopes deliver before it and after it."""
    done = Done()
    boundary = done.boundary()
    with preparing():
        emit(NotifyWarehouse(1))
        with boundary.scope(), preparing():
            emit(NotifyWarehouse(2))
        with boundary.scope():
            emit(NotifyWarehouse(3))
    with boundary.scope():
        emit(NotifyWarehouse(4))
    assert done.intents == [NotifyWarehouse(4)]
    with pytest.raises(NoScopeError):
        emit(NotifyWarehouse(5))


def test_in_a_recording_the_block_does_nothing() -> None:
    """The recording has it all."""
    with expect_effects(NotifyWarehouse(1)), preparing("refuse"):
        emit(NotifyWarehouse(1))


def test_a_block_that_refuses() -> None:
    """At the line that emits."""
    with preparing("refuse", place=("conftest.py", 7)):
        with pytest.raises(RefusedError, match=r"conftest.py:7"):
            emit(SendEmail("a@example.org"))
        with Boundary({}).scope(), pytest.raises(RefusedError):
            emit(SendEmail("a@example.org"))
