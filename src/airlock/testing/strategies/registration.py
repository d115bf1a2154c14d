"""What Hypothesis is told of airlock when it is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airlock.effects.intent import Intent
from airlock.effects.json import Json
from airlock.effects.options import Options

__all__ = ["register"]


def register() -> None:
    """Tell Hypothesis of ``Json``, ``Options`` and ``Intent``. It calls this when it is imported."""
    from hypothesis.strategies import register_type_strategy  # noqa: PLC0415 - it is being imported

    for cls in (Json, Options, Intent):
        register_type_strategy(cls, _registered)


def _registered(hint: Any) -> Any:
    """Exactly what is asked for: nothing of ours when ``object`` or ``Hashable`` is."""
    from airlock.testing.strategies.leaves import documents, options  # noqa: PLC0415 - see `register`
    from airlock.testing.strategies.values import intents  # noqa: PLC0415 - see `register`

    known: dict[Any, Callable[[], Any]] = {Json: documents, Options: options, Intent: intents}
    return known[hint]() if hint in known else NotImplemented
