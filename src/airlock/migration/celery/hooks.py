"""Interception of the calls of an app's tasks, and their call sites.

Celery has one class of tasks, of canvases and of sets of results for all apps: their methods are
replaced while an app has an installation, and look for that first; for other apps they do what
they did. ``send_task`` is replaced on the app itself.

The innermost call of a task is caught, ``Task.apply_async``: what a base class does around it
happens where the task is called, and what it adds (a tenant, a user) is that of the call.

The nearest frame outside of Celery is the call site, unless a frame of Celery's own that sends by
itself comes before it: a retry, the next link of a chain, the body of a chord, beat.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from functools import partial, wraps
from threading import RLock
from types import CodeType, FrameType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from celery import Celery
from celery.app.task import Task
from celery.canvas import Signature, _chain, _chord, group  # type: ignore[attr-defined]  # the classes behind the names
from celery.exceptions import NotRegistered
from celery.result import ResultSet

from airlock.effects.place import Place, shown
from airlock.integrations.celery.publishing import is_inside, passing
from airlock.migration.celery.call import Call, Invocation, of_canvas, of_name, of_task
from airlock.migration.celery.results import released_first
from airlock.migration.deferred import place_for

__all__ = ["Catcher", "Hooks", "call_site", "catch", "is_overridden", "uncaught"]

log = logging.getLogger("airlock")


class Catcher(Protocol):
    """Receiver of intercepted calls: an installation.

    Attributes:
        observes: the code must not notice: what goes wrong is logged, and the call made.
    """

    @property
    def observes(self) -> bool: ...

    def wants(self, names: tuple[str, ...], /) -> bool:
        """Return True if the catcher handles one of some tasks."""
        ...

    def caught(self, call: Call, /) -> Any:
        """Handle a call, and return its result."""
        ...


_HOOKS: dict[Celery, Hooks] = {}
"""The hooks that are installed, by app."""
_UNCAUGHT: WeakKeyDictionary[Celery, str] = WeakKeyDictionary()
"""Other apps whose tasks were called meanwhile: the first call of each."""
_lock = RLock()


def uncaught() -> list[str]:
    """Return the first call of each Celery app that has no installation, while another has one."""
    return [*_UNCAUGHT.values()]


def catch(app: Celery, catcher: Catcher) -> Hooks:
    """Install a catcher of the calls of an app's tasks.

    Returns:
        The hooks of the app; ``remove`` undoes it.
    """
    with _lock:
        hooks = _HOOKS.get(app) or Hooks(app)
        hooks.add(catcher)
        return hooks


class Hooks:
    """Interception of the calls of one app; the last catcher added is asked first.

    Args:
        app: whose tasks.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._catchers: list[Catcher] = []

    def add(self, catcher: Catcher) -> None:
        """Add a catcher, which is asked before the others."""
        if not self._catchers:
            self._hang()
            _HOOKS[self._app] = self
        self._catchers.append(catcher)

    def remove(self, catcher: Catcher) -> None:
        """Undo ``add``, in any order; nothing if that was done before."""
        with _lock:
            if catcher in self._catchers:
                self._catchers.remove(catcher)
                if not self._catchers:
                    self._unhang()

    # -- what is caught ---------------------------------------------------------------------------

    def task_called(self, task: Any, send: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Handle ``task.apply_async(...)``."""
        invocation = partial(of_task, self._app, task, args, kwargs)
        return self._called(invocation, lambda: send(*args, **kwargs))

    def name_called(self, send: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        """Handle ``app.send_task(name, ...)``."""
        invocation = partial(of_name, self._app, name, args, kwargs)
        return self._called(invocation, lambda: send(name, *args, **kwargs))

    def canvas_called(
        self, canvas: Any, send: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Handle ``chain(...).apply_async(...)``, and that of groups and chords."""
        args, kwargs = _read_once(args, kwargs)
        invocation = partial(of_canvas, canvas, send, args, kwargs)
        return self._called(invocation, lambda: send(canvas, *args, **kwargs))

    def _called(self, invocation: Callable[[], Invocation], send: Callable[[], Any]) -> Any:
        if is_inside():
            return send()
        try:
            found = self._wanted(invocation(), _let(send))
        except Exception:
            if not all(catcher.observes for catcher in self._catchers):
                raise
            log.exception("a call of a task is not observed, and sent as ever")
            found = None
        if found is None:
            return _let(send)()
        catcher, call = found
        return catcher.caught(call)

    def _wanted(
        self, invocation: Invocation, send: Callable[[], Any]
    ) -> tuple[Catcher, Call] | None:
        """Return the catcher of a call; None if there is none, or Celery makes the call by itself."""
        place = call_site(self._app, invocation.ids(), task=invocation.task)
        names = () if place is None else invocation.names()
        if place is None or not names:  # an empty chain or group, of which Celery sends nothing
            return None
        for catcher in reversed(self._catchers):
            if catcher.wants(names):
                return catcher, Call(names, place, send, invocation)
        return None

    # -- the hooks --------------------------------------------------------------------------------

    def _hang(self) -> None:
        _replace(self._app, "send_task", self.name_called)
        for owner, name, hook in CLASSES:
            method = getattr(owner, name)
            if _replaced(method) is None:
                hooked = hook(method)
                hooked.airlock = method  # what it stands for
                setattr(owner, name, hooked)

    def _unhang(self) -> None:
        _restore(self._app, "send_task")
        del _HOOKS[self._app]
        if _HOOKS:
            return
        _UNCAUGHT.clear()
        for owner, name, _ in CLASSES:
            method = _replaced(getattr(owner, name))
            if method is not None:  # or a test has patched it, and will put the hook back
                setattr(owner, name, method)


def _replaced(method: Any) -> Any:
    """Return the method that a hook stands for; None if it is no hook."""
    return vars(method).get("airlock") if hasattr(method, "__dict__") else None


def _read_once(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of ``apply_async``, with generators of task arguments as lists."""
    if args and isinstance(args[0], Iterator):
        args = ([*args[0]], *args[1:])
    if isinstance(kwargs.get("args"), Iterator):
        kwargs = {**kwargs, "args": [*kwargs["args"]]}
    return args, kwargs


def _let(send: Callable[[], Any]) -> Callable[[], Any]:
    def sent() -> Any:
        with passing():
            return send()

    return sent


def _replace(owner: Any, name: str, hook: Callable[..., Any]) -> None:
    """Replace a method of one object; the hook is given the original."""
    before = vars(owner).get(name)

    def hooked(*args: Any, **kwargs: Any) -> Any:
        # Looked up at each call: a test may patch the class meanwhile.
        own: Any = getattr(type(owner), name).__get__(owner) if before is None else before
        return hook(own, *args, **kwargs)

    hooked.airlock = before  # type: ignore[attr-defined]  # what it stands for
    vars(owner)[name] = hooked


def _restore(owner: Any, name: str) -> None:
    hooked = vars(owner).get(name)
    if hasattr(hooked, "airlock"):
        del vars(owner)[name]
        if hooked.airlock is not None:
            vars(owner)[name] = hooked.airlock


def _task_hook(method: Any) -> Any:
    @wraps(method)
    def apply_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not _HOOKS:
            return method(self, *args, **kwargs)
        app = self._get_app()
        hooks = _HOOKS.get(getattr(app, "_get_current_object", lambda: app)())
        if hooks is None:
            _note_uncaught(app, self)
            return method(self, *args, **kwargs)
        return hooks.task_called(self, partial(method, self), *args, **kwargs)

    return apply_async


def _note_uncaught(app: Any, task: Any) -> None:
    """Log the first call of an app that has no installation: it may be taken for the other one."""
    if app in _UNCAUGHT or is_inside():
        return
    place = call_site(app, task=task)
    if place is None:
        return
    caught = ", ".join(repr(one.main) for one in _HOOKS)
    _UNCAUGHT[app] = (
        f"{task.name} at {shown(place)} is a task of another Celery app, {app.main!r}: its calls are "
        f"sent as ever, for install(...) was given the app {caught} only"
    )
    log.warning(
        "%s. Give each app an install(...) of its own, or let the tasks belong to one app.",
        _UNCAUGHT[app],
    )


def _canvas_hook(method: Any) -> Any:
    @wraps(method)
    def apply_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        hooks = _HOOKS.get(_app_of(self)) if _HOOKS else None
        if hooks is None:
            return method(self, *args, **kwargs)
        return hooks.canvas_called(self, method, *args, **kwargs)

    return apply_async


def _app_of(canvas: Any) -> Any:
    """Return the app of a canvas, and no proxy of it."""
    try:
        app = canvas.app
    except (NotRegistered, LookupError, AttributeError):
        return None
    return getattr(app, "_get_current_object", lambda: app)()


CLASSES: tuple[tuple[type[Any], str, Callable[[Any], Any]], ...] = (
    (Task, "apply_async", _task_hook),
    (_chain, "apply_async", _canvas_hook),
    (group, "apply_async", _canvas_hook),
    (_chord, "apply_async", _canvas_hook),
    (ResultSet, "iter_native", released_first),
)
"""Each method that is replaced, and what makes its replacement."""


FORWARDING = (
    "celery.app.base",
    "celery.app.task",
    "celery.canvas",
    "celery.contrib",
    "celery.local",
    "celery.utils",
)
"""The modules of Celery that send because they were called; all others send by themselves."""

WRAPPERS = frozenset(
    {"airlock", "amqp", "billiard", "celery", "contextlib", "ddtrace", "django", "functools"}
    | {"kombu", "newrelic", "opentelemetry", "sentry_sdk", "vine", "wrapt"}
)
"""Packages that are no call sites: they wrap calls, or make them later."""

NAMES = frozenset({"apply_async", "delay", "send_task"})
"""Methods that are no call sites: overrides in a base class of tasks, signatures or apps."""

ITS_OWN: frozenset[CodeType] = frozenset(
    getattr(Task, name).__code__ for name in ("retry", "replace", "add_to_chord")
)


def call_site(app: Any, task_ids: tuple[str, ...] = (), task: Any = None) -> Place | None:
    """Return where in the user's code a call was made; None if Celery or airlock sends by itself.

    A callback that we call for somebody is called where it was given to us. What a base class does
    around ``apply_async`` is no call site.

    Args:
        app: that sends.
        task_ids: those that the call gives: that of the task that runs is the task itself again.
        task: that is called, if it is a single one.
    """
    running = app.current_worker_task
    if running is not None and running.request.id in task_ids:
        return None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(__package__):
        frame = frame.f_back  # the hook
    if task is not None and is_overridden(task):
        frame = _outside_of_overrides(frame, task)
    later = False
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        package = name.partition(".")[0]
        # Django calls back from a commit, around which there may be code of ours.
        later = later or package == "django"
        if package == "airlock" and not later:
            return place_for(frame)
        if _sends_by_itself(frame, name):
            return None
        if package not in WRAPPERS and not _overrides(frame):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None


def is_overridden(task: Any) -> bool:
    """Return True if the class of a task has an ``apply_async`` of its own."""
    return type(task).apply_async is not Task.apply_async


def _outside_of_overrides(frame: FrameType | None, task: Any) -> FrameType | None:
    """Return the frame that called the outermost ``apply_async`` of a task.

    Its own may call helpers before it calls that of Celery; those are not the user's call.
    """
    at, found = frame, frame
    while at is not None and not _sends_by_itself(at, at.f_globals.get("__name__", "")):
        if _overrides(at) and _first(at) is task:
            found = at.f_back
        at = at.f_back
    return found


def _overrides(frame: FrameType) -> bool:
    """Return True if a frame is of an overridden method of Celery's, not of a mere namesake."""
    return frame.f_code.co_name in NAMES and isinstance(_first(frame), Task | Signature | Celery)


def _first(frame: FrameType) -> Any:
    """Return the first argument of the function of a frame."""
    code = frame.f_code
    if not code.co_varnames:
        return None
    first = frame.f_locals.get(code.co_varnames[0])
    if isinstance(first, tuple) and code.co_argcount == 0 and first:  # def delay(*args, **kwargs)
        first = first[0]
    return first


def _sends_by_itself(frame: FrameType, name: str) -> bool:
    """Return True if a frame is of code of Celery that sends by itself."""
    if frame.f_code in ITS_OWN:
        return True
    return name.startswith("celery.") and not name.startswith(FORWARDING)
