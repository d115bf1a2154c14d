"""Sync handlers, one of which fails, and one of which dies."""

from __future__ import annotations

import os
from pathlib import Path

from airlock import Boundary, emit, intent


@intent(kind="bill.send")
class SendBill:
    number: int


@intent(kind="bill.archive")
class Archive:
    number: int


def send(intent: SendBill) -> None:
    print(f"sent {intent.number}")
    if intent.number == 3 and Path("unpaid").exists():
        raise ValueError("bill 3 is not paid")
    if intent.number == 2 and Path("dies").exists():
        os._exit(137)
    emit(Archive(intent.number))


def archive(intent: Archive) -> None:
    print(f"archived {intent.number}")


boundary = Boundary({SendBill: send, Archive: archive})
