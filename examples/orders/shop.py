"""Everything a scene needs: orders, the two servers, databases, boundaries over them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, evolve, field

from airlock import Boundary
from airlock.integrations.sqlite3 import Connection
from examples.orders import store
from examples.orders.baskets import read_orders
from examples.orders.models import Order
from examples.orders.servers import MailServer, WarehouseServer
from examples.orders.tally import Tally
from examples.orders.wiring import Clients, Effects


@define
class Shop:
    folder: Path
    mail: MailServer
    warehouse: WarehouseServer
    size: int  # orders in a scene; ten times as many in the bulk run
    _read: list[Order] = field(factory=read_orders)
    _databases: Iterator[int] = field(factory=count)

    def orders(self, number: int | None = None) -> list[Order]:
        """The first orders of the file, new again."""
        return [evolve(order) for order in self._read[: self.size if number is None else number]]

    @contextmanager
    def database(self) -> Iterator[Connection]:
        """An empty database, in a file of its own."""
        with store.opened(self.folder / f"shop-{next(self._databases)}.sqlite") as db:
            yield db

    @contextmanager
    def boundary(
        self, db: Connection, wiring: type[Clients] = Effects, **options: Any
    ) -> Iterator[Boundary]:
        effects = wiring(db=db)
        effects.config.from_dict(
            {
                "smtp": {"host": self.mail.host, "port": self.mail.port},
                "warehouse": {"url": self.warehouse.url},
            }
        )
        with Boundary(effects, **options) as boundary:  # opens and closes the HTTP client
            yield boundary

    @contextmanager
    def open(self) -> Iterator[tuple[Connection, Boundary]]:
        """A database and a boundary over it."""
        with self.database() as db, self.boundary(db) as boundary:
            yield db, boundary

    def received(self) -> Tally:
        """What both servers accepted since they were last asked to forget."""
        return Tally(
            self.mail.emails,
            self.warehouse.notices,
            self.warehouse.shelf_checks,
            self.warehouse.lookups,
        )

    def forget(self) -> None:
        self.mail.forget()
        self.warehouse.forget()


@contextmanager
def opened(size: int) -> Iterator[Shop]:
    with (
        TemporaryDirectory(prefix="shop-") as folder,
        MailServer() as mail,
        WarehouseServer() as warehouse,
    ):
        yield Shop(Path(folder), mail, warehouse, size)
