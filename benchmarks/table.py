"""What was measured, for people and for programs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from textwrap import fill, wrap
from typing import Any

from benchmarks.measure import Bar, Measured, Result, spread

HEAD = ("", "median", "quartiles", "beside", "bar", "")
WIDTHS = (25, 8, 15, 10, 8, 0)
"""All but the last, which is a word: 80 columns together."""
WIDTH = 80
LEGEND = (
    "beside: 2x, it takes twice as long as the first line of its table; /2, the first line takes "
    "twice as long as it; +2, it takes 2 more. A bar is about that, or else about the median."
)
FORMS = {
    Bar.AT_LEAST: ">= {}x",
    Bar.AT_MOST: "<= /{}",
    Bar.TIMES_FIRST: "<= {}x",
    Bar.OVER_FIRST: "<= +{}",
    Bar.VALUE: "<= {}",
}


def show(measured: Sequence[Measured], packages: Mapping[str, str]) -> None:
    """Print a table for each row, in 80 columns."""
    print(fill(", ".join(f"{k} {v}" for k, v in _versions(packages).items()), WIDTH))
    print(fill(LEGEND, WIDTH))
    for m in measured:
        print("\n" + fill(f"[{m.row.key}] {m.row.title}; {m.row.unit}", WIDTH))
        for row in [HEAD, *(_cells(m, result) for result in m.results)]:
            print(_line(row))
        for result in m.results:
            if note := _note(result):
                print(fill(note, WIDTH, initial_indent="    ", subsequent_indent="    "))
    print("\n" + summary(measured))


def summary(measured: Sequence[Measured]) -> str:
    """One line: how many bars hold."""
    verdicts = [m.verdict(result) for m in measured for result in m.results]
    counts = [(verdicts.count(word), word) for word in ("holds", "missed", "not measured")]
    return "bars: " + ", ".join(f"{n} {word}" for n, word in counts if n or word == "holds")


def _cells(measured: Measured, result: Result) -> tuple[str, ...]:
    name, bar, verdict = result.contender.name, _bar(result), measured.verdict(result)
    if result.missing or result.broken:
        return name, result.missing or result.broken, "", "", bar, verdict
    digits = measured.row.digits
    low, high = (_number(value, digits) for value in result.quartiles)
    return (
        name,
        _number(result.median, digits),
        f"{low}-{high}",
        _beside(measured, result),
        bar,
        verdict,
    )


def _note(result: Result) -> str:
    note = result.note if result.samples else ""
    return f"{result.contender.name}: {note}" if note else ""


def _bar(result: Result) -> str:
    bar = result.contender.bar
    return "" if bar is None else FORMS[bar].format(f"{result.contender.limit:,g}")


def _beside(measured: Measured, result: Result) -> str:
    ratio, difference = measured.ratio(result), measured.difference(result)
    if ratio is None or difference is None or result.contender.bar is Bar.VALUE:
        return ""
    if result.contender.bar is Bar.OVER_FIRST:
        return f"{'+' if difference >= 0 else ''}{_number(difference, measured.row.digits)}"
    number = f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"
    return f"/{number}" if result.contender.bar is Bar.AT_MOST else f"{number}x"


def _number(value: float, digits: int) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}f}"


def _line(row: Sequence[str]) -> str:
    """Return one line; more if the name, or the reason why there is no number, is long."""
    name, value, *rest, verdict = row
    if value and not rest[0]:
        return fill(f"{name}: {value}  {verdict}", WIDTH, subsequent_indent="    ")
    *above, last = wrap(name, WIDTHS[0], initial_indent="  ", subsequent_indent="    ") or [""]
    cells = [f"{cell:<{width}}" for cell, width in zip(rest, WIDTHS[2:], strict=False)]
    line = " ".join([f"{last:<{WIDTHS[0]}}", f"{value:>{WIDTHS[1]}}", "", *cells, verdict])
    return "\n".join([*above, line.rstrip()])


def _versions(packages: Mapping[str, str]) -> dict[str, str]:
    return {platform.python_implementation(): platform.python_version(), **packages}


def document(
    measured: Sequence[Measured], packages: Mapping[str, str], *, quick: bool
) -> dict[str, Any]:
    """Everything that was measured, as JSON."""
    return {
        "versions": _versions(packages),
        "platform": sys.platform,
        "quick": quick,
        "rows": [
            {
                "key": m.row.key,
                "title": m.row.title,
                "unit": m.row.unit,
                "contenders": [_object(m, result) for result in m.results],
            }
            for m in measured
        ],
    }


def _object(measured: Measured, result: Result) -> dict[str, Any]:
    contender = result.contender
    made: dict[str, Any] = {"name": contender.name}
    if contender.bar is not None:
        made["bar"] = {"kind": contender.bar.name.lower(), "limit": contender.limit}
        made["verdict"] = measured.verdict(result)
    if result.missing or result.broken:
        return {**made, "error": result.missing or result.broken}
    made |= {"median": result.median, "quartiles": result.quartiles, "values": result.values}
    made["note"] = result.note
    ratios = measured.ratios(result)
    if result.contender.bar is Bar.OVER_FIRST:
        made["difference"] = measured.difference(result)
    if ratios:
        of = "airlock/contender" if contender.bar is Bar.AT_MOST else "contender/airlock"
        made["ratio"] = {"of": of, "median": measured.ratio(result), "quartiles": spread(ratios)}
        if contender.bar is Bar.VALUE:
            del made["ratio"]
    return made
