"""The intents of these tests."""

from __future__ import annotations

from airlock import field, intent


@intent(kind="tests.effects.notify")
class Notify:
    order_id: int = 0


@intent(kind="tests.effects.urgent")
class Urgent(Notify):
    """Handled, chosen and read as a Notify too."""


@intent(kind="tests.effects.mail")
class Mail:
    to: str = ""


@intent(kind="tests.effects.charge")
class Charge:
    card: str = field(sensitive=True)
    amount: int = 0
