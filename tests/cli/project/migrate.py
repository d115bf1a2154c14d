"""A script that knows nothing of plans."""

from __future__ import annotations

import sys
import threading

import bill

import airlock


def work(number: int) -> None:
    with bill.boundary.scope():
        airlock.emit(bill.SendBill(number))


print("migrating", *sys.argv[1:])
if "--fail" in sys.argv:
    work(1)
    raise LookupError("no such order")
work(1)
thread = threading.Thread(target=work, args=(2,))
thread.start()
thread.join()
with bill.boundary.scope(), bill.boundary.scope(independent=True):
    airlock.emit(bill.SendBill(3))
if "--exit" in sys.argv:
    sys.exit(int(sys.argv[-1]))
