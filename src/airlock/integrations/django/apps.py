"""The app, for ``INSTALLED_APPS``."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from airlock.integrations.django import commands, conf, counting
from airlock.integrations.django.checks import check_wiring

__all__ = ["AirlockConfig"]


class AirlockConfig(AppConfig):
    """Registers the checks, and looks after commands and emissions without a scope."""

    name = "airlock.integrations.django"
    label = "airlock"
    verbose_name = "airlock"  # type: ignore[mutable-override]  # a str will do

    def ready(self) -> None:
        # Nothing is raised here: `manage.py check` could report it then only with a traceback.
        checks.register(check_wiring, "airlock")
        commands.install()
        counting.install()
        setting_changed.connect(follow, dispatch_uid=f"{__name__}.follow")


def follow(*, setting: str, **_: Any) -> None:
    """Read the settings anew when a test overrides them."""
    if setting == conf.NAME:
        conf.discard()
        counting.install()
