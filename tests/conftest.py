"""What every test may use."""

from __future__ import annotations

import pytest

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
