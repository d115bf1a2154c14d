"""Emits when it seems to be over: in a thread of a thread, in a pool, and in an exit handler."""

from __future__ import annotations

import atexit
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import bill

import airlock


def emit(number: int) -> None:
    with bill.boundary.scope():
        airlock.emit(bill.SendBill(number))


def later() -> None:
    time.sleep(0.2)
    emit(2)
    threading.Thread(target=last).start()


def last() -> None:
    time.sleep(0.2)
    emit(3)


pool = ThreadPoolExecutor()
pool.submit(emit, 1).result()
threading.Thread(target=later).start()
atexit.register(emit, 4)
if "--interrupt" in sys.argv:
    raise KeyboardInterrupt
