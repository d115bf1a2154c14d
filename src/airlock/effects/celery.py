"""Tasks and signatures of Celery, recognised by name: they are emitted as ``CallTask``."""

from __future__ import annotations

from typing import Any

__all__ = ["celery_hint"]


def celery_hint(value: Any) -> str | None:
    """Return how to emit the call of a Celery task; None if a value is no task and no signature.

    Celery is not imported: a value that is its own has been made by who did.
    """
    # A task that an app makes when it is first used is a proxy, and knows the class it stands for.
    bases = {base.__name__ for base in value.__class__.__mro__ if _is_celery(base)}
    if "Signature" in bases:
        call = "this signature"
        written = "CallTask(signature)"
    elif "Task" in bases:
        call = "a call of this task"
        written = f"CallTask({value.__name__}.s(...))"
    else:
        return None
    return (
        f"Emit {call} as a value, airlock.emit({written}), and let SendTasks(app) handle CallTask: "
        "both are in airlock.integrations.celery."
    )


def _is_celery(cls: type[Any]) -> bool:
    return cls.__module__.partition(".")[0] == "celery"
