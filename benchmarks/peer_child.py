"""The other side of ``peer``: runs in the interpreter where ``airlock`` is airlock-py.

Reads a request a line, measures, and answers a line, until its input ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from benchmarks.clock import (
    Handler,
    Work,
    bytes_per_item,
    loop_and_empty,
    nothing,
    per_item,
    proven,
    section,
)

# Its own name in this interpreter, and that of the measured project in every other.
peer: Any = importlib.import_module("airlock")


def emit(n: int) -> dict[str, float]:
    def loop(count: int) -> None:
        enqueue = peer.enqueue
        for i in range(count):
            enqueue(nothing, i)

    with peer.scope():
        return loop_and_empty(loop, n)


def flush(n: int, repeat: int, policy: str = "") -> dict[str, float]:
    return {"value": per_item(proven(_flushing(policy), nothing), n, repeat)}


def _flushing(policy: str) -> Callable[[Handler], Work]:
    def make(handler: Handler) -> Work:
        def work(n: int) -> object:
            enqueue = peer.enqueue
            with peer.scope(policy=peer.BlockTasks({"other"}) if policy else None) as scope:
                for i in range(n):
                    enqueue(handler, i)
            return scope

        return work

    return make


def memory(n: int) -> dict[str, float]:
    def build(count: int) -> object:
        enqueue = peer.enqueue
        for i in range(1_000, 1_000 + count):
            enqueue(nothing, i)
        return None

    with peer.scope():
        return {"value": bytes_per_item(build, n)}


def closing(depth: int, n: int) -> dict[str, float]:
    blocks = list[Any]()
    for _ in range(depth):
        blocks.append(peer.scope())
        blocks[-1].__enter__()
        for i in range(n // depth):
            peer.enqueue(nothing, i)
    with section() as timed:
        for block in reversed(blocks):
            block.__exit__(None, None, None)
    return {"value": timed.seconds * 1e6}


TASKS: dict[str, Callable[..., dict[str, float]]] = {
    "emit": emit,
    "flush": flush,
    "memory": memory,
    "closing": closing,
}


def main() -> None:
    answer({"version": version("airlock-py")})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            measured: dict[str, Any] = dict(TASKS[request["task"]](**request["arguments"]))
        except Exception as error:  # noqa: BLE001  # the parent reports it, as broken
            measured = {"error": repr(error)}
        answer(measured)
        gc.collect()


def answer(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)
