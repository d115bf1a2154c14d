"""``python -m examples.orders``: play every scene, then compare what was promised and received.

The exit code is 1 if anything that was promised was not received, or anything else was.
"""

import argparse
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from time import perf_counter

from examples.orders import shop
from examples.orders.scenes import SCENES
from examples.orders.scenes.problem import SCENE as PROBLEM
from examples.orders.screen import Screen
from examples.orders.tally import NAMES, Tally

Result = tuple[str, Tally, Tally]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parsed(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal or file that knows ASCII only
    screen = Screen()
    began = perf_counter()
    with shop.opened(options.orders) as the_shop:
        screen.say(
            "A shop with two real servers: SMTP on "
            f"{the_shop.mail.host}:{the_shop.mail.port}, {the_shop.warehouse.url} for HTTP."
        )
        PROBLEM.perform(the_shop, screen)
        the_shop.mail.to_lose = 1 if options.lose_one_email else 0
        results = [(scene.title, *scene.perform(the_shop, screen)) for scene in SCENES]
    return verdict(screen, results, perf_counter() - began)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.orders", description=__doc__)
    parser.add_argument(
        "--orders",
        type=size,
        default=300,
        metavar="N",
        help="orders in each section, 10 to 400; the bulk run has ten times as many (default: 300)",
    )
    parser.add_argument(
        "--lose-one-email",
        action="store_true",
        help="let the SMTP server accept one e-mail and lose it; the exit code is 1 then",
    )
    return parser.parse_args(arguments)


def size(text: str) -> int:
    number = int(text)
    if not 10 <= number <= 400:
        raise argparse.ArgumentTypeError(f"{number} is not between 10 and 400")
    return number


def verdict(screen: Screen, results: Sequence[Result], seconds: float) -> int:
    """Print the last table. The exit code."""
    screen.heading(
        "Promised / received",
        "What the orders and policies promised, and what both servers accepted, id by id. (Without "
        "section 0: nothing was promised there, which is the problem.)",
    )
    rows: list[list[str]] = []
    differences: list[str] = []
    for title, promised, received in results:
        found = promised.differences(received)
        section = title.partition(":")[0]
        differences += [f"{section}: {each}" for each in found]
        rows.append([section, *pairs(promised, received), "NO" if found else "yes"])
    head = ["promised/received", *NAMES.values(), "equal"]
    screen.table(head, rows)
    if differences:
        listed = "\n".join(f"  {difference}" for difference in differences[:20])
        screen.say(f"What was received is not what was promised:\n{listed}", "bold red")
        return 1
    screen.say(
        f"Everything promised was received, once, and nothing else was. ({seconds:.0f} seconds)",
        "bold green",
    )
    return 0


def pairs(promised: Tally, received: Tally) -> list[str]:
    return [
        f"{p:,}/{r:,}" if p or r else "-"
        for p, r in zip(promised.totals(), received.totals(), strict=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
