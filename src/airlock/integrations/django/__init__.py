"""Django: ``INSTALLED_APPS += ["airlock.integrations.django"]``, one setting, one middleware.

::

    AIRLOCK = {"BOUNDARY": "shop.effects.boundary"}
    MIDDLEWARE = [..., "airlock.integrations.django.EffectsMiddleware"]

Importing this needs no settings; what is named here is loaded when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airlock.errors import MissingExtraError

try:
    import django as _django  # noqa: F401 - only whether it is there
except ImportError:
    raise MissingExtraError(__name__, "Django", "django") from None

if TYPE_CHECKING:
    from airlock.integrations.django.commands import EffectsMixin
    from airlock.integrations.django.conf import boundary
    from airlock.integrations.django.counting import counts
    from airlock.integrations.django.middleware import EffectsMiddleware
    from airlock.integrations.django.transactions import on_commit

__all__ = ["EffectsMiddleware", "EffectsMixin", "boundary", "counts", "on_commit"]

_HOMES = {
    "EffectsMiddleware": "middleware",
    "EffectsMixin": "commands",
    "boundary": "conf",
    "counts": "counting",
    "on_commit": "transactions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
