"""Where the calls of an app's tasks are caught.

An app is caught as far as possible where it lets itself be changed: its tasks and ``send_task`` get
an attribute of their own, and its registry tells of tasks to come. Only of canvases and of sets of
results is the class changed, as Celery has one for all apps; for other apps it does what it did.

The outermost call is caught: what a base class of tasks, or another tool, wraps around
``apply_async`` runs when the message is sent, once, as in ``on_commit(partial(task.delay, 42))``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial, wraps
from threading import RLock
from typing import Any, Protocol

from celery import Celery
from celery.canvas import _chain, _chord, group  # type: ignore[attr-defined]  # the classes behind the names
from celery.exceptions import NotRegistered
from celery.result import ResultSet

from airlock.integrations.celery.asked import Asked, Call, of_canvas, of_name, of_task
from airlock.integrations.celery.calls import call_site, is_inside, passing
from airlock.integrations.celery.results import released_first

__all__ = ["Catcher", "Hooks", "catch"]

log = logging.getLogger("airlock")


class Catcher(Protocol):
    """What is done with calls: an installation.

    Attributes:
        observes: the code must not notice: what goes wrong is logged, and the call made.
    """

    @property
    def observes(self) -> bool: ...

    def wants(self, names: tuple[str, ...], /) -> bool:
        """Whether it is about one of some tasks."""
        ...

    def caught(self, call: Call, /) -> Any:
        """A call was made: what it returns."""
        ...


_HOOKS: dict[Celery, Hooks] = {}
"""Those that hang."""
_lock = RLock()


def catch(app: Celery, catcher: Catcher) -> Hooks:
    """Let a catcher have the calls of an app's tasks that it wants.

    Returns:
        The hooks of the app; ``remove`` undoes it.
    """
    with _lock:
        hooks = _HOOKS.get(app) or Hooks(app)
        hooks.add(catcher)
        return hooks


class Hooks:
    """Catches the calls of one app, for those who want them; the last one is asked first.

    Args:
        app: whose tasks.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._catchers: list[Catcher] = []

    def add(self, catcher: Catcher) -> None:
        """Let a catcher have the calls it wants."""
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
        """``task.apply_async(...)``."""
        asked = partial(of_task, self._app, task, args, kwargs)
        return self._called(asked, lambda: send(*args, **kwargs))

    def name_called(self, send: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        """``app.send_task(name, ...)``."""
        asked = partial(of_name, self._app, name, args, kwargs)
        return self._called(asked, lambda: send(name, *args, **kwargs))

    def canvas_called(
        self, canvas: Any, send: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """``chain(...).apply_async(...)``, and of groups and chords."""
        args, kwargs = _read_once(args, kwargs)
        asked = partial(of_canvas, canvas, send, args, kwargs)
        return self._called(asked, lambda: send(canvas, *args, **kwargs))

    def _called(self, asked: Callable[[], Asked], send: Callable[[], Any]) -> Any:
        if is_inside():
            return send()
        try:
            found = self._wanted(asked(), _let(send))
        except Exception:
            if not all(catcher.observes for catcher in self._catchers):
                raise
            log.exception("a call of a task is not observed, and sent as ever")
            found = None
        if found is None:
            return _let(send)()
        catcher, call = found
        return catcher.caught(call)

    def _wanted(self, asked: Asked, send: Callable[[], Any]) -> tuple[Catcher, Call] | None:
        """Who wants a call; None if nobody does, or Celery makes it by itself."""
        place = call_site(self._app, asked.ids())
        if place is None:
            return None
        names = asked.names()
        for catcher in reversed(self._catchers):
            if catcher.wants(names):
                return catcher, Call(names, place, send, asked)
        return None

    # -- the hooks --------------------------------------------------------------------------------

    def _hang(self) -> None:
        registry = self._app._tasks  # noqa: SLF001 - app.tasks would finalize the app, too early
        for task in registry.values():
            self._hook(task)
        registry.__class__ = _telling(type(registry), self._hook)
        _replace(self._app, "send_task", self.name_called)
        for owner, name, hook in CLASSES:
            method = getattr(owner, name)
            if not hasattr(method, "airlock"):
                hooked = hook(method)
                hooked.airlock = method  # what it stands for
                setattr(owner, name, hooked)

    def _unhang(self) -> None:
        registry = self._app._tasks  # noqa: SLF001 - as above
        registry.__class__ = type(registry).__base__
        for task in registry.values():
            _restore(task, "apply_async")
        _restore(self._app, "send_task")
        del _HOOKS[self._app]
        for owner, name, _ in CLASSES if not _HOOKS else ():
            setattr(owner, name, getattr(owner, name).airlock)

    def _hook(self, task: Any) -> None:
        def called(send: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return self.task_called(task, send, *args, **kwargs)

        _replace(task, "apply_async", called)


def _read_once(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of ``apply_async``; those of the tasks listed, if they are made on demand."""
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


def _telling(cls: type[Any], tell: Callable[[Any], None]) -> type[Any]:
    """A class of registries that tell of what is registered."""

    def registered(self: Any, name: str, task: Any) -> None:
        cls.__setitem__(self, name, task)
        tell(task)

    return type(cls.__name__, (cls,), {"__setitem__": registered, "__module__": cls.__module__})


def _replace(owner: Any, name: str, hook: Callable[..., Any]) -> None:
    """Give one object a method of its own, which is given the one it would have had."""
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


def _canvas_hook(method: Any) -> Any:
    @wraps(method)
    def apply_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        hooks = _HOOKS.get(_app_of(self)) if _HOOKS else None
        if hooks is None:
            return method(self, *args, **kwargs)
        return hooks.canvas_called(self, method, *args, **kwargs)

    return apply_async


def _app_of(canvas: Any) -> Any:
    """The app of a canvas, and no proxy of it."""
    try:
        app = canvas.app
    except (NotRegistered, LookupError, AttributeError):
        return None
    return getattr(app, "_get_current_object", lambda: app)()


CLASSES: tuple[tuple[type[Any], str, Callable[[Any], Any]], ...] = (
    (_chain, "apply_async", _canvas_hook),
    (group, "apply_async", _canvas_hook),
    (_chord, "apply_async", _canvas_hook),
    (ResultSet, "iter_native", released_first),
)
"""What is changed of classes, by what."""
