"""Applies a plan, and makes another one of what followed from it."""

from __future__ import annotations

from bill import Archive, SendBill, archive, send

from airlock import Boundary, Hold
from airlock.plan import Plan

careful = Boundary({SendBill: send, Archive: archive}, policy=Hold(Archive))
applied = careful.apply(Plan.load("out.json"), progress=False)
if applied.held is not None:
    applied.held.save("held.json")
