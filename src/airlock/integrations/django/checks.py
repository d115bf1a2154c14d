"""``manage.py check``: what is wrong with the settings, the wiring and the middleware."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning  # noqa: A004 - Django's names
from django.core.management import get_commands

from airlock.effects.registry import declared
from airlock.errors import SettingError
from airlock.integrations.django.binding import binds
from airlock.integrations.django.conf import Conf, conf, problems
from airlock.integrations.django.counting import counts
from airlock.integrations.django.middleware import PATH, check_placed, is_a, positions
from airlock.integrations.django.reading import problem, suggestion

__all__ = ["check_wiring"]

MAKERS = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.locale.LocaleMiddleware",
)
"""Middleware that sets what ``HEADERS`` is likely to ask for, or is derived from one that does."""


def check_wiring(**_: Any) -> list[CheckMessage]:
    """Run all checks."""
    return [*_placing(), *_settings()]


def _message(kind: Callable[..., CheckMessage], number: int, text: str, hint: str) -> CheckMessage:
    letter = kind.__name__[0]
    return kind(text, hint=hint, id=f"airlock.{letter}{number:03}")


def _from_error(
    number: int, error: SettingError, kind: Callable[..., CheckMessage] = Error
) -> CheckMessage:
    return _message(kind, number, f"{error.where}: {error.name!r} {error.problem}.", error.hint)


def _settings() -> Iterator[CheckMessage]:
    wrong = problems()
    yield from (_from_error(1, error) for error in wrong)
    if not wrong:
        now = conf()
        yield from _wiring(now)
        yield from _order(now)
        yield from _commands(now)
        yield from _counts(now)


def _placing() -> Iterator[CheckMessage]:
    placed = positions()
    if not placed:
        yield _message(
            Warning,
            4,
            f"settings.MIDDLEWARE: {PATH!r} is missing, so requests have no scope.",
            "Put it last, or right before the first middleware that emits. If requests emit nothing, "
            "silence this: "
            'SILENCED_SYSTEM_CHECKS = ["airlock.W004"].',
        )
    try:
        check_placed(placed)
    except SettingError as error:
        yield _from_error(2, error)
    else:
        yield from _around()


def _wiring(now: Conf) -> Iterator[CheckMessage]:
    found = now.boundary.check(filter(is_of_project, declared()), sync=True)
    for text in found.unhandled:
        hint = "Give the boundary a handler for it; whoever emits it gets an UnhandledIntentError."
        yield _message(Warning, 1, f"{text}.", hint)
    for text in found.misfits:
        yield _message(
            Warning,
            2,
            text,
            "Only async requests await their effects: under WSGI and in commands it is refused.",
        )
    for text in found.undefined:
        hint = "Give the container what is missing, or override the provider."
        yield _message(Warning, 8, text, hint)
    for text in found.conflicts:
        yield _message(Warning, 3, text, "Only one of the two can be imported.")


def is_of_project(cls: type[Any]) -> bool:
    """Return True if an intent is not airlock's own, whose emitters check for their handlers."""
    return not cls.__module__.startswith("airlock.")


def _around() -> Iterator[CheckMessage]:
    """Check that what other middleware binds is still bound when the handlers of a request run."""
    placed = positions()
    inside = (
        [path for path in settings.MIDDLEWARE[placed[0] + 1 :] if binds(path)] if placed else ()
    )
    if inside:
        yield _message(
            Warning,
            9,
            f"settings.MIDDLEWARE: {PATH!r} stands before {', '.join(inside)}: handlers of a request "
            "run after these, and what they bind (a tenant, a language, a user, an id) may be unbound "
            "by then.",
            "Put it after them. If no handler reads what they bind, silence this: "
            'SILENCED_SYSTEM_CHECKS = ["airlock.W009"].',
        )


def _order(now: Conf) -> Iterator[CheckMessage]:
    """Check that what ``HEADERS`` is likely to read from a request is set when it is called."""
    placed = positions()
    if now.headers is None or not placed:
        return
    late = [path for path in settings.MIDDLEWARE[placed[0] :] if is_a(path, *MAKERS)]
    if late:
        yield _message(
            Warning,
            5,
            f"settings.MIDDLEWARE: {PATH!r} calls HEADERS before {', '.join(late)}, and what these "
            "set on the request is not there.",
            "Put it after them. If HEADERS asks for nothing of theirs, silence this: "
            'SILENCED_SYSTEM_CHECKS = ["airlock.W005"].',
        )


def _commands(now: Conf) -> Iterator[CheckMessage]:
    known = get_commands()
    for name in now.commands:
        if name != "*" and name not in known:
            wrong = problem("COMMANDS", f"names {name!r}, and there is no such command", "")
            text = f"{wrong.where}: {wrong.name!r} {wrong.problem}."
            yield _message(Warning, 6, text, suggestion(name, known))


def _counts(now: Conf) -> Iterator[CheckMessage]:
    counted = counts()
    # Every command runs the checks: a command without options would print that there was nothing.
    if now.no_scope != "raise" and (counted.no_scope or sys.argv[1:2] == ["check"]):
        listed = ", ".join(f"{kind} {n}" for kind, n in counted.no_scope.items()) or "none"
        yield _message(
            Info,
            1,
            f"NO_SCOPE is {now.no_scope!r}. Emitted without a scope in this process so far: {listed}.",
            "Give these entry points a scope of their own, then let NO_SCOPE be 'raise'.",
        )
    if counted.flush_errors:
        yield _message(
            Warning,
            7,
            f"effects of {counted.flush_errors} requests or commands of this process failed.",
            "The log of `airlock` has each of them.",
        )
