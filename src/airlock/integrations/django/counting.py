"""Counts of intents that are emitted where no scope is open."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from airlock.errors import SettingError
from airlock.integrations.base import scopeless
from airlock.integrations.django.conf import Conf, conf, setting

__all__ = ["Counts", "counts", "install"]


@attrs.frozen
class Counts:
    """Counts of what users did not notice since this process began.

    Attributes:
        flush_errors: how many flushes of requests and commands failed; the log has each.
        no_scope: how many intents were emitted where no scope is open, by kind.
    """

    flush_errors: int
    no_scope: Mapping[str, int]


_TAKEN = list[scopeless]()


def counts() -> Counts:
    """Return the counts of this process, for your metrics.

    Raises:
        SettingError: something is wrong with the settings.
    """
    now = conf()
    no_scope = {kind: n for taken in _TAKEN for kind, n in taken.counts.items()}
    return Counts(now.requests.flush_errors + now.others.flush_errors, no_scope)


def install() -> None:
    """Apply ``NO_SCOPE`` from now on."""
    while _TAKEN:
        _TAKEN.pop().__exit__(None, None, None)
    raw = setting()
    if not isinstance(raw, Mapping) or raw.get("NO_SCOPE", "raise") == "raise":
        return  # without importing the boundary
    try:
        now = conf()
    except SettingError:
        return  # the checks and the middleware report it; until then an emission is refused
    _TAKEN.append(_taking(now).__enter__())


def _taking(now: Conf) -> scopeless:
    release = now.release
    return scopeless(
        now.boundary,
        "drop" if now.no_scope == "drop" else "run",
        release=None if release is None else lambda: release,
        on_flush_error=now.on_flush_error,
    )
