"""A program under gevent's monkey patching; run by ``test_greenlets``, in a process of its own."""
# ruff: noqa: E402, T201 - patching comes before everything else, and the output is the result

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import gevent

import airlock
from airlock import Boundary, Drop, intent
from airlock.errors import NoScopeError


@intent
class Note:
    text: str


delivered: dict[str, list[str]] = {}


def deliver(note: Note) -> None:
    time.sleep(0)
    name, _, what = note.text.partition(" ")
    delivered.setdefault(name, []).append(what)
    if what == "ask":
        airlock.emit(Note(f"{name} answer"))


boundary = Boundary({Note: deliver})


def work(name: str) -> None:
    for _ in range(5):
        with boundary.scope() as effects:
            airlock.emit(Note(f"{name} ask"))
            time.sleep(0)
            with airlock.region(Drop()):
                time.sleep(0)
                airlock.emit(Note(f"{name} dropped"))
            assert airlock.current() is effects
        assert len(effects.report.delivered) == 2


def refused() -> bool:
    try:
        airlock.current()
    except NoScopeError:
        return True
    return False


def main() -> None:
    found: list[bool] = []
    with boundary.scope():
        threads = [threading.Thread(target=lambda: found.append(refused()))]
        threads += [threading.Thread(target=work, args=(f"thread{i}",)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True]
    print("threads")
    with boundary.scope():
        assert gevent.spawn(refused).get()
        running = [gevent.spawn(work, f"greenlet{i}") for i in range(20)]
        gevent.joinall(running, raise_error=True)
    print("greenlets")
    with ThreadPoolExecutor(5) as pool, boundary.scope(policy=Drop()):
        list(pool.map(work, [f"pool{i}" for i in range(20)]))
        airlock.emit(Note("main dropped"))
    names = [f"{kind}{i}" for kind in ("thread", "greenlet", "pool") for i in range(20)]
    assert delivered == {name: ["ask", "answer"] * 5 for name in names}
    print("mixed")


main()
print("done")
