from collections import Counter
from sqlite3 import Connection

from airlock import Boundary, Report
from examples.orders import store
from examples.orders.models import Order
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally


def check_out(order: Order, boundary: Boundary, db: Connection) -> Report:
    with boundary.scope() as effects, db:
        order.process(effects)  # emits: nothing happens yet
        store.save_order(db, order)
    return effects.report  # the order is committed, then the handlers ran


def play(shop: Shop, screen: Screen) -> Tally:
    orders = shop.orders()
    with shop.open() as (db, boundary):
        reports = [check_out(order, boundary, db) for order in orders]

    emitted = Counter(type(entry.intent).__name__ for report in reports for entry in report)
    delivered = Counter(type(intent).__name__ for each in reports for intent in each.delivered)
    received = {
        "SendConfirmationEmail": shop.mail.emails.total(),
        "NotifyWarehouse": shop.warehouse.notices.total(),
        "CheckShelves": shop.warehouse.shelf_checks.total(),
    }
    screen.table(
        [f"{len(orders):,} orders", "emitted", "delivered", "received by the servers"],
        [[name, emitted[name], delivered[name], received[name]] for name in emitted],
    )
    return Tally.of(orders)


SCENE = Scene(
    "1. Processing: the servers receive exactly what was emitted",
    "The order says what it wants to happen; the boundary makes it happen when the block has ended.",
    (Order.process, check_out),
    play,
)
