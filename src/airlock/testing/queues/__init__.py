"""The contract of task queues: one suite that every queue integration has to pass.

A subclass of ``QueueContract`` with a fixture ``harness`` is a test class of pytest. The harness, a
``QueueHarness``, starts and kills real workers, and looks into the queue. What runs in those
workers comes from here too: ``worker_boundary`` and ``worker_wire``.
"""

from airlock.testing.queues.contract import QueueContract
from airlock.testing.queues.harness import Job, Program, QueueHarness
from airlock.testing.queues.looking import LACKS
from airlock.testing.queues.worker import worker_boundary, worker_wire

__all__ = [
    "LACKS",
    "Job",
    "Program",
    "QueueContract",
    "QueueHarness",
    "worker_boundary",
    "worker_wire",
]
