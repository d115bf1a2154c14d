"""What every test may use."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

# How fast a value is made or tried depends on what else the machine does.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# Set by a build server or by someone's shell, and changing what tools print.
TELLING = (
    "BUILD_NUMBER",
    "CI",
    "COLUMNS",
    "FORCE_COLOR",
    "GITHUB_ACTIONS",
    "LINES",
    "NO_COLOR",
    "PYTEST_ADDOPTS",
    "PY_COLORS",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
)


@pytest.fixture(autouse=True)
def _the_same_output_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that read what a tool prints see the same on a build server and on a desk."""
    for name in TELLING:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Tests marked with ``anyio`` run on both event loops."""
    backend: str = request.param
    return backend


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Measure no coverage while Hypothesis tries many values: it takes twice as long.

    What a line does, an example shows; the many values show that it does so always.
    """
    if config.pluginmanager.hasplugin("_cov"):
        for item in items:
            if is_hypothesis_test(getattr(item, "obj", None)):
                item.add_marker(pytest.mark.no_cover)
