"""The orders of the demo, from ``data/baskets.csv``: real shopping baskets, see ``data/NOTICE.md``."""

import csv
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from examples.orders.models import Line, Order

FILE = Path(__file__).parent / "data" / "baskets.csv"


def read_orders(file: Path = FILE) -> list[Order]:
    with file.open(newline="", encoding="utf-8") as lines:
        by_order = groupby(csv.DictReader(lines), key=lambda row: row["order_id"])
        return [order_of(list(rows)) for _, rows in by_order]


def order_of(rows: list[dict[str, str]]) -> Order:
    first = rows[0]
    return Order(
        id=int(first["order_id"]),
        customer_id=int(first["household_id"]),
        store_id=int(first["store_id"]),
        placed_at=first["placed_at"],
        lines=tuple(
            Line(row["product"], int(row["quantity"]), Decimal(row["sales_value"])) for row in rows
        ),
    )
