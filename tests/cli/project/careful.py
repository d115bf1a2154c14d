"""A boundary that holds what follows from a bill."""

from __future__ import annotations

from bill import Archive, SendBill, archive, send

from airlock import Boundary, Hold

boundary = Boundary({SendBill: send, Archive: archive}, policy=Hold(Archive))
