"""Celery: ``install`` lets the calls of tasks, ``.delay()`` and the like, go through scopes."""

from __future__ import annotations

from airlock.errors import MissingExtraError

try:
    import celery  # noqa: F401 - the modules below need it
except ImportError:
    raise MissingExtraError(__name__, "Celery 5.3", "celery") from None

from airlock.migration.celery.installing import Installed, install

__all__ = ["Installed", "install"]
