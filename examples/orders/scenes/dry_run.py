from airlock import Boundary, Drop, Report
from examples.orders.models import Order
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally


def rehearse(orders: list[Order], boundary: Boundary) -> Report:
    with boundary.scope(policy=Drop()) as effects:
        for order in orders:
            order.process(effects)
    return effects.report


def play(shop: Shop, screen: Screen) -> Tally:
    with shop.open() as (_, boundary):
        report = rehearse(shop.orders(), boundary)
    screen.outcomes(report)
    screen.say("What would have happened, from print(effects.report.table(limit=3)):")
    screen.quote(report.table(limit=3))
    return Tally()


SCENE = Scene(
    "2. A dry run: nothing is received, and the report says what would have been",
    "The same domain code under the policy Drop(): it runs to its end, and nothing leaves.",
    (rehearse,),
    play,
)
