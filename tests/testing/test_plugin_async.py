"""The pytest plugin with async tests: under anyio, pytest-asyncio, unittest and Hypothesis.

Their tests and fixtures run in contexts that may be older than the recording of a test.
"""

from __future__ import annotations

import pytest

from tests.testing.test_plugin import SHOP, delivered, module, options, passes

LIBRARIES = {
    "anyio": """
        pytestmark = pytest.mark.anyio
        fixture = pytest.fixture

        @pytest.fixture(params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param
    """,
    "anyio, a runner for the module": """
        pytestmark = pytest.mark.anyio
        fixture = pytest.fixture

        @pytest.fixture(scope="module", params=["asyncio", "trio"])
        def anyio_backend(request):
            return request.param

        @pytest.fixture(scope="module", autouse=True)
        async def starts_the_runner_early(anyio_backend):
            assert nowhere()
            yield
            assert nowhere()
    """,
    "asyncio": """
        import pytest_asyncio

        pytestmark = pytest.mark.asyncio
        fixture = pytest_asyncio.fixture
    """,
    "asyncio, a loop for the module": """
        import pytest_asyncio

        pytestmark = pytest.mark.asyncio(loop_scope="module")
        fixture = pytest_asyncio.fixture(loop_scope="module")

        @pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
        async def starts_the_loop_early():
            assert nowhere()
            yield
            assert nowhere()
    """,
    "asyncio, auto mode": "fixture = pytest.fixture",
}

STORIES = """
import anyio


async def aprocess(order_id):
    async with shop.scope():
        await anyio.sleep(0)
        emit(Notify(order_id))


@fixture
async def placed():
    await aprocess(1)
    return "placed"


@fixture
async def around(placed):
    emit(Notify(2))
    yield "around"
    emit(Notify(3))


@fixture
async def held():
    async with shop.scope() as scope:
        yield scope


@pytest.fixture
def looks(effects):
    yield
    assert effects == [Notify(1), Notify(2), Notify(4), Notify(3)]


async def test_01_everything_is_seen(effects):
    emit(Notify(1))
    await aprocess(2)
    effects.emit(Notify(3))
    assert effects == [Notify(1), Notify(2), Notify(3)]


async def test_02_fixtures_before_it(placed, around, effects):
    assert (placed, around) == ("placed", "around")
    await aprocess(4)
    assert effects == [Notify(1), Notify(2), Notify(4)]


async def test_03_fixtures_after_it(effects, around):
    await aprocess(4)
    assert effects == [Notify(1), Notify(2), Notify(4)]


async def test_04_fixtures_until_they_end(looks, around):
    await aprocess(4)


async def test_05_tasks(effects):
    async with anyio.create_task_group() as tasks:
        for order_id in range(5):
            tasks.start_soon(aprocess, order_id)
        emit(Notify(5))
    effects.saw(*map(Notify, range(6)))
    effects.nothing_else()


async def test_06_a_fixture_may_hold_a_scope_open(held, effects):
    emit(Notify(1))
    assert held == effects == [Notify(1)]


async def test_07_wherever_it_stands(effects, held):
    await aprocess(1)
    emit(Notify(2))
    assert held == effects == [Notify(1), Notify(2)]


@fixture
async def in_it(held):
    emit(Notify(1))
    yield
    assert held == [Notify(1), Notify(2)]


async def test_08_and_others_emit_into_it(in_it, effects):
    emit(Notify(2))
    assert effects == [Notify(1), Notify(2)]


class TestMethods:
    @fixture
    async def me(self):
        emit(Notify(1))
        return self

    @fixture
    async def me_too(self):
        emit(Notify(2))
        yield self

    async def test_09_methods(self, me, me_too, effects):
        assert me is me_too is self
        assert effects == [Notify(1), Notify(2)]


@pytest.mark.effects("refuse")
async def test_10_refused():
    with pytest.raises(errors.RefusedError):
        await aprocess(1)


@pytest.mark.effects("allow")
async def test_11_allowed(effects, held):
    emit(Notify(1))
    assert effects == [Notify(1)]


async def test_12_a_test_may_leave_a_scope_open(effects):
    await shop.scope().__aenter__()


async def test_13_nothing_is_left():
    assert nowhere()


async def test_14_nor_of_fixtures(around_nothing):
    assert nowhere()


@fixture
async def around_nothing():
    assert nowhere()
    yield
    assert nowhere()
"""

SETTINGS = ["-oasyncio_default_fixture_loop_scope=function"]


def run(
    pytester: pytest.Pytester, source: str, library: str, *args: str, used: str = ""
) -> pytest.RunResult:
    """Run async tests, in a process of their own."""
    name = library.partition(",")[0]
    settings = SETTINGS if name == "asyncio" else []
    mode = ["-oasyncio_mode=auto"] if "auto" in library else []
    pytester.makepyfile(shop=SHOP, test_it=module(source))
    return pytester.runpytest_subprocess(*options(name, used), *settings, *mode, *args)


@pytest.mark.parametrize("library", LIBRARIES)
def test_async_tests_and_fixtures_are_recorded(pytester: pytest.Pytester, library: str) -> None:
    """Whatever the order, the scope and the age of the context that they run in."""
    source = module(LIBRARIES[library]).partition("\n")[2] + STORIES
    backends = 2 if library.startswith("anyio") else 1
    result = run(pytester, source, library)
    result.assert_outcomes(passed=14 * backends)
    assert delivered(pytester) == ["Notify(order_id=1, urgent=False)"] * backends


