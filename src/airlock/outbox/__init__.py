"""The outbox: intents recorded in the caller's own transaction, and delivered by a relay."""

from __future__ import annotations

from airlock.errors import MissingExtraError

try:
    import sqlalchemy  # noqa: F401 - the modules below need it
except ImportError:
    raise MissingExtraError(__name__, "SQLAlchemy 2", "sqlalchemy") from None

from airlock.outbox.entry import Counts, Entry, Failure, New, Selection, State, Status
from airlock.outbox.outbox import Outbox
from airlock.outbox.relay import Drained, Relay
from airlock.outbox.schema import metadata, tables
from airlock.outbox.store import Store

__all__ = [
    "Counts",
    "Drained",
    "Entry",
    "Failure",
    "New",
    "Outbox",
    "Relay",
    "Selection",
    "State",
    "Status",
    "Store",
    "metadata",
    "tables",
]
