from collections import Counter
from collections.abc import Callable
from sqlite3 import Connection
from typing import Any

from attrs import evolve

from airlock import Boundary, Dedupe, Delivery, Observer, Outcome, Report
from examples.orders import store
from examples.orders.intents import CheckShelves, NotifyWarehouse, SendConfirmationEmail
from examples.orders.models import Order
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally
from examples.orders.wiring import BulkEffects


def process_all(orders: list[Order], boundary: Boundary, db: Connection) -> Report:
    with boundary.scope(policy=Dedupe(CheckShelves)) as effects, db:
        for order in orders:
            order.process(effects)
            store.save_order(db, order)
    return effects.report


class Advance(Observer):
    """Moves a progress bar. An observer watches, and can break nothing."""

    def __init__(self, advance: Callable[[], None]) -> None:
        self._advance = advance

    def ended(self, _: Delivery, __: BaseException | None, /) -> None:
        self._advance()


def play(shop: Shop, screen: Screen) -> Tally:
    orders = shop.orders(10 * shop.size)
    promised = once_per_store(Tally.of(orders))
    expected = 2 * len(orders) + len(promised.shelf_checks)
    with (
        shop.database() as db,
        screen.progress("delivering", expected) as advance,
        shop.boundary(db, BulkEffects, observers=[Advance(advance)]) as boundary,
    ):
        report = process_all(orders, boundary, db)

    calls: dict[type[Any], str] = {
        NotifyWarehouse: f"{shop.warehouse.calls['POST /orders']:,} x POST /orders",
        CheckShelves: f"{shop.warehouse.calls['POST /shelves']:,} x POST /shelves",
        SendConfirmationEmail: f"{shop.mail.connections:,} x SMTP",
    }
    rows: list[list[str | int]] = []
    for cls, called in calls.items():
        entries = report.of(cls)
        outcomes = Counter(entry.outcome for entry in entries)
        rows.append(
            [
                cls.__name__,
                len(entries),
                outcomes[Outcome.MERGED],
                outcomes[Outcome.DELIVERED],
                called,
            ]
        )
    screen.table(
        [f"{len(orders):,} orders", "emitted", "merged", "delivered", "calls at the server"], rows
    )
    return promised


def once_per_store(tally: Tally) -> Tally:
    return evolve(tally, shelf_checks=Counter(set(tally.shelf_checks)))


SCENE = Scene(
    "5. In bulk: thousands of orders, a few calls",
    "Another wiring calls handlers with lists, and Dedupe merges what says the same.",
    (BulkEffects, process_all),
    play,
)
