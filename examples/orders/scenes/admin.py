from collections import Counter

from attrs import evolve

from airlock import Boundary, Drop, Report
from examples.orders.intents import SendConfirmationEmail
from examples.orders.models import Order
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally


def process_again(orders: list[Order], boundary: Boundary) -> Report:
    with boundary.scope(policy=Drop(SendConfirmationEmail)) as effects:
        for order in orders:
            order.process(effects)
    return effects.report


def play(shop: Shop, screen: Screen) -> Tally:
    orders = shop.orders()
    with shop.open() as (_, boundary):
        screen.outcomes(process_again(orders, boundary))
    return evolve(Tally.of(orders), emails=Counter())


SCENE = Scene(
    "3. The admin: the warehouse is notified, the customers are left in peace",
    "A policy picks by type. No flag is passed through save() for it.",
    (process_again,),
    play,
)
