"""The setting ``AIRLOCK``, checked as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import attrs
import django
from django.apps import apps
from django.conf import settings

from airlock import Boundary
from airlock.errors import SettingError
from airlock.integrations.base import SLOW, Edge, keep_web
from airlock.integrations.base.looping import has_async
from airlock.integrations.django.reading import READERS, problem, suggestion
from airlock.integrations.django.transactions import on_commit
from airlock.release import OnFlushError, Release

__all__ = ["NAME", "Conf", "boundary", "conf", "discard", "problems", "setting"]

NAME = "AIRLOCK"


@attrs.frozen(eq=False)
class Conf:
    """Values of ``AIRLOCK``, with the defaults of what it does not set.

    Attributes:
        boundary: that the scopes belong to.
        database: the alias whose transactions decide; None for no release.
        keep: decides about what a request emitted without a transaction.
        headers: called with a request; what it returns rides on its intents.
        on_flush_error: what to do with errors of flushes.
        no_scope: what to do with intents that are emitted where no scope is open.
        commands: modes by the name of the command; ``"*"`` for all others.
        slow: how long a handler may take in a request.
        release: of the database.
        requests: opens the scopes of requests.
        others: opens the scopes of commands.
        awaits: some handlers are async, so that async requests await their flush.
    """

    boundary: Boundary
    database: str | None = "default"
    keep: Callable[[BaseException | None, int], bool] = keep_web
    headers: Callable[[Any], Mapping[str, str]] | None = None
    on_flush_error: OnFlushError = "report"
    no_scope: str = "raise"
    commands: Mapping[str, str | None] = attrs.Factory(dict)
    slow: timedelta | None = SLOW
    release: Release | None = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: release_of(self.database, self.on_flush_error), takes_self=True
        ),
    )
    requests: Edge = attrs.field(
        init=False, default=attrs.Factory(lambda self: edge_of(self, self.slow), takes_self=True)
    )
    others: Edge = attrs.field(
        init=False, default=attrs.Factory(lambda self: edge_of(self, None), takes_self=True)
    )
    awaits: bool = attrs.field(
        init=False, default=attrs.Factory(lambda self: has_async(self.boundary), takes_self=True)
    )


def release_of(database: str | None, on_flush_error: OnFlushError) -> Release | None:
    """Return the release of a database, if there is one."""
    return None if database is None else on_commit(database, on_flush_error=on_flush_error)


def edge_of(now: Conf, slow: timedelta | None) -> Edge:
    """Return the edge that reports, and counts, the errors of flushes."""
    return Edge(now.boundary, on_flush_error=now.on_flush_error, slow=slow)


def setting() -> Any:
    """Return the setting as it was written; None if there is none."""
    return getattr(settings, NAME, None)


_LOCK = threading.RLock()  # reading it imports the boundary, which may ask for it
_READ = list[Conf]()


def conf() -> Conf:
    """Return the settings, which the first call reads.

    Raises:
        SettingError: something is wrong with them; the first of all problems.
    """
    for read in _READ:
        return read
    with _LOCK:
        if not _READ:
            values, wrong = examined(setting())
            if wrong:
                raise wrong[0]
            _READ.append(Conf(**values))
        return _READ[0]


def discard() -> None:
    """Discard the settings that were read, so that the next call reads them anew."""
    _READ.clear()


def problems() -> list[SettingError]:
    """Return the errors of the settings."""
    return [] if _READ else examined(setting())[1]


def examined(raw: Any) -> tuple[dict[str, Any], list[SettingError]]:
    """Return the values of the settings, by the names of ``Conf``, and their errors."""
    if not isinstance(raw, Mapping):
        what = "is missing" if raw is None else f"is a {type(raw).__qualname__}, not a dict"
        example = 'Write AIRLOCK = {"BOUNDARY": "shop.effects.boundary"}.'
        return {}, [SettingError("settings", NAME, what, example)]
    values: dict[str, Any] = {}
    wrong = [
        problem(str(name), "is no setting of it", suggestion(str(name).upper(), READERS))
        for name in raw
        if name not in READERS
    ]
    for name, read in READERS.items():
        if name in raw or name == "BOUNDARY":
            try:
                values[name.lower()] = read(name, raw.get(name))
            except SettingError as error:
                wrong.append(error)
    return values, wrong


def boundary() -> Boundary:
    """Return the boundary of the project, for programs that are not Django's own.

    Django is set up first if it is not yet, as ``DJANGO_SETTINGS_MODULE`` says: ``airlock plan apply
    --boundary airlock.integrations.django:boundary``.

    Raises:
        SettingError: something is wrong with the settings.
    """
    if not apps.ready:
        django.setup()
    return conf().boundary
