"""What the task that delivers does otherwise than others, when its message goes back to the broker."""

from __future__ import annotations

import logging
from typing import Any

from celery.exceptions import Reject

__all__ = ["keeping"]

log = logging.getLogger("airlock")


class Keeping:
    """Loses no message, and shows none: mixed into the class of the task."""

    request: Any

    def retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        """As ever. If the broker does not take it, the message goes back to its queue as it is.

        Raises:
            Retry: it was sent.
            Reject: it was not.
            Exception: there are no more attempts.
        """
        try:
            return super().retry(*args, **kwargs)  # type: ignore[misc]  # of the class it is mixed into
        except Reject as error:  # Celery would have it thrown away
            reason = error.args[0]
            log.warning(
                "worker %s puts %s back into its queue: its handler failed, %r, and another attempt "
                "cannot be sent to the broker, %r",
                self.request.hostname,
                self.request.id,
                kwargs.get("exc"),
                reason,
            )
            raise Reject(reason, requeue=True) from error

    def signature_from_request(self: Any, request: Any = None, *args: Any, **options: Any) -> Any:
        """As ever, and logs and events show of it what they showed before, which is no data."""
        request = self.request if request is None else request
        shown = {
            "argsrepr": request.get("argsrepr") or "('...',)",
            "kwargsrepr": request.get("kwargsrepr") or "{}",
        }
        return super().signature_from_request(request, *args, **{**shown, **options})  # type: ignore[misc]  # as above


def keeping(base: type[Any]) -> type[Any]:
    """A class of tasks that loses no message."""
    return type("DeliverTask", (Keeping, base), {"abstract": True, "__module__": __name__})
