"""The database that an engine or a connection is of, as an outbox names it."""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakKeyDictionary

from sqlalchemy.engine import Connection, Engine

__all__ = ["identity_of"]

IDENTITIES: WeakKeyDictionary[Engine, Hashable] = WeakKeyDictionary()


def identity_of(bind: Engine | Connection) -> Hashable | None:
    """Return the database of an engine or a connection; None if each statement commits by itself."""
    engine = bind.engine
    options = bind.get_execution_options()
    level = options.get(
        "isolation_level", getattr(engine.dialect, "_on_connect_isolation_level", "")
    )
    if level == "AUTOCOMMIT":
        return None
    if engine not in IDENTITIES:
        from airlock.outbox.database import identity  # noqa: PLC0415 - only where one records

        IDENTITIES[engine] = identity(engine)
    return IDENTITIES[engine]
