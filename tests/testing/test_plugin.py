"""The pytest plugin: what a project sees of it, in runs of pytest of their own."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from airlock.testing.fates import fate_of

GOLDEN = Path(__file__).parent / "golden_plugin"

OTHERS = [
    "anyio",
    "asyncio",
    "cacheprovider",
    "cov",
    "django",
    "hypothesispytest",
    "inline_snapshot",
    "randomly",
    "sybil",
    "syrupy",
    "timeout",
    "xdist",
    "xdist.looponfail",
]
"""Plugins that these runs are not about. Most of them take a while to load."""

SHOP = '''
"""What the tests of a run import: intents, a boundary whose handlers write a file."""
import threading
from pathlib import Path

import airlock
import pytest
from airlock import Boundary, Drop, EffectBuffer, emit, errors, field, intent

CARD = "top" + "secret"  # so that it stands nowhere in a source that pytest may show
FILE = Path(__file__).with_name("delivered.txt")


@intent
class Notify:
    order_id: int
    urgent: bool = False


@intent
class Charge:
    to: str
    card: str = field(sensitive=True, default=CARD)


def deliver(intent):
    with FILE.open("a") as file:
        file.write(f"{intent!r}\\n")


shop = Boundary({Notify: deliver, Charge: deliver})


def process(order_id):
    with shop.scope():
        emit(Notify(order_id))


def delivered():
    return FILE.read_text().splitlines() if FILE.exists() else []


def nowhere():
    """Whether nothing is recorded and no scope is open."""
    with pytest.raises(errors.NoScopeError):
        emit(Notify(0))
    return True
'''


def options(*used: str) -> list[str]:
    """How to run pytest without the plugins that are not ``used``."""
    return ["-Werror", *(f"-pno:{name}" for name in OTHERS if name not in used)]


def module(source: str) -> str:
    """A module of tests, its first own line the third."""
    return f"from shop import *\n\n{dedent(source).strip()}\n"


def child(pytester: pytest.Pytester, source: str, *args: str) -> pytest.RunResult:
    """Run some tests, in this process, in a folder of their own."""
    pytester.makepyfile(shop=SHOP, test_it=module(source))
    return pytester.runpytest_inprocess(*options(), *args)


def passes(pytester: pytest.Pytester, source: str, *args: str) -> None:
    """Run some tests, all of which pass."""
    result = child(pytester, source, *args)
    result.assert_outcomes(passed=len(re.findall(r"def test_", source)))
    assert result.ret == pytest.ExitCode.OK


def delivered(pytester: pytest.Pytester) -> list[str]:
    """What the handlers of a run have written."""
    file = pytester.path / "delivered.txt"
    return file.read_text("utf-8").splitlines() if file.exists() else []


# -- a project that does not use it ---------------------------------------------------------------


def test_a_project_that_uses_nothing_of_it_sees_no_difference(pytester: pytest.Pytester) -> None:
    """Nothing is recorded, effects happen, and the testing kit is not even imported."""
    pytester.makeconftest("""
        import sys

        def pytest_unconfigure():
            print("kit:", [name for name in sys.modules if name.startswith("airlock.testing")])
    """)
    pytester.makepyfile(
        shop=SHOP,
        test_it="""
        from shop import *

        def test_ambient_code_needs_a_scope():
            assert nowhere()

        def test_scopes_deliver():
            with shop.scope() as scope:
                emit(Notify(1))
                scope.emit(Charge("a@b"))
            assert delivered() == ["Notify(order_id=1, urgent=False)", "Charge(to='a@b', card=<hidden>)"]
            assert scope.report.summary() == "2 delivered"

        def test_that_fails():
            assert CARD == ""
        """,
    )
    result = pytester.runpytest_subprocess(*options(), "-s")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["kit: []"])
    result.stdout.no_fnmatch_line("*Captured effects*")


def test_of_its_fixtures_only_effects_is_listed(pytester: pytest.Pytester) -> None:
    result = child(pytester, "def test_nothing(): pass", "--fixtures")
    result.stdout.fnmatch_lines(
        ["effects -- *", "*Record everything that the test emits, wherever; deliver nothing of it."]
    )
    result.stdout.no_fnmatch_line("*_airlock*")


def test_its_marker_is_listed(pytester: pytest.Pytester) -> None:
    """Strict markers know it too."""
    result = child(pytester, "@pytest.mark.effects\ndef test_it(): pass", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.effects(mode, *, strict=None): *"])
    result = child(pytester, "@pytest.mark.effects\ndef test_it(): pass", "--strict-markers")
    result.assert_outcomes(passed=1)


# -- the fixture ----------------------------------------------------------------------------------


def test_a_test_with_the_fixture_is_recorded(pytester: pytest.Pytester) -> None:
    """Ambient code, scopes, and the fixture itself; in functions, methods, for each parameter."""
    source = """
        def test_everything_is_seen(effects):
            emit(Notify(1))
            process(2)
            effects.emit(Notify(3))
            assert effects == [Notify(1), Notify(2), Notify(3)]

        class TestMethods:
            def setup_method(self):
                emit(Notify(1))

            def test_method(self, effects):
                process(2)
                assert effects == [Notify(1), Notify(2)]

            @staticmethod
            def test_static_method(effects):
                assert effects == [Notify(1)]

        @pytest.mark.parametrize("number", [5])
        def test_parameters(number, effects):
            process(number)
            assert effects == [Notify(number)]

        @pytest.mark.usefixtures("effects")
        def test_by_mark():
            emit(Notify(1))

        def test_nothing_is_left():
            assert delivered() == []
            assert nowhere()
    """
    passes(pytester, source)
    assert delivered(pytester) == []


def test_what_its_fixtures_emit_is_recorded(pytester: pytest.Pytester) -> None:
    """Whether they come before or after it, and until they end."""
    passes(
        pytester,
        """
        @pytest.fixture(autouse=True)
        def always():
            emit(Notify(1))

        @pytest.fixture
        def placed():
            process(2)
            yield
            process(3)

        @pytest.fixture
        def looks(effects):
            yield
            assert effects == [Notify(1), Notify(2), Notify(3)]

        @pytest.mark.effects
        def test_marked(placed): pass

        def test_before(looks, placed): pass

        def test_after(placed, effects):
            assert effects == [Notify(1), Notify(2)]
        """,
    )
    assert delivered(pytester) == []


def test_wider_fixtures_are_as_without_it(pytester: pytest.Pytester) -> None:
    """Their scopes stay open around recorded tests, and deliver what was emitted before those."""
    source = """
        @pytest.fixture(scope="session")
        def session():
            assert nowhere()
            yield
            assert nowhere()
            assert [line[:17] for line in delivered()] == ["Notify(order_id=1", "Notify(order_id=4"]

        @pytest.fixture(scope="module")
        def scope(session):
            with shop.scope() as scope:
                emit(Notify(1))
                yield scope

        def test_recorded(scope, effects):
            emit(Notify(2))
            scope.emit(Notify(3))
            assert effects == [Notify(2), Notify(3)]

        def test_not_recorded(scope):
            emit(Notify(4))

        def test_recorded_again(effects, scope):
            assert effects == []
    """
    passes(pytester, source)


def test_nothing_leaks_out_of_a_test(pytester: pytest.Pytester) -> None:
    """Not even if it leaves a scope open, which is an error of its own."""
    result = child(
        pytester,
        """
        def test_1_leaves_a_scope_open(effects):
            shop.scope().__enter__()

        def test_2_is_not_recorded():
            assert nowhere()

        def test_3_starts_with_nothing(effects):
            assert effects == []
            emit(Notify(1))

        def test_4_fails(effects):
            emit(Notify(2))
            assert False

        def test_5_starts_with_nothing(effects):
            assert effects == []

        def test_6_delivers():
            process(3)
            assert delivered() == ["Notify(order_id=3, urgent=False)"]
        """,
    )
    result.assert_outcomes(passed=5, failed=1, errors=1)
    told = "E *ScopeOrderError: *recording opened at test_it.py:3 *scope opened at test_it.py:4*"
    result.stdout.fnmatch_lines([told])


def test_what_was_recorded_is_not_kept_after_the_test(pytester: pytest.Pytester) -> None:
    """A run has thousands of tests."""
    source = """
        import gc

        def test_1(effects):
            emit(Notify(1))

        def test_2():
            gc.collect()
            places = [tape.place for tape in gc.get_objects() if type(tape).__name__ == "Tape"]
            assert not [place for place in places if place and place[0] == __file__]
    """
    gc.collect()  # what other tests have held is told of here, and not in the run
    passes(pytester, source)


def test_unittest_cases_are_recorded(pytester: pytest.Pytester) -> None:
    """Marked with ``usefixtures``, their setUp and tearDown included."""
    source = """
        import unittest

        @pytest.mark.usefixtures("effects")
        class TestShop(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _effects(self, effects):
                self.effects = effects

            def setUp(self):
                emit(Notify(1))

            def tearDown(self):
                process(3)

            def test_one(self):
                process(2)
                assert self.effects == [Notify(1), Notify(2)]

            def test_other(self):
                assert self.effects == [Notify(1)]

        class TestElsewhere(unittest.TestCase):
            def test_none(self):
                assert nowhere()
    """
    passes(pytester, source)
    assert delivered(pytester) == []


def test_a_fixture_of_that_name_takes_precedence(pytester: pytest.Pytester) -> None:
    """A test that asks for another is not recorded; one that extends ours is, from the start."""
    source = """
        @pytest.fixture
        def placed():
            process(1)

        class TestAnother:
            @pytest.fixture
            def effects(self):
                return ["boom", "bang"]

            def test_it(self, effects):
                assert effects == ["boom", "bang"]
                assert nowhere()

            @pytest.mark.effects
            def test_marked(self, effects):
                emit(Notify(1))
                assert effects == ["boom", "bang"]

        class TestParameter:
            @pytest.mark.parametrize("effects", ["boom"])
            def test_it(self, effects):
                assert effects == "boom"
                assert nowhere()

        class TestExtended:
            @pytest.fixture
            def effects(self, effects):
                emit(Notify(2))
                return effects

            def test_it(self, placed, effects):
                assert effects == [Notify(1), Notify(2)]
    """
    passes(pytester, source)


def test_a_request_at_run_time_is_too_late(pytester: pytest.Pytester) -> None:
    """What came before would have escaped: the text says what to do, and a marker will do."""
    result = child(
        pytester,
        """
        @pytest.fixture
        def asked(request):
            return request.getfixturevalue("effects")

        def test_in_a_test(request):
            request.getfixturevalue("effects")

        def test_in_a_fixture(asked): pass

        @pytest.mark.effects
        def test_marked(asked, request):
            emit(Notify(1))
            assert asked == [Notify(1)]
            assert request.getfixturevalue("effects") is asked

        def test_after():
            assert nowhere()

        @pytest.mark.parametrize("number", [1, 2])
        def test_each_time(request, number):
            request.getfixturevalue("effects")
        """,
    )
    result.assert_outcomes(passed=2, failed=3, errors=1)
    told = "The fixture `effects` was requested by request.getfixturevalue(), which is too late: *"
    result.stdout.fnmatch_lines([told] * 4)
    result.stdout.fnmatch_lines(["*Name `effects` among the arguments * @pytest.mark.effects."])
    result.stdout.no_fnmatch_line("*KeyError*")


# -- the marker -----------------------------------------------------------------------------------


def test_the_mode_says_what_happens_to_effects(pytester: pytest.Pytester) -> None:
    source = """
        @pytest.mark.effects
        def test_recorded_by_default(effects):
            process(1)
            assert effects == [Notify(1)]

        @pytest.mark.effects("record")
        def test_recorded(effects):
            process(1)
            assert effects == [Notify(1)]

        @pytest.mark.effects(mode="drop")
        def test_dropped(effects):
            process(1)
            emit(Notify(2))

        @pytest.mark.effects("refuse")
        def test_refused():
            with pytest.raises(errors.RefusedError):
                process(1)
            with pytest.raises(errors.RefusedError):
                emit(Notify(1))

        def test_nothing_was_delivered():
            assert delivered() == []

        @pytest.mark.effects("allow")
        def test_allowed(effects):
            assert nowhere()
            process(1)
            assert effects == [Notify(1)]
            assert delivered() == ["Notify(order_id=1, urgent=False)"]
    """
    passes(pytester, source)


def test_the_nearest_marker_holds(pytester: pytest.Pytester) -> None:
    """As a whole, on a function, a class, a module: options do not add up."""
    source = """
        pytestmark = pytest.mark.effects("refuse")

        def test_of_the_module():
            with pytest.raises(errors.RefusedError):
                process(1)

        @pytest.mark.effects("record")
        def test_of_the_function(effects):
            process(1)
            assert effects == [Notify(1)]

        @pytest.mark.effects("record", strict=True)
        class TestClass:
            def test_of_the_class(self, effects):
                process(1)
                assert effects == [Notify(1)]

            @pytest.mark.effects
            def test_of_the_method(self, effects):
                process(1)
    """
    passes(pytester, source)


def test_a_marked_test_may_have_to_assert_everything(pytester: pytest.Pytester) -> None:
    result = child(
        pytester,
        """
        pytestmark = pytest.mark.effects(strict=True)

        def test_strict():
            process(1)

        def test_asserted(effects):
            process(1)
            effects.saw(Notify)

        def test_allowed():
            process(1)
        test_allowed.pytestmark = [pytest.mark.effects("allow", strict=True)]
        """,
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["1 effect was emitted, and not asserted:"] * 2)


def test_a_recorded_test_sees_its_threads(pytester: pytest.Pytester) -> None:
    """Scopes that open in them deliver nothing; those of a test that is not recorded do."""
    source = """
        def work():
            thread = threading.Thread(target=process, args=[1])
            thread.start()
            thread.join()

        def test_1_recorded(effects):
            work()
            assert effects == [Notify(1)]
            assert delivered() == []

        def test_2_not_recorded():
            work()
            assert len(delivered()) == 1
    """
    passes(pytester, source)


WRONG_MARKERS = {
    '"recrod"': "choose one of 'record', 'allow', 'drop', 'refuse'. Did you mean 'record'?",
    "Drop()": "choose one of 'record', 'allow', 'drop', 'refuse'. Did you mean 'drop'?",
    "7": "choose one of 'record', 'allow', 'drop', 'refuse'.",
    '""': "choose one of 'record', 'allow', 'drop', 'refuse'.",
    '"record", True': "takes one mode, and was given 'record', True. Did you mean strict=?",
    '"drop", mode="allow"': "takes one mode, and was given 'drop', 'allow'. Did you mean strict=?",
    "strikt=True": "takes mode= and strict=, not strikt=. Did you mean strict=?",
    'moed="drop"': "takes mode= and strict=, not moed=. Did you mean mode=?",
    "deliver=False": "takes mode= and strict=, not deliver=.",
    "process=True": "takes mode= and strict=, not process=.",
    'strict="no"': "strict='no' must be True or False.",
}


@pytest.mark.parametrize("arguments", WRONG_MARKERS)
def test_a_marker_that_makes_no_sense_is_refused_before_any_test(
    pytester: pytest.Pytester, arguments: str
) -> None:
    """The text names the test, and says what was probably meant."""
    result = child(
        pytester,
        f"""
        def test_first():
            process(1)

        @pytest.mark.effects({arguments})
        def test_second(): pass
        """,
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = result.stderr.str().strip()
    assert told.startswith("ERROR: @pytest.mark.effects(...) of test_it.py::test_second")
    assert told.endswith(WRONG_MARKERS[arguments])
    assert delivered(pytester) == []


def test_so_is_one_that_a_conftest_adds(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.effects("dorp"))
    """)
    result = child(pytester, "def test_one(): process(1)")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *test_it.py::test_one*Did you mean 'drop'?"])


