from contextlib import suppress

from airlock import Boundary, Report
from airlock.integrations.sqlite3 import Connection, on_commit
from examples.orders import store
from examples.orders.models import Order
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally


class PageError(Exception):
    """The thank-you page could not be rendered."""


def roll_back(orders: list[Order], boundary: Boundary, db: Connection) -> Report:
    with boundary.scope(release=on_commit(db)) as effects:
        for order in orders:
            order.process(effects)
            store.save_order(db, order)
        db.rollback()  # and no exception anywhere
    return effects.report


def commit_and_fail(orders: list[Order], boundary: Boundary, db: Connection) -> Report:
    effects = boundary.scope(release=on_commit(db))
    with suppress(PageError), effects:
        for order in orders:
            order.process(effects)
            store.save_order(db, order)
        db.commit()
        raise PageError  # too late to unsay what was committed
    return effects.report


def play(shop: Shop, screen: Screen) -> Tally:
    orders = shop.orders()
    half = len(orders) // 2
    rows: list[list[str | int]] = []
    for story, part in ((roll_back, orders[:half]), (commit_and_fail, orders[half:])):
        before = shop.mail.emails.total()
        with shop.open() as (db, boundary):
            report = story(part, boundary, db)
            rows.append(
                [
                    f"{story.__name__}()",
                    len(report),
                    report.summary(),
                    store.processed_orders(db),
                    shop.mail.emails.total() - before,
                ]
            )
    screen.table(["", "emitted", "effects.report", "orders saved", "e-mails"], rows)
    return Tally.of(orders[half:])


SCENE = Scene(
    "4. Transactions: a rollback lets nothing out, a commit lets everything out",
    "The release ties a scope to a real transaction: orders and e-mails exist together or not at all.",
    (roll_back, commit_and_fail),
    play,
)
