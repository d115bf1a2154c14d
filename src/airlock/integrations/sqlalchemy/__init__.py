"""A release for SQLAlchemy 2: ``Session`` and ``AsyncSession``.

``on_commit`` makes it. Beneath, a session's transactions are followed by its events, and what became
of a COMMIT by those of its connections.
"""

from __future__ import annotations

from airlock.errors import MissingExtraError

try:
    import sqlalchemy  # noqa: F401 - the modules below need it
except ImportError:
    raise MissingExtraError(__name__, "SQLAlchemy 2", "sqlalchemy") from None

from airlock.integrations.sqlalchemy.release import on_commit

__all__ = ["on_commit"]
