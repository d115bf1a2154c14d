"""Decode a million bad payloads and see nothing but ``WireError``: ``python -m tests.wire.fuzz``.

With atheris installed, ``python -m tests.wire.fuzz --atheris -runs=1000000`` lets libFuzzer choose
them by what they reach.
"""

from __future__ import annotations

import argparse
import importlib
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from airlock.errors import WireError
from airlock.wire import Wire
from tests.wire import mutants

MEMBERS = ("airlock", "id", "kind", "version", "data", "sealed", "causation", "options", "headers")


def tried(wire: Wire, text: bytes) -> str:
    """What became of one payload. Whatever is neither decoded nor a ``WireError`` ends the run."""
    try:
        envelope = wire.decode(text)
    except WireError as error:
        member = re.split(r"[.\[]", error.path)[1:2]
        return f"refused at {member[0] if member and member[0] in MEMBERS else 'the text'}"
    if wire.decode(wire.encode(envelope)) != envelope:
        raise AssertionError("decoded, encoded and decoded again, it is something else")
    return "decoded"


def fuzz(count: int, seed: int) -> Counter[str]:
    """Decode many, half of them with each wire."""
    results: Counter[str] = Counter()
    for i, wire in enumerate(mutants.wires()):
        payloads = mutants.mutants(mutants.valid(wire), random.Random(seed + i))
        for _, text in zip(range(count // 2), payloads, strict=False):
            try:
                results[tried(wire, text)] += 1
            except BaseException:
                print(f"this payload: {text!r}", file=sys.stderr)
                raise
    return results


def by_coverage(arguments: list[str]) -> None:
    """Let atheris choose."""
    atheris: Any = importlib.import_module("atheris")  # not installed everywhere
    atheris.instrument_all()
    made = mutants.wires()

    def one(text: bytes) -> None:
        for wire in made:
            tried(wire, text)

    with tempfile.TemporaryDirectory() as seeds:  # it begins with payloads that are valid
        for i, text in enumerate(mutants.valid(made[0])):
            (Path(seeds) / str(i)).write_bytes(text)
        atheris.Setup([sys.argv[0], *arguments, seeds], one)
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true")
    said, others = parser.parse_known_args()
    if said.atheris:
        by_coverage(others)
        return
    start = time.perf_counter()
    results = fuzz(said.count, said.seed)
    seconds = time.perf_counter() - start
    print(f"{sum(results.values()):,} payloads in {seconds:.0f} s, one error and no other:")
    for name, count in results.most_common():
        print(f"  {count:>9,} {name}")


if __name__ == "__main__":
    main()
