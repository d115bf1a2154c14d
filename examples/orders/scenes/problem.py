import smtplib
from sqlite3 import Connection
from typing import ClassVar

from attrs import asdict

from examples.orders import store
from examples.orders.mails import confirmation
from examples.orders.models import Order
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally

HANDFUL = 12


class DirectOrder(Order):
    mail_server: ClassVar[tuple[str, int]]  # from the settings

    def save(self, db: Connection) -> None:
        store.save_order(db, self)
        with smtplib.SMTP(*self.mail_server, local_hostname="shop.example") as smtp:
            smtp.send_message(confirmation(self.id, self.email, self.total))


def renumber_stores(orders: list[DirectOrder], db: Connection) -> None:
    with db:
        for order in orders:
            order.store_id += 10_000
            order.save(db)


def play(shop: Shop, screen: Screen) -> Tally:
    DirectOrder.mail_server = shop.mail.host, shop.mail.port
    orders = [DirectOrder(**asdict(order, recurse=False)) for order in shop.orders(HANDFUL)]
    with shop.database() as db:
        renumber_stores(orders, db)
    screen.table(
        ["after renumber_stores()", "count"],
        [
            ["orders changed", len(orders)],
            ["e-mails that anybody meant to send", 0],
            ["e-mails that the SMTP server received", shop.mail.emails.total()],
        ],
    )
    screen.say(
        f"{shop.mail.emails.total()} customers were thanked again for orders of long ago; the loop "
        "shows no sign of it."
    )
    return Tally()


SCENE = Scene(
    "0. The problem: save() sends an e-mail, and a script calls save()",
    "The effect hides in a method, and escapes at once: before the commit, and from every script.",
    (DirectOrder, renumber_stores),
    play,
)
