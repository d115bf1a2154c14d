"""A flake8 plugin: finds effects that bypass the airlock, and knows the old ones by a baseline.

It reads source text only: nothing of the checked program is imported.
"""

from __future__ import annotations

from airlock.errors import MissingExtraError

try:
    import flake8 as _flake8  # type: ignore[import-untyped]  # noqa: F401 - flake8 has no py.typed
except ImportError:
    raise MissingExtraError(__name__, "flake8 6", "flake8") from None

from airlock.migration.flake8.plugin import Plugin
from airlock.migration.flake8.writing import BaselineFormatter

__all__ = ["BaselineFormatter", "Plugin"]
