"""``python -m benchmarks [--quick] [--only NAME] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.measure import Measured, run
from benchmarks.peer import NAME, Peer
from benchmarks.rows import rows
from benchmarks.table import document, show

FULL = (25, 10.0)
QUICK = (3, 1.0)
PACKAGES = (
    *("attrs", "dependency-injector", "Django", "starlette", "Flask", "celery"),
    *("effect", "blinker", "cattrs", "msgspec"),
    *("SQLAlchemy", "psycopg", "procrastinate", "pgqueuer", "huey"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if a contender is broken; a missed bar is no failure."""
    _stay()
    logging.basicConfig(format="%(message)s")
    peer = Peer()
    every = rows(peer)
    options = _parser(list(dict.fromkeys(row.key for row in every))).parse_args(arguments)
    chosen = [row for row in every if not options.only or row.key in options.only]
    rounds, seconds = QUICK if options.quick else FULL
    measured = list[Measured]()
    load = _load()
    try:
        for row in chosen:
            print(f"measuring: {row.title}", file=sys.stderr)
            measured.append(run(row, rounds=rounds, seconds=seconds))
    finally:
        peer.close()
    packages = _packages(peer)
    if options.json:
        found = document(measured, packages, quick=options.quick)
        options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    _warn(max(load, _load() - 1))
    show(measured, packages)
    return int(any(result.broken for m in measured for result in m.results))


def _stay() -> None:
    """Keep to one core, with every process begun from here: cores differ in speed while others work."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _load() -> float:
    """How many processes wanted to run in the last minute; 0 where that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _warn(load: float) -> None:
    if load > 0.7:
        print(
            f"the machine was busy (load {load:.1f} without this): compare ratios",
            file=sys.stderr,
        )


def _parser(keys: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the core.")
    parser.add_argument("--quick", action="store_true", help="three rounds, in half a minute")
    parser.add_argument(
        "--only",
        action="append",
        choices=keys,
        metavar="NAME",
        help=f"these rows; may be repeated: {', '.join(keys)}",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything there")
    return parser


def _packages(peer: Peer) -> dict[str, str]:
    found = {NAME: peer.version} if peer.version else {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