TWICE = """
log = []

@fixture
async def twice():
    try:
        yield 1
        yield 2
    finally:
        emit(Notify(1))
        log.append("closed")

async def test_1(twice, effects): pass

async def test_2_it_was_closed():
    assert log == ["closed"]
"""


def test_a_fixture_that_yields_twice_is_told_and_closed(pytester: pytest.Pytester) -> None:
    """As without it; by anyio, that is."""
    library = "anyio, a runner for the module"
    head = module(LIBRARIES[library].replace('"asyncio", ', "")).partition("\n")[2]
    result = run(pytester, head + TWICE, library)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["E *Async generator fixture did not stop"])


FAILURES = """
import anyio

async def test_comparison(effects):
    emit(Notify(1))
    assert effects == [Notify(2)]

async def test_tasks(effects):
    emit(Notify(1))

    async def looks(expected):
        assert effects == [expected]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(looks, Notify(3))

async def test_error(effects):
    emit(Notify(4))
    raise KeyError("this")

@pytest.mark.effects(strict=True)
async def test_strict():
    emit(Notify(5))

async def test_late(request):
    request.getfixturevalue("effects")

async def test_nothing_is_left():
    assert nowhere()
"""


@pytest.mark.parametrize("library", ["anyio, a runner for the module", "asyncio"])
def test_failures_of_async_tests_are_explained(pytester: pytest.Pytester, library: str) -> None:
    """Those of their tasks too, which come as a group."""
    head = module(LIBRARIES[library].replace(', "trio"', "")).partition("\n")[2]
    result = run(pytester, head + FAILURES, library)
    result.assert_outcomes(passed=1, failed=5)
    text = result.stdout.str()
    assert [text.count(f"order_id: expected {number}, got 1") for number in (2, 3)] == [1, 1]
    result.stdout.fnmatch_lines(
        [
            "*Captured effects call*",
            "emitted (1):",
            "    1  Notify(order_id=4, urgent=False)  test_it.py:*",
            "1 effect was emitted, and not asserted:",
            "  Notify(order_id=5, urgent=False)  at test_it.py:*",
            "The fixture `effects` was requested by *, which is too late: *",
        ]
    )


def test_isolated_asyncio_cases_are_recorded(pytester: pytest.Pytester) -> None:
    """From their setUp to their tearDown, marked or by the setting."""
    source = """
        import unittest

        async def aprocess(order_id):
            async with shop.scope():
                emit(Notify(order_id))

        class Case(unittest.IsolatedAsyncioTestCase):
            def setUp(self):
                emit(Notify(1))

            async def asyncSetUp(self):
                await aprocess(2)
                self.addAsyncCleanup(aprocess, 6)

            async def asyncTearDown(self):
                await aprocess(4)

            def tearDown(self):
                emit(Notify(5))

        @pytest.mark.usefixtures("effects")
        class TestMarked(Case):
            @pytest.fixture(autouse=True)
            def _effects(self, effects):
                self.effects = effects
                yield
                assert effects == [*map(Notify, range(1, 7))]

            async def test_marked(self):
                await aprocess(3)
                assert self.effects == [Notify(1), Notify(2), Notify(3)]

        class TestByDefault(Case):
            async def test_by_default(self):
                emit(Notify(3))
    """
    passes(pytester, source, "-oairlock_effects=record")
    assert delivered(pytester) == []


def test_isolated_asyncio_cases_that_ask_for_nothing_are_not(pytester: pytest.Pytester) -> None:
    source = """
        import unittest

        class TestCase(unittest.IsolatedAsyncioTestCase):
            async def test_case(self):
                assert nowhere()
    """
    passes(pytester, source)


GIVEN = """
from hypothesis import HealthCheck, given, settings, strategies as st
from airlock.testing import expect_effects

few = settings(max_examples=5, database=None, deadline=None, derandomize=True)
shared = settings(few, suppress_health_check=[HealthCheck.function_scoped_fixture])

@few
@given(st.integers(0, 9))
@pytest.mark.effects
async def test_marked(number):
    with expect_effects(Notify(number)):
        emit(Notify(number))

@few
@given(number=st.integers(0, 9))
async def test_health_check(effects, number):
    emit(Notify(number))

@shared
@given(number=st.integers(0, 9))
async def test_fixture(effects, number):
    emit(Notify(number))
    assert effects[-1] == Notify(number)

class TestMethods:
    @shared
    @given(number=st.integers(0, 9))
    async def test_method(self, effects, number):
        emit(Notify(number))
        assert effects[-1] == Notify(number)

@few
@given(number=st.integers(0, 9))
async def test_nothing_is_left(number):
    assert nowhere()
"""


@pytest.mark.parametrize("library", ["anyio, a runner for the module", "asyncio"])
def test_tests_of_hypothesis_are_recorded(pytester: pytest.Pytester, library: str) -> None:
    """As a whole: the fixture is one for all examples, which Hypothesis minds unless told."""
    backends = 2 if library.startswith("anyio") else 1
    source = module(LIBRARIES[library]).partition("\n")[2] + GIVEN
    result = run(pytester, source, library, used="hypothesispytest")
    result.assert_outcomes(passed=4 * backends, failed=backends)
    result.stdout.fnmatch_lines(["*FailedHealthCheck*"])


def test_so_are_sync_ones(pytester: pytest.Pytester) -> None:
    result = run(pytester, GIVEN.replace("async def", "def"), "", used="hypothesispytest")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*FailedHealthCheck*"])
