"""The app, for ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["OutboxConfig"]


class OutboxConfig(AppConfig):
    """The tables of the outbox, and their admin."""

    name = "airlock.integrations.django.outbox"
    label = "airlock_outbox"
    verbose_name = "airlock outbox"
