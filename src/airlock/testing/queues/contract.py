"""``QueueContract``: what an integration of a task queue promises, tried on the queue itself."""

from __future__ import annotations

from airlock.testing.queues.arrivals import Arrivals
from airlock.testing.queues.failures import Failures

__all__ = ["QueueContract"]


class QueueContract(Failures, Arrivals):
    """Base of test classes for pytest, one for each queue: add a fixture ``harness``.

    The fixture may be of any scope: every check has names of its own, so that one queue and one
    worker serve them all. List what the queue lacks, with the reason: those checks are skipped.

    Attributes:
        lacks: what the queue cannot do, of ``LACKS``, and why.
        patience: how many seconds something may take to arrive.
        quiet: how many seconds to wait for what must not arrive.
        bound: how many seconds a broker that is down may hold up a flush.
        delay: the delay to try.
        slow: how many seconds the handler takes whose worker is killed: longer than that takes.

    Example:
        >>> from airlock.testing.queues import QueueContract
        >>> class TestShelf(QueueContract):
        ...     lacks = {"redelivery": "Shelf takes a job off the queue before it runs it."}
        >>> TestShelf.checks()[0]
        'test_a_delay_is_kept'
    """

    @classmethod
    def checks(cls) -> list[str]:
        """Return the names of its checks. Each takes the harness."""
        return [name for name in dir(QueueContract) if name.startswith("test_")]
