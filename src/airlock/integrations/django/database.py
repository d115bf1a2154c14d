"""Facts that a Django connection knows of its database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = [
    "aborted",
    "autocommits",
    "committed_by",
    "identity_of",
    "in_transaction",
    "rolled_back_by",
]

# Of both psycopg and psycopg2.
IDLE, FAILED, UNKNOWN = 0, 3, 4

# Of MySQL and MariaDB, a deadlock, and what MariaDB takes for one under innodb_snapshot_isolation; by
# default, other errors of theirs roll back the statement only.
WHOLE = (1213, 1020)
COMMITS = re.compile(
    r"(?:\s+|--[^\n]*\n|/\*.*?\*/)*(?:COMMIT|END|RELEASE)\b", re.IGNORECASE | re.DOTALL
)


def identity_of(connection: BaseDatabaseWrapper) -> Hashable:
    """Return the database of a connection: equal for the same one, as SQLAlchemy's releases have it."""
    settings = connection.settings_dict
    name = str(settings["NAME"] or "")
    if connection.vendor == "sqlite":
        in_memory = name in ("", ":memory:") or "mode=memory" in name
        return (
            ("sqlite", name or connection.alias)
            if in_memory
            else ("sqlite", str(Path(name).resolve()))
        )
    if connection.vendor == "postgresql":
        port = int(settings["PORT"] or 5432)
        return ("postgresql", settings["HOST"] or "", port, name or settings["USER"])
    return (connection.vendor, settings["HOST"], settings["PORT"], name)


def autocommits(connection: BaseDatabaseWrapper) -> bool:
    """Return True if statements outside of ``atomic()`` commit by themselves; do not connect."""
    if connection.connection is None:
        return bool(connection.settings_dict["AUTOCOMMIT"])
    return connection.autocommit


def aborted(connection: BaseDatabaseWrapper) -> bool:
    """Return True if a COMMIT would roll back without an error.

    PostgreSQL does that where a statement failed in the transaction, and the error was caught.
    """
    return status(connection) == FAILED


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return True if a transaction is open in the database, or if that cannot be known."""
    raw = connection.connection
    if raw is None or connection.closed_in_transaction:
        return False
    if connection.vendor != "sqlite":
        return status(connection) not in (IDLE, UNKNOWN)
    try:
        return bool(raw.in_transaction)
    except sqlite3.Error:  # closed behind Django's back
        return False


def rolled_back_by(connection: BaseDatabaseWrapper, error: BaseException) -> bool:
    """Return True if the error of a statement has ended the transaction that was open before."""
    if connection.vendor == "mysql":
        return bool(error.args) and error.args[0] in WHOLE
    return not in_transaction(connection)


def committed_by(cursor: Any, sql: object) -> bool:
    """Return True if a statement that ended the transaction did so with a commit.

    PostgreSQL reports which it was: a COMMIT of what has failed is a ROLLBACK.
    """
    return COMMITS.match(str(getattr(cursor, "statusmessage", None) or sql)) is not None


def status(connection: BaseDatabaseWrapper) -> int | None:
    """Return the transaction status that PostgreSQL's drivers report; None for other databases."""
    if connection.vendor != "postgresql":
        return None
    info = getattr(connection.connection, "info", None)
    return None if info is None else int(info.transaction_status)
