"""Orders and customers in SQLite."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection

from airlock.integrations import sqlite3
from examples.orders.models import Customer, Order

SCHEMA = """
create table if not exists orders (
    id integer primary key, customer_id integer, store_id integer, placed_at text, total text,
    status text
);
create table if not exists customers (id integer primary key, segment text);
"""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA)
        db.execute("pragma synchronous = off")  # a demo survives no power failure
        yield db


def save_order(db: Connection, order: Order) -> None:
    db.execute(
        "insert or replace into orders values (?, ?, ?, ?, ?, ?)",
        (
            order.id,
            order.customer_id,
            order.store_id,
            order.placed_at,
            str(order.total),
            order.status,
        ),
    )


def processed_orders(db: Connection) -> int:
    (count,) = db.execute("select count(*) from orders where status = 'processed'").fetchone()
    return int(count)


def customer_of(db: Connection, customer_id: int) -> Customer:
    row = db.execute("select id, segment from customers where id = ?", (customer_id,)).fetchone()
    return Customer(*row)


def enriched_customers(db: Connection) -> int:
    (count,) = db.execute("select count(*) from customers where segment != 'unknown'").fetchone()
    return int(count)
