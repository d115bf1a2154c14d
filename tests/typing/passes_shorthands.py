"""The short ways to name a handler: nothing here is an error, and all of it runs."""

from __future__ import annotations

from airlock import Boundary, Expands, Handles, HandlesBatch, effect
from tests.typing.vocabulary import Notify, SendMail, on_notify, refund


@effect
def move(product_id: int, amount: int) -> None: ...


@effect
def refresh() -> None: ...


Boundary({Notify: on_notify, refund: refund, move: move, refresh: refresh})
Boundary({move: lambda intent: None, Notify: on_notify})

Handles(Notify, lambda intent: None)
Handles(Notify, lambda intent: hash(intent.order_id))
Handles(Notify, lambda intent, http: http.post(str(intent.order_id)), http=None)
HandlesBatch(SendMail, lambda mails: None, size=500)
HandlesBatch(Notify, lambda intents: [intent.order_id for intent in intents])
Expands(Notify, lambda event: (SendMail(to=str(event.order_id)),))
