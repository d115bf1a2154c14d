"""A release for Django: the transactions of a database decide."""

from __future__ import annotations

import threading
from difflib import get_close_matches
from typing import TYPE_CHECKING

import attrs

from airlock.errors import MissingExtraError, ReleaseError
from airlock.release import OnFlushError, Release, Segment, check_on_flush_error

try:
    from django.db import DEFAULT_DB_ALIAS, connections
except ImportError:
    raise MissingExtraError(__name__, "Django", "django") from None

from airlock.integrations.django.watching import transactions_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["on_commit"]

HERE = threading.local()
"""By alias, the connection of this thread in which a transaction was seen last."""


def on_commit(using: str | None = None, *, on_flush_error: OnFlushError = "report") -> Release:
    """Deliver what a scope emits when the transaction of a database commits.

    What was emitted in an ``atomic()`` or a savepoint that is rolled back is thrown away. What was
    emitted in autocommit mode, in no ``atomic()``, is kept or thrown away with the block.

    Args:
        using: the alias of the database, in ``DATABASES``; None for the default one.
        on_flush_error: what to do with an error of a flush that a commit set off, which cannot be
            undone by then: ``"report"`` logs it, ``"raise"`` raises it from the end of the
            ``atomic()``. It is in the scope's report either way.

    Returns:
        A release for ``boundary.scope(release=...)``.

    Raises:
        ReleaseError: there is no database of that alias.
        DeclarationError: ``on_flush_error`` is something else.

    Example:
        >>> from airlock.integrations.django import on_commit
        >>> with boundary.scope(release=on_commit()) as effects:  # doctest: +SKIP
        ...     with transaction.atomic():
        ...         Order.objects.create(id=42)
        ...         effects.emit(NotifyWarehouse(42))
    """
    check_on_flush_error("on_commit", on_flush_error)
    alias = DEFAULT_DB_ALIAS if using is None else using
    aliases = [*connections]
    if alias not in aliases:
        near = get_close_matches(str(alias), aliases, 1)
        guess = f"Did you mean {near[0]!r}?" if near else "Name one of those."
        names = ", ".join(map(repr, aliases))
        raise ReleaseError(
            f"on_commit({using!r})", f"names no database: DATABASES has {names}", guess
        )
    return OnCommit(alias, on_flush_error)


@attrs.frozen
class OnCommit:
    """The ``Release`` of an alias. Threads have connections of their own, and so transactions."""

    using: str
    on_flush_error: OnFlushError

    def segment(self) -> Segment | None:
        connection = vars(HERE).get(self.using)
        # To ask Django for the connection takes 2 µs, at each emission.
        if connection is None or not usable(connection):
            connection = connections[self.using]
            if usable(connection):
                vars(HERE)[self.using] = connection
        return transactions_of(connection).current(connection)


def usable(connection: BaseDatabaseWrapper) -> bool:
    """Whether it is in an ``atomic()``, so that it is the one that Django uses in this thread."""
    return connection.in_atomic_block and not connection.closed_in_transaction
