"""What was measured, for people and for programs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import Bar, Measured, Result, spread

HEAD = ("", "median", "quartiles", "ratio", "bar", "")
TIMES = "\N{MULTIPLICATION SIGN}"
SIGNS = {Bar.AT_LEAST: "≥", Bar.AT_MOST: "≤", Bar.VALUE: "≤"}


def show(measured: Sequence[Measured], packages: Mapping[str, str], *, terminal: bool) -> None:
    """Print a table: with rich on a terminal, if there is rich."""
    print(", ".join(f"{name} {version}" for name, version in _versions(packages).items()))
    if not (terminal and _show_rich(measured)):
        _show_plain(measured)
    print(summary(measured))


def summary(measured: Sequence[Measured]) -> str:
    """One line: how many bars hold."""
    verdicts = [m.verdict(result) for m in measured for result in m.results]
    counts = [(verdicts.count(word), word) for word in ("holds", "missed", "not measured")]
    return "bars: " + ", ".join(f"{n} {word}" for n, word in counts if n or word == "holds")


def _cells(measured: Measured, result: Result) -> tuple[str, ...]:
    name = f"  {result.contender.name}"
    bar = _bar(result)
    if result.missing or result.broken:
        return name, result.missing or result.broken, "", "", bar, measured.verdict(result)
    low, high = result.quartiles
    return (
        name,
        _number(result.median, measured.row.digits),
        " to ".join(_number(value, measured.row.digits) for value in (low, high)),
        _ratio(measured, result),
        bar,
        measured.verdict(result),
    )


def _note(result: Result) -> str:
    note = result.note if result.samples else ""
    return f"{result.contender.name}: {note}" if note else ""


def _bar(result: Result) -> str:
    bar = result.contender.bar
    return "" if bar is None else f"{SIGNS[bar]} {result.contender.limit:g}"


def _ratio(measured: Measured, result: Result) -> str:
    ratios = measured.ratios(result)
    if not ratios:
        return ""
    number = _times(measured, result)
    return (
        f"airlock {number} {TIMES}"
        if result.contender.bar is Bar.AT_MOST
        else f"{number} {TIMES} airlock"
    )


def _times(measured: Measured, result: Result) -> str:
    number = measured.ratio(result) or 0.0
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def _number(value: float, digits: int) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.{digits}f}"


def _show_plain(measured: Sequence[Measured]) -> None:
    rows = [_cells(m, result) for m in measured for result in m.results]
    widths = [
        max(len(row[i]) for row in [HEAD, *rows] if i != 1 or row[2]) for i in range(len(HEAD))
    ]
    for m in measured:
        print(f"\n[{m.row.key}] {m.row.title}; {m.row.unit}")
        for row in [HEAD, *(_cells(m, result) for result in m.results)]:
            print(_line(row, widths))
        for result in m.results:
            if note := _note(result):
                print(f"    {note}")
    print()


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, value, *rest = row
    if row[1] and not row[2]:  # not a number, but why there is none
        return f"{name:<{widths[0]}}  {value}  {'  '.join(rest[2:])}".rstrip()
    cells = [f"{cell:<{width}}" for cell, width in zip(rest, widths[2:], strict=True)]
    return "  ".join([f"{name:<{widths[0]}}", f"{value:>{widths[1]}}", *cells]).rstrip()


def _show_rich(measured: Sequence[Measured]) -> bool:
    try:
        from rich import box  # noqa: PLC0415  # after the measurements, which it would weigh on
        from rich.console import Console  # noqa: PLC0415
        from rich.markup import escape  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
    except ImportError:
        return False
    colors = {"holds": "green", "missed": "red", "not measured": "yellow"}
    console = Console(highlight=False)
    for m in measured:
        title = f"[b]{escape(m.row.title)}[/b]; {m.row.unit}  [dim]--only {m.row.key}[/dim]"
        table = Table(*HEAD, box=box.SIMPLE_HEAD)
        for i, column in enumerate(table.columns):
            column.justify = "right" if i == 1 else "left"
            column.no_wrap = i != 0
        for result in m.results:
            *cells, verdict = map(escape, _cells(m, result))
            color = colors.get(verdict, "default")
            table.add_row(*cells, f"[{color}]{verdict}[/{color}]")
        console.print(title)
        console.print(table)
        for result in m.results:
            if note := _note(result):
                console.print(f"    [dim]{escape(note)}[/dim]")
    return True


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
    if ratios:
        of = "airlock/contender" if contender.bar is Bar.AT_MOST else "contender/airlock"
        made["ratio"] = {"of": of, "median": measured.ratio(result), "quartiles": spread(ratios)}
        if contender.bar is Bar.VALUE:
            del made["ratio"]
    return made
