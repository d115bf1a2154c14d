"""Records what a sale sets off."""

from __future__ import annotations

from uuid import UUID

from kiosk import Charge, Print, SendReceipt, boundary

from airlock import Options

with boundary.scope(headers={"till": "north"}) as effects:
    effects.emit(Print(7), Options(id=UUID(int=1)))
    effects.emit(SendReceipt(7, "ann@example.org"), Options(id=UUID(int=2)))
    effects.emit(Charge(7), Options(id=UUID(int=3)))
print(effects.report.summary())
