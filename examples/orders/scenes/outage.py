from collections import Counter
from contextlib import suppress
from sqlite3 import Connection

from airlock import Boundary, FlushError, Report
from examples.orders import store
from examples.orders.models import Order
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally

STORES_DOWN = 3


def night_shift(orders: list[Order], boundary: Boundary, db: Connection) -> Report:
    effects = boundary.scope()
    with suppress(FlushError), effects, db:  # the report knows more than the error
        for order in orders:
            order.process(effects)
            store.save_order(db, order)
    return effects.report


def next_morning(report: Report) -> Report:
    return report.resume()  # runs what failed, and nothing else


def play(shop: Shop, screen: Screen) -> Tally:
    orders = shop.orders()
    busiest = Counter(order.store_id for order in orders).most_common(STORES_DOWN)
    warehouse = shop.warehouse
    with shop.open() as (db, boundary):
        warehouse.down_for = frozenset(store_id for store_id, _ in busiest)
        report = night_shift(orders, boundary, db)
        screen.say(f"The warehouse answers 503 to the orders of {STORES_DOWN} stores:")
        screen.outcomes(report)
        screen.quote(f"{report.failed[0]!r}\n{report.errors[0]}".partition("\nFor more")[0])

        warehouse.down_for = frozenset()
        screen.say("It has recovered. What report.resume() returns:")
        screen.outcomes(next_morning(report))

    again = sum(1 for key in warehouse.refused if warehouse.accepted[key] == 1)
    screen.say(
        f"{warehouse.refused.total():,} requests were refused; {again:,} of them came again, once, "
        "under the same Idempotency-Key."
    )
    return Tally.of(orders)


SCENE = Scene(
    "7. An outage: nothing else is lost, and resume() delivers the rest",
    "Every effect is attempted. What failed is in the report, which can run it later.",
    (night_shift, next_morning),
    play,
)
