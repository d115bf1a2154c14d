"""A module that cannot be imported."""

from __future__ import annotations

import no_such_package  # noqa: F401
