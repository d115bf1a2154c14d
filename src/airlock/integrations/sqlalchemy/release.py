"""``on_commit``: the transactions of a session decide."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.util import ScopedRegistry

from airlock.errors import ReleaseError
from airlock.integrations.sqlalchemy.transactions import Transactions, transactions_of
from airlock.release import OnFlushError, Release, Segment, check_on_flush_error

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

__all__ = ["on_commit"]


def on_commit(
    session: Session | AsyncSession | scoped_session[Any] | async_scoped_session[Any],
    *,
    on_flush_error: OnFlushError = "report",
) -> Release:
    """Deliver what a scope emits when the session's transaction commits.

    What was emitted in a transaction or savepoint that is rolled back is discarded; closing the
    session, or dropping it, rolls back what was written. What was emitted before a transaction
    begins belongs to the next one. If none begins, or it wrote nothing and is closed, the block of
    the scope decides.

    Args:
        session: the one whose transactions decide; of a ``scoped_session``, the current one.
        on_flush_error: what to do with an error of a flush that a commit set off, which cannot be
            undone by then: ``"report"`` logs it, ``"raise"`` raises it from the commit. It is in
            the scope's report either way.

    Returns:
        A release for ``boundary.scope(release=...)``.

    Raises:
        ReleaseError: it is no session, or one whose commits commit nothing.
        DeclarationError: ``on_flush_error`` is something else.

    Example:
        >>> from sqlalchemy import create_engine
        >>> from sqlalchemy.orm import Session
        >>> from airlock.integrations.sqlalchemy import on_commit
        >>> with Session(create_engine("sqlite://")) as session:
        ...     with boundary.scope(release=on_commit(session)) as effects:
        ...         effects.emit(NotifyWarehouse(42))
        ...         savepoint = session.begin_nested()
        ...         effects.emit(NotifyWarehouse(43))
        ...         savepoint.rollback()
        ...         session.commit()
        >>> effects.report
        <Report: 1 delivered, 1 discarded>
    """
    check_on_flush_error("on_commit", on_flush_error)
    return OnCommit(transactions_of(sync_session_of(session)), on_flush_error)


def sync_session_of(given: object) -> Session:
    """Return the ``Session`` that a session of any kind stands for."""
    registry = getattr(given, "registry", None)
    current = registry() if isinstance(registry, ScopedRegistry) else given
    session = getattr(current, "sync_session", current)  # asyncio is imported by who uses it
    if not isinstance(session, Session):
        kind = f"{type(given).__module__}.{type(given).__qualname__}"
        raise ReleaseError(
            "on_commit()",
            f"was given a {kind}, and only sessions report when a commit has succeeded",
            "Give it a Session, an AsyncSession or a scoped one. For a Core connection make a "
            "session of it: Session(connection), and commit that.",
        )
    if not session.in_transaction() and joins(session):
        raise ReleaseError(
            "on_commit()",
            "was given a session that joins the open transaction of its connection, and commits "
            f"nothing (join_transaction_mode={session.join_transaction_mode!r})",
            'In a test, use Session(..., join_transaction_mode="create_savepoint"). Elsewhere, let '
            "the session begin the transaction.",
        )
    return session


def joins(session: Session) -> bool:
    """Return True if ``session.commit()`` leaves the commit to whoever began the transaction."""
    bind, mode = session.bind, session.join_transaction_mode
    if not isinstance(bind, Connection) or not bind.in_transaction():
        return False
    if mode == "conditional_savepoint":
        return not bind.in_nested_transaction()
    return mode == "rollback_only"


@attrs.frozen(eq=False)
class OnCommit:
    """The ``Release`` of a session. It does not keep the session alive."""

    transactions: Transactions
    on_flush_error: OnFlushError

    def segment(self) -> Segment:
        return self.transactions.current()

    def identity(self) -> Hashable | None:
        """Return the database whose transactions decide."""
        return self.transactions.identity()
