"""A release for Django: the transactions of a database decide."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches

import attrs

from airlock.errors import MissingExtraError, ReleaseError
from airlock.release import OnFlushError, Release, Segment, ambient, check_on_flush_error

try:
    from django.apps import apps
    from django.conf import settings
    from django.db import DEFAULT_DB_ALIAS, connections
    from django.db.backends.base.base import BaseDatabaseWrapper
except ImportError:
    raise MissingExtraError(__name__, "Django", "django") from None

from airlock.integrations.django.callbacks import COMMITTED, RUNNING, install
from airlock.integrations.django.database import identity_of
from airlock.integrations.django.watching import transactions_of

__all__ = ["decided_by", "on_commit"]

install()

HERE = threading.local()
"""The last connection of this thread with a transaction, by alias."""

DECIDING: ContextVar[BaseDatabaseWrapper | None] = ContextVar("airlock_django", default=None)


@contextmanager
def decided_by(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let a connection decide about what is emitted in the block, whichever a release names."""
    token = DECIDING.set(connection)
    try:
        yield
    finally:
        DECIDING.reset(token)


def on_commit(using: str | None = None, *, on_flush_error: OnFlushError = "report") -> Release:
    """Deliver what a scope emits when the transaction of a database commits.

    What was emitted in an ``atomic()`` or a savepoint that is rolled back is discarded. What was
    emitted in autocommit mode, in no ``atomic()``, is kept or discarded with the block. What a
    callback of ``transaction.on_commit`` emits belongs to the commit that it runs after.

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

    def identity(self) -> Hashable:
        """Return the database whose transactions decide."""
        deciding = DECIDING.get()
        return identity_of(connections[self.using] if deciding is None else deciding)

    def segment(self) -> Segment | None:
        deciding = DECIDING.get()
        if deciding is not None:
            return transactions_of(deciding).current(deciding)
        connection = vars(HERE).get(self.using)
        # To ask Django for the connection takes 2 µs, at each emission.
        if connection is None or not usable(connection):
            connection = connections[self.using]
            if usable(connection):
                vars(HERE)[self.using] = connection
        callbacks = RUNNING.get()
        if callbacks is not None and callbacks.decide(connection):
            return COMMITTED
        return transactions_of(connection).current(connection)


def usable(connection: BaseDatabaseWrapper) -> bool:
    """Return True if a connection is in an ``atomic()``, so that Django uses it in this thread."""
    return connection.in_atomic_block and not connection.closed_in_transaction


def of_project() -> Release | None:
    """Return the release of the project's scopes: of the database that its settings name.

    A wrong setting is for the checks to report; the boundary is not imported for it.
    """
    if not apps.ready:
        return None
    setting = getattr(settings, "AIRLOCK", None)
    alias = DEFAULT_DB_ALIAS
    if isinstance(setting, Mapping):
        alias = setting.get("DATABASE", DEFAULT_DB_ALIAS)
    return OnCommit(alias, "report") if alias in [*connections] else None


ambient.append(of_project)
