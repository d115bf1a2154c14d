"""Names that are known to be an effect, to defer a call, or to be no task at all."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

import attrs

__all__ = [
    "BY_METHOD",
    "BY_ORIGIN",
    "CANVASES",
    "DEFERRING",
    "DEFERRING_BY_NAME",
    "ENGINES",
    "OF_TASKS",
    "TASK_DECORATORS",
    "Names",
    "is_foreign",
]

MAILS = ("EmailMessage", "EmailMultiAlternatives")

# Functions and methods by where they come from; () is a call: what a class makes, or returns.
BY_ORIGIN: dict[str, str] = {
    "celery.execute.send_task": "ALK101",
    "django.core.mail.send_mail": "ALK102",
    "django.core.mail.send_mass_mail": "ALK102",
    "django.core.mail.mail_admins": "ALK102",
    "django.core.mail.mail_managers": "ALK102",
    "django.core.mail.get_connection().send_messages": "ALK102",
    **{f"django.core.mail.{mail}().send": "ALK102" for mail in MAILS},
    **{f"django.core.mail.message.{mail}().send": "ALK102" for mail in MAILS},
    **{
        f"smtplib.{smtp}().{send}": "ALK102"
        for smtp in ("SMTP", "SMTP_SSL", "LMTP")
        for send in ("send_message", "sendmail")
    },
    "django.db.transaction.on_commit": "ALK103",
    "django.db.transaction.get_connection().on_commit": "ALK103",
    "django.db.connection.on_commit": "ALK103",
    "django.db.connections[].on_commit": "ALK103",
    "django_q.tasks.async_chain": "ALK105",
    "django_q.tasks.async_iter": "ALK105",
    "django_q.tasks.async_task": "ALK105",
    "django_q.tasks.schedule": "ALK105",
    **{f"django_q.tasks.{cls}().run": "ALK105" for cls in ("AsyncTask", "Chain", "Iter")},
    "dramatiq.group().run": "ALK105",
    "dramatiq.pipeline().run": "ALK105",
}

# What is sent by calling it: chain(notify.s(42), pack.s())(). A plain signature is run by that.
CANVASES = {
    f"{module}.{canvas}()"
    for module in ("celery", "celery.canvas")
    for canvas in ("chain", "chord", "chunks", "group")
}

# Methods that nothing but a task has, as good as ever.
BY_METHOD: dict[str, str] = {
    "delay": "ALK101",
    "delay_on_commit": "ALK101",
    "apply_async": "ALK101",
    "apply_async_on_commit": "ALK101",
    "send_task": "ALK101",
    "email_user": "ALK102",
    "send_with_options": "ALK105",
}

# These call what they are given, some time, and at which place it is: partial(notify.delay, 42).
DEFERRING = {
    "Process": 1, "Thread": 1, "Timer": 1, "async_to_sync": 0, "call_later": 1, "call_soon": 0,
    "call_soon_threadsafe": 0, "connect": 0, "map": 0, "on_commit": 0, "partial": 0,
    "partialmethod": 0, "run_in_executor": 1, "staticmethod": 0, "submit": 0, "sync_to_async": 0,
    "to_thread": 0,
}  # fmt: skip
# The same where it is given by name: Thread(target=notify.delay).
DEFERRING_BY_NAME = {"Process": "target", "Thread": "target", "Timer": "function"}
TASK_DECORATORS = {
    "actor", "db_periodic_task", "db_task", "on_commit_task", "periodic_task", "shared_task", "task",
}  # fmt: skip
# Methods of tasks that other things have as well: only where it is known to be a task.
OF_TASKS = {"aenqueue": "ALK105", "apply": "ALK101", "enqueue": "ALK105", "schedule": "ALK105",
            "send": "ALK105"}  # fmt: skip

# Their own modules have no tasks in them, though some are called so.
ENGINES = {"celery", "django", "django_q", "django_tasks", "dramatiq", "huey"}
# Modules beside the standard library with a delay() or apply_async() of their own.
NO_TASKS = {"airlock", "anyio", "gevent", "joblib", "pygame", "reactivex", "rx", "trio"}


def is_foreign(origin: str) -> bool:
    """Return True if it comes from a package that has no tasks."""
    root, _, _ = origin.partition(".")
    root = root.partition("()")[0]
    return root in NO_TASKS or root in sys.stdlib_module_names


@attrs.frozen
class Names:
    """The names that a project looks for, of the option ``airlock-names``.

    Attributes:
        methods: by their names alone.
        functions: matches the origin of the others.
    """

    methods: frozenset[str] = frozenset()
    functions: re.Pattern[str] | None = None

    @classmethod
    def parsed(cls, names: Iterable[str]) -> Names:
        """Names from texts, which have been checked.

        Args:
            names: ``module.function``, ``module.*`` for all that is in a module, ``.method``.
        """
        every = list(names)
        parts = "|".join(
            re.escape(name.removesuffix(".*")) + (r"\.[^.]+" if name.endswith(".*") else "")
            for name in every
            if not name.startswith(".")
        )
        # What begins with a dot is known by its end.
        functions = re.compile(rf"(?:\.(?:.+\.)?)?(?:{parts})") if parts else None
        return cls(frozenset(name[1:] for name in every if name.startswith(".")), functions)

    def match(self, origin: str) -> bool:
        if self.functions is None:
            return False
        return self.functions.fullmatch(origin.replace("().", ".")) is not None
