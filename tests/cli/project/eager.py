"""A module that emits when it is imported, and a function that emits when it is called."""

from __future__ import annotations

import os
import threading
import time

import bill

import airlock


def emit(number: int) -> None:
    with bill.boundary.scope():
        airlock.emit(bill.SendBill(number))


def make() -> airlock.Boundary:
    emit(7)
    return bill.boundary


def later() -> None:
    time.sleep(0.2)
    emit(8)


boundary = bill.boundary
if "AT_IMPORT" in os.environ:
    emit(9)
if "IN_A_THREAD" in os.environ:
    threading.Thread(target=emit, args=(10,)).start()
    threading.Thread(target=later).start()
