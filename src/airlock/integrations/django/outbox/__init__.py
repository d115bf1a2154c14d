"""The outbox of a Django project: ``INSTALLED_APPS += ["airlock.integrations.django.outbox"]``.

The app brings the tables as a migration, an admin of the entries, and ``manage.py relay``.
``DjangoOutbox`` records on Django's own connections, so that the transaction of ``atomic()`` holds
the effects too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airlock.errors import MissingExtraError

try:
    import django as _django  # noqa: F401 - only whether it is there
except ImportError:
    raise MissingExtraError(__name__, "Django", "django") from None

if TYPE_CHECKING:
    from airlock.integrations.django.outbox.database import DjangoOutbox

__all__ = ["DjangoOutbox"]


def __getattr__(name: str) -> Any:
    if name != "DjangoOutbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airlock.integrations.django.outbox.database import DjangoOutbox  # noqa: PLC0415 - lazy

    return DjangoOutbox
