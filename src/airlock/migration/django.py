"""``install_on_commit``: functions given to ``transaction.on_commit`` go through scopes.

A step on the way from ``on_commit(lambda: send_mail(...))`` to an effect: the function is called by
the flush, in the order of the other effects, and a policy may drop it. It is a callable all the
same, so that it cannot be stored, sent or compared; what it does should become an ``@effect``.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context
from fnmatch import fnmatchcase
from functools import partial
from importlib.util import find_spec
from threading import RLock
from types import FrameType, TracebackType
from typing import Any, Literal, Self, get_args

from airlock import field, intent
from airlock.boundary.boundary import Boundary
from airlock.effects.place import Place, shown
from airlock.effects.registry import describe
from airlock.emissions.region import Region
from airlock.errors import MissingExtraError, SettingError
from airlock.migration.deferred import Reads, as_now, call_for
from airlock.migration.observations import Noted, Observations
from airlock.scopes.current import emit, here

try:
    from django.db.backends.base.base import BaseDatabaseWrapper
except ImportError:
    raise MissingExtraError(__name__, "Django", "django") from None

from airlock.integrations.django.transactions import OnCommit, decided_by
from airlock.integrations.django.watching import transactions_of

__all__ = ["InstalledOnCommit", "RunCallback", "install_on_commit", "run_callback"]

log = logging.getLogger("airlock")

Mode = Literal["observe", "buffer"]
WILD = re.compile(r"[*?\[]")
WRAPPERS = frozenset({"celery", "contextlib", "django", "functools", "sentry_sdk"})
"""Packages that are no call sites of ``on_commit``: they pass the call on."""


class Callback:
    """A function that waits for two: the commit, and the scope that releases it.

    Args:
        function: as ``on_commit`` was given it.
        place: where.
        robust: log what it raises, as Django does.
        committed: the scope's release knows of the commit, and need not wait for it.
    """

    def __init__(
        self, function: Callable[[], object], place: Place, *, robust: bool, committed: bool
    ) -> None:
        self._function = function
        self._place = place
        self._robust = robust
        self._committed = committed
        self._released = False
        self._context: Context | None = None  # at the commit
        self._lock = RLock()

    def __eq__(self, other: object) -> bool:  # defined here: an intent may then hold it
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def as_now(self) -> None:
        """Keep what it reads as it is now, when Django would have called it, until it runs.

        That is the variables around it, and context variables: the language, the time zone.
        """
        with self._lock:
            if not self._released:
                self._function = as_now(self._function)
                self._context = copy_context()

    def commit(self) -> None:
        """Note the commit, and call the function if the scope has released it."""
        self.as_now()
        with self._lock:
            self._committed, due = True, self._released
        if due:
            call_for(self._place, self._function)  # Django looks after its errors

    def release(self) -> None:
        """Note the release, and call the function if the transaction has committed."""
        with self._lock:
            self._released, due = True, self._committed
        if due:
            self._run()

    def _run(self) -> None:
        context = copy_context() if self._context is None else self._context
        try:
            context.run(self._call, here.get())
        except Exception as error:
            if not self._robust:
                raise
            log.exception("Error calling %s in on_commit() (%s).", name_of(self._function), error)  # noqa: TRY401 - Django's words

    def _call(self, region: Region) -> None:
        here.set(region)  # what it emits, it emits now
        call_for(self._place, self._function)


@intent(kind="django.on-commit")
class RunCallback:
    """Call a function that was given to ``transaction.on_commit``. Its handler is ``run_callback``.

    Each is equal to itself only: what two functions do cannot be compared, so that ``Dedupe`` merges
    none. It has no form on the wire: it can be dropped or delivered, in this process, and not held
    in a plan.
    """

    name: str
    place: str
    callback: Callback | None = field(default=None, repr=False, kw_only=True)


def run_callback(intent: RunCallback) -> None:
    """Release a callback: the handler of ``RunCallback``."""
    if intent.callback is not None:
        intent.callback.release()


def install_on_commit(
    *,
    mode: Mode,
    boundary: Boundary | None = None,
    modules: Iterable[str] | None = None,
) -> InstalledOnCommit:
    """Catch what is given to Django's ``on_commit``, whichever way that was imported.

    It is in force from here on, in this process; ``with install_on_commit(...)`` or ``uninstall()``
    ends it. Where no scope is open, ``on_commit`` does what it always does.

    Args:
        mode: ``"observe"`` leaves everything as it is, and counts by call site what the current
            scope would have done. ``"buffer"`` emits a ``RunCallback`` instead. It runs when its
            transaction has committed and its scope has released it, whichever is later; never if
            the transaction is rolled back.
        boundary: with ``run_callback`` as the handler of ``RunCallback``; needed to buffer.
        modules: only calls in these modules and packages, by name or pattern (``"shop.*"``); by
            default all.

    Returns:
        The installation: it has the counts, and ``uninstall`` undoes it.

    Raises:
        SettingError: an argument makes no sense.
    """
    if mode not in get_args(Mode):
        raise _wrong("mode", mode, "Give 'observe' or 'buffer'")
    if isinstance(modules, str):
        raise _wrong("modules", modules, f"Give several: modules=({modules!r},)")
    if mode == "buffer" and not isinstance(boundary, Boundary):
        raise _wrong("boundary", boundary, "Give the Boundary that runs what is buffered")
    if boundary is not None and RunCallback not in boundary.handlers:
        raise SettingError(
            "install_on_commit",
            "boundary",
            "has no handler for RunCallback",
            "Add one: Boundary({..., RunCallback: run_callback})",
        )
    chosen = None if modules is None else tuple(modules)
    for name in chosen or ():
        _check_module(name)
    return InstalledOnCommit(mode, chosen)


def _check_module(name: Any) -> None:
    """Refuse a module that is not there: what was to be protected would not be."""
    if not isinstance(name, str):
        raise _wrong("modules", name, "Give names of modules, or patterns")
    there = name
    if WILD.search(name):  # then what comes before it
        there = WILD.split(name)[0].rpartition(".")[0]
    try:
        found = not there or there in sys.modules or find_spec(there) is not None
    except ImportError:
        found = False
    if not found:
        problem = f"has {name!r}, and there is no module {there!r}"
        hint = "Give the module, or the package, in which on_commit is called"
        raise SettingError("install_on_commit", "modules", problem, hint)


def _wrong(name: str, given: object, hint: str) -> SettingError:
    return SettingError("install_on_commit", name, f"is {describe(given)}", hint)


_INSTALLED: list[InstalledOnCommit] = []
_ORIGINAL = BaseDatabaseWrapper.on_commit


def _on_commit(self: Any, func: Any, robust: bool = False) -> None:  # noqa: FBT001, FBT002 - as Django has it
    """Replace ``BaseDatabaseWrapper.on_commit``."""
    site = call_site()
    if site is not None and callable(func):
        module, place = site
        for installed in reversed(_INSTALLED):
            if installed.wants(module):
                installed.caught(self, func, place, robust=robust)
                return
    _ORIGINAL(self, func, robust=robust)


class InstalledOnCommit:
    """An installation. Made by ``install_on_commit``.

    Attributes:
        mode: observe or buffer.
        observations: the counts by call site; ``print(installed.observations)``.
    """

    def __init__(self, mode: Mode, modules: tuple[str, ...] | None) -> None:
        self.mode = mode
        self.observations = Observations()
        self._modules = modules
        _INSTALLED.append(self)
        BaseDatabaseWrapper.on_commit = _on_commit  # type: ignore[method-assign]  # undone below

    def uninstall(self) -> None:
        """Leave Django as it was. What was buffered stays so."""
        if self in _INSTALLED:
            _INSTALLED.remove(self)
        if not _INSTALLED:
            BaseDatabaseWrapper.on_commit = _ORIGINAL  # type: ignore[method-assign]  # as it was

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> Literal[False]:
        self.uninstall()
        return False

    def summary(self) -> str:
        """Return a line of totals, and a table of the call sites, the worst first."""
        done = "observed" if self.mode == "observe" else "buffered"
        return f"{done} {self.observations.summary()}\n{self.observations.table()}"

    # -- what is caught ---------------------------------------------------------------------------

    def wants(self, module: str) -> bool:
        """Return True if calls in a module are caught."""
        if self._modules is None:
            return True
        return any(
            module.startswith(f"{one}.") or fnmatchcase(module, one) for one in self._modules
        )

    def caught(self, connection: Any, function: Any, place: Place, *, robust: bool) -> None:
        """Observe or buffer a function that was given to ``on_commit``."""
        if self.mode == "observe":
            self._observe(connection, function, place, robust=robust)
        else:
            self._buffer(connection, function, place, robust=robust)

    def _observe(self, connection: Any, function: Any, place: Place, *, robust: bool) -> None:
        name = name_of(function)
        self.observations.count(place, name, "count")
        if not connection.in_atomic_block:
            self.observations.count(place, name, "at once")
        noted = Noted(place, name)
        try:
            callback = Callback(function, place, robust=robust, committed=True)
            value = partial(RunCallback, name, shown(place), callback=callback)
            noted = self.observations.note(name, place, value, here.get())
        except Exception:  # observing must not break the code
            log.exception("%s was given to on_commit, and not observed", name)
        noted.happened = False

        def called() -> None:
            noted.happened = True
            reads = self._reads(function)
            call_for(place, function)
            if reads is not None:
                reads.ran()
                noted.reads = reads

        _ORIGINAL(connection, called, robust=robust)

    @staticmethod
    def _reads(function: Any) -> Reads | None:
        """Return what a callback is about to read."""
        try:
            return Reads(function)
        except Exception:  # observing must not break the code
            log.exception("what %s reads is not observed", name_of(function))
            return None

    def _buffer(self, connection: Any, function: Any, place: Place, *, robust: bool) -> None:
        name = name_of(function)
        region = here.get()
        self.observations.count(place, name, "count")
        if region.scope is None or region.is_closed:
            self.observations.count(place, name, "no scope")
            _ORIGINAL(connection, function, robust=robust)
            return
        knows_commit = isinstance(region.scope.outermost.release, OnCommit)
        callback = Callback(function, place, robust=robust, committed=knows_commit)
        if not knows_commit:
            _ORIGINAL(connection, callback.commit, robust=robust)
        with decided_by(connection):  # it belongs to this commit, also if a release names another
            emit(RunCallback(name, shown(place), callback=callback))
        segment = transactions_of(connection).current(connection) if knows_commit else None
        if segment is not None:
            segment.transaction.when_ended(callback.as_now)
        elif knows_commit:
            callback.as_now()


def name_of(function: Any) -> str:
    """Return the name of a function, of its task, or of the function of a ``partial``."""
    while isinstance(function, partial):
        function = function.func
    task: Any = getattr(function, "__self__", None)
    if function.__class__.__name__ == "method" and isinstance(getattr(task, "name", None), str):
        return f"{task.name}.{function.__name__}"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).replace("<locals>.", "")


def call_site() -> tuple[str, Place] | None:
    """Return the module and the place of a call of ``on_commit``; None if airlock made it."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module: str = frame.f_globals.get("__name__", "")
        package = module.partition(".")[0]
        if package == "airlock":
            return None
        if package not in WRAPPERS:
            return module, (frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None
