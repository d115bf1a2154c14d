"""Programs that have airlock installed and do not use it do not pay for it.

Counted in modules that are loaded, not in time.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent


def loaded(tmp_path: Path, program: str, *args: str) -> set[str]:
    """Run a program that writes down its modules, and return the names of packages."""
    names = tmp_path / "names"
    file = tmp_path / "test_it.py"
    file.write_text(dedent(program).replace("NAMES", repr(str(names))), "utf-8")
    done = subprocess.run(
        [sys.executable, *args, file.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {name.partition(".")[0] for name in names.read_text("utf-8").split()}


PYTEST = ("-m", "pytest", "-q", "-pno:cacheprovider", "-pno:django", "-pno:randomly")
WRITE = """
    import pathlib, sys

    def write():
        pathlib.Path(NAMES).write_text(" ".join(sys.modules))
"""


def test_pytest_loads_nothing_of_airlock_before_a_test_uses_it(tmp_path: Path) -> None:
    """Neither at its start, nor for tests that pass or fail, with fixtures or in classes."""
    program = (
        WRITE
        + """
    import unittest
    import pytest

    @pytest.fixture(autouse=True)
    def after():
        yield
        write()

    def test_one(tmp_path):
        assert [1] == [1]

    @pytest.mark.xfail
    def test_two():
        assert [1] == [2]

    class TestThree(unittest.TestCase):
        def test_three(self):
            pass
    """
    )
    without = loaded(tmp_path, program, *PYTEST, "-pno:airlock")
    assert loaded(tmp_path, program, *PYTEST) == {*without, "airlock_plugins"}
    assert "airlock" not in without


def test_hypothesis_loads_nothing_of_airlock(tmp_path: Path) -> None:
    """Though it has an entry point of ours, which waits until airlock is imported."""
    program = WRITE + "\n    import hypothesis.strategies\n    write()\n"
    names = loaded(tmp_path, program)
    assert "airlock_plugins" in names
    assert not names.intersection(("airlock", "cattrs", "dependency_injector"))


def test_airlock_does_not_load_hypothesis(tmp_path: Path) -> None:
    assert "hypothesis" not in loaded(
        tmp_path, WRITE + "\n    import airlock.testing\n    write()\n"
    )
