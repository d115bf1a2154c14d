"""Intents of the tests of Celery."""

from __future__ import annotations

from airlock import intent

__all__ = ["Note"]


@intent(kind="tests.celery.note")
class Note:
    text: str
