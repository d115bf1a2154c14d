"""The one scene that another process plays a part in: this one kills it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from airlock import Boundary
from airlock.integrations.sqlite3 import Connection, on_commit
from airlock.outbox import Outbox, Relay
from airlock.outbox.relay import Drained
from airlock.wire import AesGcm, Wire
from examples.orders import store
from examples.orders.baskets import read_orders
from examples.orders.models import Order
from examples.orders.scene import Scene
from examples.orders.screen import Screen
from examples.orders.shop import Shop
from examples.orders.tally import Tally
from examples.orders.wiring import Effects


def sell_and_die(orders: list[Order], boundary: Boundary, db: Connection) -> None:
    with boundary.scope(release=on_commit(db)) as effects:
        for order in orders:
            order.process(effects)
            store.save_order(db, order)
        db.commit()  # the orders, and what the outbox holds of their effects
        os.kill(os.getpid(), signal.SIGKILL)  # nothing has been delivered yet


def after_the_restart(outbox: Outbox, boundary: Boundary) -> Drained:
    return Relay(outbox, boundary).drain()  # `airlock relay` does the same, and goes on


def play(shop: Shop, screen: Screen) -> Tally:
    path = shop.folder / "outbox.sqlite"
    key = AesGcm.generate_key()  # addresses are sensitive: the outbox stores them sealed
    outbox = outbox_of(path, key)
    with store.opened(path) as db, shop.boundary(db, dispatch=outbox) as boundary:
        outbox.create()
        code = f"import sys; from {__name__} import main; main(*sys.argv[1:])"
        command = [sys.executable, "-c", code, str(path), str(shop.size), key.hex()]
        ended = subprocess.run(command, check=False).returncode  # noqa: S603 - this very file
        rows: list[list[str | int]] = [found("killed", shop, outbox, db)]
        drained = after_the_restart(outbox, boundary)
        rows.append(found("restarted", shop, outbox, db))
    screen.say(f"The process ended by {signal.Signals(-ended).name}, right after its COMMIT.")
    screen.table(["", "orders saved", "effects in the outbox", "e-mails"], rows)
    screen.say(f"The relay delivered {drained.delivered:,} effects.")
    return Tally.of(shop.orders())


def found(when: str, shop: Shop, outbox: Outbox, db: Connection) -> list[str | int]:
    waiting = outbox.database.run(outbox.store.status).pending
    return [when, store.processed_orders(db), waiting, shop.mail.emails.total()]


def outbox_of(path: Path, key: bytes) -> Outbox:
    return Outbox(f"sqlite:///{path}", wire=Wire(cipher=AesGcm(key)))


def main(path: str, number: str, key: str) -> None:
    with store.opened(Path(path)) as db:
        boundary = Boundary(Effects(db=db), dispatch=outbox_of(Path(path), bytes.fromhex(key)))
        sell_and_die(read_orders()[: int(number)], boundary, db)


SCENE = Scene(
    "8. A crash: the process is killed after the commit, and no effect is lost",
    "An outbox stores effects in the transaction of the orders. A relay delivers them, whenever it "
    "runs.",
    (sell_and_die, after_the_restart),
    play,
)
