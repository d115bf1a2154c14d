from collections import Counter
from sqlite3 import Connection

from airlock import Boundary, FlushError, OncePerChain, Report
from examples.orders import handlers, store
from examples.orders.intents import EnrichCustomer
from examples.orders.models import Customer
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally

MAX_DEPTH = 5


def register(customers: list[Customer], boundary: Boundary, db: Connection) -> Report:
    with boundary.scope(policy=OncePerChain(EnrichCustomer)) as effects, db:
        for customer in customers:
            customer.save(db)
    return effects.report


def play(shop: Shop, screen: Screen) -> Tally:
    ids = sorted({order.customer_id for order in shop.orders()})
    with shop.database() as db:
        with shop.boundary(db, max_depth=MAX_DEPTH) as boundary:
            screen.say(
                f"Without a policy, under Boundary(..., max_depth={MAX_DEPTH}), one customer:"
            )
            screen.quote(loop(ids[0], boundary, db))
        with shop.boundary(db) as boundary:
            screen.say(f"With OncePerChain(EnrichCustomer), {len(ids):,} customers:")
            screen.outcomes(register([Customer(each) for each in ids], boundary, db))
        screen.say(
            f"The register was asked once for each, and {store.enriched_customers(db):,} customers "
            "have a segment now."
        )
    # The loop called its handler once for the customer, and again for each follow-up in bounds.
    return Tally(lookups=Counter(ids) + Counter({ids[0]: MAX_DEPTH + 1}))


def loop(customer_id: int, boundary: Boundary, db: Connection) -> str:
    """Go round in a circle. The error that ends it, in words."""
    try:
        with boundary.scope(), db:
            Customer(customer_id).save(db)
    except FlushError as error:
        return "\n".join(map(str, error.exceptions))
    return "It ended by itself."


SCENE = Scene(
    "6. Circles: save() emits EnrichCustomer, whose handler calls save()",
    "Follow-ups know their causes: the chain is bounded and drawn, and a policy can break it.",
    (Customer.save, handlers.enrich_customer, register),
    play,
)
