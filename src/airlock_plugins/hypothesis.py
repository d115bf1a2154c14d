"""The entry point of Hypothesis: strategies for ``Json``, ``Options`` and ``Intent``."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["register"]


def register() -> None:
    """Register the strategies once both are imported, airlock and Hypothesis.

    Each of them calls this when it is imported; the one that comes second finds the other.
    """
    if not (sys.modules.get("airlock") and sys.modules.get("hypothesis")):
        return
    from hypothesis.strategies import register_type_strategy  # noqa: PLC0415 - see above

    from airlock.effects.intent import Intent  # noqa: PLC0415 - see above
    from airlock.effects.json import Json  # noqa: PLC0415 - see above
    from airlock.effects.options import Options  # noqa: PLC0415 - see above

    for cls in (Json, Options, Intent):
        register_type_strategy(cls, _registered)


def _registered(hint: type[Any]) -> Any:
    """Return what is asked for, and nothing when ``object`` or ``Hashable`` is."""
    from airlock.testing.strategies import OURS  # noqa: PLC0415 - it imports most of Hypothesis

    return OURS[hint]() if hint in OURS else NotImplemented
