"""An outbox; one of its handlers needs paper, and one gives up."""

from __future__ import annotations

import os
from pathlib import Path

from dependency_injector import containers
from sqlalchemy import create_engine

from airlock import Boundary, Dead, Handles, RetryPolicy, field, intent
from airlock.outbox import Outbox
from airlock.wire import AesGcm, Wire


@intent(kind="kiosk.print")
class Print:
    number: int


@intent(kind="kiosk.send-receipt")
class SendReceipt:
    number: int
    to: str = field(sensitive=True)


@intent(kind="kiosk.charge")
class Charge:
    number: int


def print_out(intent: Print) -> None:
    print(f"printed {intent.number}")


def send(intent: SendReceipt) -> None:
    if not Path("paper").exists():
        raise ConnectionError("the printer has no paper")
    print(f"sent {intent.number}")


def charge(intent: Charge) -> Dead:
    return Dead("the card is blocked")


class Effects(containers.DeclarativeContainer):
    printing = Handles(Print, print_out)
    receipts = Handles(SendReceipt, send, retry=RetryPolicy(on=ConnectionError, max_attempts=1))
    charging = Handles(Charge, charge)


outbox = Outbox(
    create_engine(os.environ.get("KIOSK", "sqlite:///kiosk.sqlite")),
    wire=Wire(cipher=AesGcm(b"0123456789abcdef0123456789abcdef")),
    standalone=True,
)
boundary = Boundary(Effects(), dispatch=outbox)

two = Boundary({}, dispatch=outbox, park=Outbox("sqlite:///kiosk.sqlite", queue="parked"))