# -- the settings ---------------------------------------------------------------------------------


SUITE = """
import unittest

def test_ambient():
    emit(Notify(1))

def test_scope():
    process(2)

class TestShop:
    @pytest.fixture
    def placed(self):
        process(3)

    def test_fixture(self, placed): pass

class TestCases(unittest.TestCase):
    def setUp(self):
        process(4)

    def test_case(self):
        emit(Notify(5))
"""

FORMS = {
    "pyproject.toml": '[tool.pytest.ini_options]\nairlock_effects = "record"\n',
    "pytest.toml": '[pytest]\nairlock_effects = "record"\n',
    "pytest.ini": "[pytest]\nairlock_effects = record\n",
    "tox.ini": "[pytest]\nairlock_effects = record\n",
    "setup.cfg": "[tool:pytest]\nairlock_effects = record\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_a_setting_records_a_suite_as_it_is(pytester: pytest.Pytester, name: str) -> None:
    """Nothing of it is delivered, and ambient code finds a scope."""
    (pytester.path / name).write_text(FORMS[name], "utf-8")
    passes(pytester, SUITE)
    assert delivered(pytester) == []


def test_the_command_line_may_say_it(pytester: pytest.Pytester) -> None:
    passes(pytester, SUITE, "-oairlock_effects=drop")
    assert delivered(pytester) == []


def test_without_the_setting_that_suite_delivers(pytester: pytest.Pytester) -> None:
    result = child(pytester, SUITE)
    result.assert_outcomes(passed=2, failed=2)
    assert [line[:17] for line in delivered(pytester)] == [
        f"Notify(order_id={number}" for number in (2, 3, 4)
    ]


def test_a_marker_overrides_the_setting(pytester: pytest.Pytester) -> None:
    """Its mode; one that names none keeps that of the setting."""
    source = """
        def test_refused():
            with pytest.raises(errors.RefusedError):
                process(1)

        def test_refused_with_the_fixture(effects):
            with pytest.raises(errors.RefusedError):
                process(1)

        @pytest.mark.effects(strict=True)
        def test_refused_by_a_marker_without_a_mode():
            with pytest.raises(errors.RefusedError):
                process(1)

        @pytest.mark.effects("record")
        def test_recorded(effects):
            process(1)
            assert effects == [Notify(1)]
            assert delivered() == []

        @pytest.mark.effects("allow")
        def test_allowed():
            process(1)
            assert len(delivered()) == 1
    """
    passes(pytester, source, "-oairlock_effects=refuse")


@pytest.mark.parametrize(
    ("value", "meant"), [("recrod", "Did you mean 'record'[?]"), ("yes", "'refuse'.")]
)
def test_a_wrong_setting_is_refused(pytester: pytest.Pytester, value: str, meant: str) -> None:
    pytester.makeini(f"[pytest]\nairlock_effects = {value}")
    result = child(pytester, SUITE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = f"ERROR: airlock_effects = {value}: choose one of 'record', *{meant}"
    result.stderr.fnmatch_lines([told])
    assert delivered(pytester) == []


# -- strict folders -------------------------------------------------------------------------------


def strict(pytester: pytest.Pytester, source: str, *args: str) -> pytest.RunResult:
    """Run some tests twice: in a strict folder, and outside of it."""
    pytester.makeini("[pytest]\nairlock_strict = strict\naddopts = --import-mode=importlib")
    pytester.makepyfile(shop=SHOP)
    for folder in ("strict", "loose"):
        (pytester.path / folder / "deep").mkdir(parents=True)
        (pytester.path / folder / "deep" / "test_it.py").write_text(module(source), "utf-8")
    return pytester.runpytest_inprocess(*options(), "-opythonpath=.", *args)


def test_in_a_strict_folder_tests_fail_for_what_they_do_not_assert(
    pytester: pytest.Pytester,
) -> None:
    """The text lists each, with its place; outside of the folder the same tests pass."""
    result = strict(
        pytester,
        """
def test_unregistered(effects):
    process(1)
    emit(Charge("a@b"))
    emit(Notify(2))
    effects.saw(Notify(2))
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_unregistered _*",
            "2 effects were emitted, and not asserted:",
            "  Notify(order_id=1, urgent=False)  at shop.py:35",
            "  Charge(to='a@b', card=<hidden>) * strict/deep/test_it.py:5",
            "emitted (3):",
            "FAILED strict/deep/test_it.py::test_unregistered - *",
        ]
    )
    result.stdout.no_fnmatch_line("*Captured effects*")


def test_what_passes_in_a_strict_folder(pytester: pytest.Pytester) -> None:
    """Tests that assert everything, opt out, are not recorded, or do not care by their mode."""
    result = strict(
        pytester,
        """
def test_asserted(effects):
    process(1)
    assert effects == [Notify(1)]

@pytest.mark.effects(strict=False)
def test_opts_out(effects):
    process(1)

@pytest.mark.effects("drop")
def test_drops():
    process(1)

@pytest.mark.effects("refuse")
def test_refuses():
    with pytest.raises(errors.RefusedError):
        process(1)

def test_not_recorded():
    process(1)
""",
    )
    result.assert_outcomes(passed=10)


def test_a_failing_test_reports_its_own_failure_only(pytester: pytest.Pytester) -> None:
    """So do cases of unittest; those that are skipped, or expected to fail, fail for nothing."""
    result = strict(
        pytester,
        """
import unittest

def test_fails(effects):
    process(1)
    assert "this" == "that"

@pytest.mark.usefixtures("effects")
class TestCases(unittest.TestCase):
    def test_case(self):
        process(1)
        self.assertEqual("this", "that")

    def test_skipped_case(self):
        process(1)
        self.skipTest("not today")

def test_skipped(effects):
    process(1)
    pytest.skip("not today")

@pytest.mark.xfail
def test_expected_to_fail(effects):
    process(1)
""",
    )
    result.assert_outcomes(failed=4, skipped=4, xfailed=1, xpassed=1)
    assert result.stdout.str().count("'this' != 'that'") >= 2
    result.stdout.no_fnmatch_line("*not asserted*")


def test_a_strict_unittest_case_fails_too(pytester: pytest.Pytester) -> None:
    result = strict(
        pytester,
        """
import unittest

@pytest.mark.usefixtures("effects")
class TestCases(unittest.TestCase):
    def test_case(self):
        process(1)
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["1 effect was emitted, and not asserted:"])


def test_with_both_settings_every_test_of_a_folder_is_strict(pytester: pytest.Pytester) -> None:
    result = strict(pytester, "\ndef test_it():\n    process(1)\n", "-oairlock_effects=record")
    result.assert_outcomes(passed=1, failed=1)


def test_what_other_plugins_emit_around_a_test_has_to_be_asserted_too(
    pytester: pytest.Pytester,
) -> None:
    """The last look is ours; what they complain of goes first."""
    pytester.makeconftest("""
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(item):
            yield
            import shop
            shop.emit(shop.Notify(1))
            assert "fails" not in item.name
    """)
    source = """
        @pytest.mark.effects(strict=True)
        def test_strict(): pass

        @pytest.mark.effects(strict=True)
        def test_fails(): pass
    """
    result = child(pytester, source)
    result.assert_outcomes(failed=2)
    assert result.stdout.str().count("1 effect was emitted, and not asserted:\n  Notify") == 1


def test_a_strict_folder_has_to_exist(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nairlock_strict = unit integration")
    (pytester.path / "unit").mkdir()
    result = child(pytester, "def test_one(): process(1)")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = f"ERROR: airlock_strict names {pytester.path}/integration, which does not exist."
    result.stderr.fnmatch_lines([told])


# -- what a failure says --------------------------------------------------------------------------


FAILING = """
def buy(effects):
    effects.emit(Notify(7))
    effects.emit(Charge("a@b"))

def test_comparison(effects):
    buy(effects)
    assert effects == [Notify(8), Charge("a@b"), Notify(9)]

def test_another_failure(effects):
    buy(effects)
    with shop.scope(policy=Drop(Notify)):
        emit(Notify(1))
    assert len("this") == len("that it")

@pytest.mark.effects(strict=True)
def test_strict(effects):
    buy(effects)
    effects.one(Charge)
"""


@pytest.mark.parametrize("name", ["test_comparison", "test_another_failure", "test_strict"])
def test_a_report_is_kept(pytester: pytest.Pytester, name: str) -> None:
    """As a text to read. To accept a new one: ``AIRLOCK_WRITE_GOLDEN=1``."""
    result = child(pytester, FAILING, "-k", name)
    text = result.stdout.str().partition("= FAILURES =")[2]
    text = "\n".join(line.rstrip() for line in text.splitlines()[1:-1]) + "\n"
    golden = GOLDEN / f"{name.removeprefix('test_')}.txt"
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


MANY = """
def test_many(effects):
    for number in range(230):
        emit(Notify(number))
    assert effects == [*map(Notify, range(100)), Charge("a@b"), *map(Notify, range(100, 230))]
"""
EXPLAINED = [
    "230 emitted, 231 expected:",
    "    Notify(order_id=0, urgent=False)    #1    test_it.py:5",
    "    Notify(order_id=99, urgent=False)   #100  test_it.py:5",
    "  - Charge(to='a@b', card=<hidden>)     missing",
    "    Notify(order_id=100, urgent=False)  #101  test_it.py:5",
    "    Notify(order_id=229, urgent=False)  #230  test_it.py:5",
]


@pytest.mark.parametrize(
    ("args", "ci"),
    [
        ([], ""),
        ([], "true"),
        (["-q"], ""),
        (["-q"], "true"),
        (["-vv"], ""),
        (["--tb=short"], ""),
        (["--tb=native"], ""),
        (["--color=yes"], ""),
        (["--showlocals"], ""),
    ],
)
def test_all_that_differs_in_a_comparison_is_explained(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, args: list[str], ci: str
) -> None:
    """Once, with what is around it, however pytest is run; readable without colour."""
    monkeypatch.setenv("CI", ci) if ci else monkeypatch.delenv("CI", raising=False)
    result = child(pytester, MANY, *args)
    text = result.stdout.str().partition("short test summary info")[0]
    explained = re.findall(r"^.*(?:#\d+ +test_it.py:5|missing).*$", text, re.MULTILINE)
    assert len(explained) == 3 + (3 + 1 + 3) + 3
    positions = [text.index(line) for line in EXPLAINED]
    assert positions == sorted(positions)
    assert "truncated" not in text
    if "--color=yes" in args:
        inner = re.compile(r"^(\x1b\[[\d;]*m)*E[^\x1b]*(\x1b\[[\d;]*m)*$")
        assert all(inner.match(line) for line in explained)


def test_a_long_comparison_looks_at_each_emission_a_few_times(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though pytest asks for one element after the other, in explanations of its own."""
    asked = 0

    def counting(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return fate_of(*args)

    monkeypatch.setattr("airlock.testing.tape.fate_of", counting)
    source = """
    def test_long(effects):
        for i in range(300):
            emit(Notify(i))
        assert effects == [Notify(i) for i in range(299)]
    """
    child(pytester, source).assert_outcomes(failed=1)
    assert 300 <= asked < 20 * 300


# -- errors ---------------------------------------------------------------------------------------


def test_an_emission_without_a_scope_names_the_fixture(pytester: pytest.Pytester) -> None:
    """Also where the error is the cause of another one; not where the test is recorded."""
    result = child(
        pytester,
        """
        def test_plain():
            emit(Notify(1))

        def test_wrapped():
            try:
                emit(Notify(1))
            except LookupError as error:
                raise RuntimeError("500") from error

        @pytest.mark.effects("allow")
        def test_allowed():
            emit(Notify(1))
        """,
    )
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    assert text.count("In a test, the fixture `effects` opens a scope") == 2


def test_frames_of_airlock_are_hidden(pytester: pytest.Pytester) -> None:
    """What is shown are the test and its handlers; ``--full-trace`` shows the others."""
    source = """
    def break_down(intent):
        raise ValueError("down")

    def test_no_scope():
        emit(Notify(1))

    def test_handler():
        with Boundary({Notify: break_down}).scope():
            emit(Notify(1))
    """
    result = child(pytester, source)
    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    assert "airlock/" not in text.replace("airlock-effects", "")
    assert "raise ValueError" in text
    assert "airlock/" in child(pytester, source, "--full-trace").stdout.str()


def test_a_fault_of_airlock_itself_is_shown(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airlock.scopes.current.region_here", None)
    text = child(pytester, "def test_it():\n    emit(Notify(1))").stdout.str()
    assert "airlock/scopes/current.py" in text


def test_comparisons_of_single_values_are_explained_whole(pytester: pytest.Pytester) -> None:
    """Though their text is too long for pytest; over several lines, with a message, negated."""
    result = child(
        pytester,
        """
        from airlock.testing import like

        def test_long():
            assert Charge("x" * 700) == Charge(
                "y" * 700,
            )

        def test_message(effects):
            emit(Notify(1))
            assert effects == [Notify(2)], "they differ"

        def test_both(effects):
            emit(Notify(1))
            assert effects and effects == [
                Notify(3)
            ]

        def test_in(effects):
            emit(Notify(1))
            assert Notify(4) in effects

        def test_buffers():
            assert EffectBuffer([Notify(1)]) == EffectBuffer([Notify(5)])

        def test_like():
            assert [Notify(1)] == [like(Notify, order_id=6)]
        """,
    )
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(
        [
            f"E *Charge(to='{'x' * 700}', card=<hidden>) == Charge(to='{'y' * 700}', card=<hidden>)",
            f"E *to: expected '{'y' * 700}', got '{'x' * 700}'",
            "E *they differ*",
            *[f"E *order_id: expected {number}, got 1" for number in range(2, 7)],
        ]
    )


def test_other_comparisons_are_explained_by_pytest(pytester: pytest.Pytester) -> None:
    result = child(
        pytester,
        """
        def test_texts(effects):
            assert "this" == "that"

        def test_not_equal(effects):
            emit(Notify(1))
            assert effects != [Notify(1)]

        def test_number():
            assert Notify(1) == 1
        """,
    )
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *- that",
            "E *assert Recording([[]Notify(order_id=1, *)]) != [[]Notify(order_id=1, *)]",
            "E *assert Notify(order_id=1, urgent=False) == 1",
        ]
    )


def test_failures_of_unittest_and_of_fixtures_are_explained(pytester: pytest.Pytester) -> None:
    """Of single cases, of subtests, of the setup and the teardown of a test."""
    result = child(
        pytester,
        """
        import unittest

        class TestCases(unittest.TestCase):
            def test_case(self):
                assert EffectBuffer([Notify(1)]) == [Notify(2)]

            def test_subtests(self):
                for number in (3, 4):
                    with self.subTest(number=number):
                        assert EffectBuffer([Notify(1)]) == [Notify(number)]

        @pytest.fixture
        def sets_up(effects):
            emit(Notify(1))
            assert effects == [Notify(5)]

        @pytest.fixture
        def tears_down(effects):
            yield
            assert effects == [Notify(6)]

        def test_setup(sets_up): pass

        def test_teardown(tears_down):
            emit(Notify(1))
        """,
    )
    text = result.stdout.str()
    assert [text.count(f"order_id: expected {number}, got 1") for number in range(2, 7)] == [1] * 5


def test_failures_of_several_tasks_are_explained_each(pytester: pytest.Pytester) -> None:
    """They come as a group."""
    result = child(
        pytester,
        """
        def test_group(effects):
            emit(Notify(1))
            found = []
            for number in (2, 3):
                try:
                    if number == 2:
                        assert effects == [Notify(2)]
                    assert effects == [Notify(3)]
                except AssertionError as error:
                    found.append(error)
            raise ExceptionGroup("several", found)
        """,
    )
    text = result.stdout.str()
    assert [text.count(f"order_id: expected {number}, got 1") for number in (2, 3)] == [1, 1]


def test_an_explanation_stays_with_its_assertion(pytester: pytest.Pytester) -> None:
    """One that was expected to fail says nothing in a later failure, even of the same text."""
    result = child(
        pytester,
        """
        def test_it(effects):
            emit(Notify(1))
            with pytest.raises(AssertionError) as caught:
                assert effects == [Notify(2)]
            assert str(caught.value) == "something else"

        def test_next():
            raise AssertionError("assert Recording of 1 effect == list of 1 effect")

        def same(one, other):
            assert one == other

        def test_same_place(effects):
            emit(Notify(1))
            with pytest.raises(AssertionError):
                same(effects, [Notify(2)])
            same("this", "that")
        """,
    )
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["E *+ assert Recording of 1 effect == list of 1 effect"])
    result.stdout.no_fnmatch_line("*expected 2, got 1*")
    result.stdout.fnmatch_lines(["*Captured effects call*", "emitted (1):"])


def test_an_explanation_is_gone_with_its_test(pytester: pytest.Pytester) -> None:
    """Though a later one fails in the same place, with the same words."""
    result = child(
        pytester,
        """
        def check(effects, expected, words):
            assert not words and effects == expected, words

        def test_1(effects):
            emit(Notify(1))
            with pytest.raises(AssertionError):
                check(effects, [Notify(2)], "")

        def test_2(effects):
            check(effects, [], "Recording of 1 effect == list of 1 effect")
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*expected 2, got 1*")


def test_other_failures_show_what_was_emitted(pytester: pytest.Pytester) -> None:
    """In a section; not if nothing was, or if the failure tells it already."""
    result = child(
        pytester,
        """
        @pytest.fixture
        def breaks():
            emit(Notify(1))
            raise KeyError("setup")

        def test_setup(breaks, effects): pass

        def test_error(effects):
            emit(Notify(2))
            raise KeyError("call")

        def test_nothing(effects):
            raise KeyError("nothing")

        def test_told(effects):
            emit(Notify(3))
            effects.one(Charge)
        """,
    )
    result.assert_outcomes(failed=3, errors=1)
    text = result.stdout.str()
    assert text.count("- Captured effects setup -") == 1
    assert text.count("- Captured effects call -") == 1
    logged = [line for line in result.outlines if re.search(r"1  Notify\(order_id=[123],", line)]
    assert len(logged) == 3


def test_what_passing_tests_leave_unregistered_is_shown_on_demand(
    pytester: pytest.Pytester,
) -> None:
    """With -rP; not where effects do not matter."""
    source = """
        def test_unregistered(effects):
            emit(Notify(1))
            process(2)
            effects.saw(Notify(1))

        def test_said(effects):
            emit(Notify(3))
            effects.one(Notify)

        @pytest.mark.effects("drop")
        def test_dropped():
            emit(Notify(4))
    """
    result = child(pytester, source, "-rP")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "*Captured effects not asserted call*",
            "  Notify(order_id=2, urgent=False)  at shop.py:35",
        ]
    )
    assert result.stdout.str().count("Captured effects") == 1
    child(pytester, source).stdout.no_fnmatch_line("*Captured effects*")


def test_an_expectation_that_is_never_used_fails_its_test(pytester: pytest.Pytester) -> None:
    """The text says where it was written. A test that fails by itself says nothing of it."""
    result = child(
        pytester,
        """
        from airlock.testing import gt, like

        def test_unused(effects):
            emit(Notify(7))
            like(Notify, order_id=gt(5))

        def test_fails(effects):
            like(Charge)
            raise KeyError("this")
        """,
    )
    result.assert_outcomes(failed=2)
    told = "like(Notify, order_id=gt(5)) of test_it.py:7 was never looked for. *"
    result.stdout.fnmatch_lines([told])
    result.stdout.no_fnmatch_line("*like(Charge) of*")


@pytest.mark.parametrize("args", [[], ["-vv", "--showlocals"], ["--full-trace", "-l"]])
def test_sensitive_values_are_never_shown(pytester: pytest.Pytester, args: list[str]) -> None:
    result = child(
        pytester,
        """
        from airlock.testing import like

        def test_comparison(effects):
            held = Charge("a@b")
            effects.emit(held)
            assert effects == [Charge("a@b", CARD[:6])]

        def test_values():
            assert Charge("a@b") == Charge("a@b", CARD[:6])

        def test_lists():
            assert [Charge("a@b")] == [Charge("a@b", CARD[:6]), Notify(1)]

        def test_in(effects):
            emit(Charge("a@b"))
            assert Charge("a@b", CARD[:6]) in effects

        def test_log(effects):
            process(1)
            emit(Charge("a@b"))
            raise KeyError("this")

        def test_saw(effects):
            emit(Charge("a@b"))
            effects.saw(like(Charge, card=CARD[:6]))

        @pytest.mark.effects("refuse")
        def test_refused():
            emit(Charge("a@b"))

        @pytest.mark.effects(strict=True)
        def test_strict():
            emit(Charge("a@b"))

        def test_passes(effects):
            emit(Charge("a@b"))
        """,
        "-rP",
        *args,
    )
    result.assert_outcomes(passed=1, failed=8)
    text = result.stdout.str() + result.stderr.str()
    assert "<hidden>" in text
    assert "topsec" not in text
