"""The pytest plugin among others: those that distribute and shuffle tests, and snapshots."""

from __future__ import annotations

import re

import pytest

from tests.testing.test_plugin import SHOP, child, delivered, module, options

TESTS = """
@pytest.fixture(scope="module")
def wide():
    assert nowhere()
    yield
    assert nowhere()


@pytest.mark.parametrize("order_id", range(6))
def test_recorded(effects, wide, order_id):
    process(order_id)
    assert effects == [Notify(order_id)]


@pytest.mark.effects("refuse")
def test_refused(wide):
    with pytest.raises(errors.RefusedError):
        process(1)


@pytest.mark.parametrize("number", range(4))
def test_not_recorded(number):
    assert nowhere()


def test_delivers():
    process(7)
    assert delivered() == ["Notify(order_id=7, urgent=False)"]


class TestUnsaid:
    @pytest.mark.effects(strict=True)
    def test_strict(self):
        process(1)

    def test_compared(self, effects):
        process(1)
        assert effects == [Notify(2)]
"""


def run(pytester: pytest.Pytester, source: str, *args: str, used: str) -> pytest.RunResult:
    """Run tests, in a process of their own, with the plugins that are named."""
    pytester.makepyfile(shop=SHOP, test_it=module(source))
    return pytester.runpytest_subprocess(*options(*used.split()), *args)


# -- runners --------------------------------------------------------------------------------------


def test_tests_may_be_distributed(pytester: pytest.Pytester) -> None:
    """Failures come over from the workers as they are."""
    result = run(pytester, TESTS, "-n2", used="xdist xdist.looponfail")
    result.assert_outcomes(passed=12, failed=2)
    assert delivered(pytester) == ["Notify(order_id=7, urgent=False)"]
    text = result.stdout.str()
    assert "E               order_id: expected 2, got 1" in text
    assert "1 effect was emitted, and not asserted:\n" in text


def test_a_wrong_marker_fails_its_test_if_tests_are_distributed(
    pytester: pytest.Pytester,
) -> None:
    """The workers of xdist have no way to refuse a run."""
    source = """
        def test_one():
            process(1)

        @pytest.mark.effects("dorp")
        def test_two():
            process(2)
    """
    result = run(pytester, source, "-n2", used="xdist xdist.looponfail")
    result.assert_outcomes(passed=1, errors=1)
    told = "E *UsageError: @pytest.mark.effects(...) of test_it.py::test_two: *mean 'drop'?"
    result.stdout.fnmatch_lines([told])
    assert delivered(pytester) == ["Notify(order_id=1, urgent=False)"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tests_may_be_shuffled(pytester: pytest.Pytester, seed: int) -> None:
    result = run(pytester, TESTS, f"--randomly-seed={seed}", used="randomly")
    result.assert_outcomes(passed=12, failed=2)


def test_switched_off_it_is_unknown(pytester: pytest.Pytester) -> None:
    source = """
        def test_one(effects): pass

        def test_two():
            assert nowhere()
    """
    result = child(pytester, source, "-pno:airlock")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'effects' not found"])


def test_switched_off_its_setting_is_unknown(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nairlock_effects = record")
    result = child(pytester, "def test_one(): pass", "-pno:airlock", "--strict-config")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


# -- doctests -------------------------------------------------------------------------------------


EXAMPLES = '''
"""Examples.

>>> from shop import *
>>> nowhere()
True
>>> with shop.scope() as scope:
...     scope.emit(Notify(1))
>>> len(delivered())
1
"""
'''


def test_doctests_are_as_without_it(pytester: pytest.Pytester) -> None:
    """The setting holds for them too."""
    pytester.makepyfile(shop=SHOP, doctests_of_shop=EXAMPLES)
    args = [*options(), "--doctest-modules", "doctests_of_shop.py"]
    pytester.runpytest_inprocess(*args).assert_outcomes(passed=1)
    assert len(delivered(pytester)) == 1
    result = pytester.runpytest_inprocess(*args, "-oairlock_effects=drop")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*DID NOT RAISE*"])
    assert len(delivered(pytester)) == 1


PAGE = """
# A page

```python
from shop import *
assert nowhere()
process(1)
assert len(delivered()) == 1
```

```python
assert len(delivered()) == 2
```
"""


@pytest.mark.parametrize(
    ("fixtures", "setting", "outcomes", "deliveries"),
    [
        ("[]", [], {"passed": 1, "failed": 1}, 1),
        ("['effects']", [], {"failed": 2}, 0),
        ("[]", ["-oairlock_effects=drop"], {"passed": 1, "failed": 1}, 1),
    ],
)
def test_pages_of_sybil_are_as_without_it(
    pytester: pytest.Pytester,
    fixtures: str,
    setting: list[str],
    outcomes: dict[str, int],
    deliveries: int,
) -> None:
    """Unless they ask for the fixture. Sybil uses no autouse fixtures, so not by the setting."""
    pytester.makepyfile(shop=SHOP)
    pytester.makeconftest(f"""
        from sybil import Sybil
        from sybil.parsers.markdown import PythonCodeBlockParser

        pytest_collect_file = Sybil(
            parsers=[PythonCodeBlockParser()], patterns=["*.md"], fixtures={fixtures}
        ).pytest()
    """)
    (pytester.path / "page.md").write_text(PAGE, "utf-8")
    pytester.syspathinsert()
    pytester.runpytest_inprocess(*options(), *setting).assert_outcomes(**outcomes)
    assert len(delivered(pytester)) == deliveries


# -- snapshots ------------------------------------------------------------------------------------


def test_snapshots_of_syrupy(pytester: pytest.Pytester) -> None:
    """Taken, compared in the next run, and different after a change."""
    source = """
        def test_snapshot(effects, snapshot):
            process(7)
            emit(Charge("a@b"))
            assert effects.to_json(indent=2) == snapshot
    """
    run(pytester, source, "--snapshot-update", used="syrupy").assert_outcomes(passed=1)
    taken = (pytester.path / "__snapshots__" / "test_it.ambr").read_text("utf-8")
    assert "Notify(order_id=7, urgent=False)" in taken
    assert "topsec" not in taken
    run(pytester, source, used="syrupy").assert_outcomes(passed=1)
    result = run(pytester, source.replace("7", "8"), used="syrupy")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Notify(order_id=7,*", "*Notify(order_id=8,*"])


def test_snapshots_in_the_source(pytester: pytest.Pytester) -> None:
    """Of inline-snapshot: created, compared in the next run, and different after a change."""
    source = """
        from inline_snapshot import snapshot

        def test_snapshot(effects):
            process(7)
            emit(Notify(1, urgent=True))
            assert list(effects) == snapshot()
    """
    used = "inline_snapshot"
    result = run(pytester, source, "--inline-snapshot=create", used=used)
    result.assert_outcomes(passed=1, errors=1)  # by which it says that it has written something
    created = (pytester.path / "test_it.py").read_text("utf-8")
    values = re.search(r"snapshot\((\[.+\])\)", created, re.DOTALL)
    assert values is not None
    assert eval(values[1], {"Notify": lambda *args, **fields: (*args, fields)}) == [
        ({"order_id": 7},),
        ({"order_id": 1, "urgent": True},),
    ]
    created = created.partition("\n")[2]
    run(pytester, created, "--inline-snapshot=disable", used=used).assert_outcomes(passed=1)
    changed = created.replace("process(7)", "process(8)")
    result = run(pytester, changed, "--inline-snapshot=disable", used=used)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *order_id: expected 7, got 8"])
