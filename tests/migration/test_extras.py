"""The room of the migration, where what it is about is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("extra", ["celery", "django", "flake8"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(extra: str) -> None:
    code = f"import sys; sys.modules[{extra!r}] = None; import airlock.migration.{extra}"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 1
    assert f"airlock.migration.{extra} needs" in ran.stderr
    assert f"pip install 'airlock-effects[{extra}]'" in ran.stderr


@pytest.mark.parametrize(
    "module",
    ["airlock", "airlock.cli", "airlock.integrations.celery", "airlock.integrations.django.apps"],
)
def test_nothing_else_loads_it(module: str) -> None:
    code = f"import sys, {module}; print([m for m in sys.modules if 'airlock.migration' in m])"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert ran.stdout == "[]\n"
