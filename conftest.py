"""Documentation as tests: the README, the pages under docs, the examples in docstrings.

The ``python`` blocks of a page run in order, in a module of the page's own. What a block prints must
be shown, in a ``text`` block after it: unclaimed output fails, and so does other output. Of a place
in the source (``shop.py:12``) and of a digest only the form counts, and lines may be wrapped. Functions named
``test_...`` that take no arguments are called, as pytest would. To accept what is printed now, run the
page with ``AIRLOCK_WRITE_GOLDEN=1`` and read the difference: so messages of errors are written once.
"""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import inspect
import io
import os
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
from stamina.instrumentation import set_on_retry_hooks
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser
from sybil.parsers.rest import DocTestParser

import airlock
from airlock.effects import registry
from airlock.errors import NoScopeError

pytest_plugins = ["airlock_plugins.pytest", "pytester"]

# Tests start pytest in processes of their own, which are not this run's workers.
for _name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
    del os.environ[_name]

# stamina would log each retry with structlog, which is here for its contexts, on standard output.
set_on_retry_hooks([])

ROOT = Path(__file__).parent
PLACE = re.compile(r"(?:(?<![\w.])/[^\n:]*|[\w./-]+)\.(?:md|py):\d+")
WIDTH = 100
DIGEST = re.compile(r"sha256:[0-9a-f]+")


class Page(Document):
    """A page whose blocks run as one module, so that its intents have kinds of their own."""

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text, path)
        parts = Path(path).relative_to(ROOT).with_suffix("").parts
        module = ModuleType(".".join(part.lower().replace("-", "_") for part in parts))
        module.__file__ = path
        self.namespace = vars(module)
        self.namespace["__printed__"] = ""
        sys.modules[module.__name__] = module


def run(example: Example) -> None:
    """Run a ``python`` block, then the tests it defines."""
    space = example.namespace
    _nothing_unclaimed(space)
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    before = dict(space)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, example.path, "exec", dont_inherit=True), space)  # noqa: S102 - our own pages
        for name, test in tuple(space.items()):
            if name.startswith("test_") and test is not before.get(name):
                _call(test)
    space["__printed__"] = printed.getvalue()


def _call(test: Any) -> None:
    if not inspect.signature(test).parameters:
        result = test()
        if inspect.iscoroutine(result):
            asyncio.run(result)


def show(example: Example) -> str | None:
    """Compare a ``text`` block with what the block before it printed."""
    printed = example.namespace["__printed__"]
    example.namespace["__printed__"] = ""
    if normal(printed) == normal(example.parsed):
        return None
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        _write(Path(example.path), example.parsed, printed)
        return None
    return f"the page shows:\n{example.parsed}\nbut this was printed:\n{printed}"


def _write(page: Path, shown: str, printed: str) -> None:
    """Put what was printed on the page in place of what it shows, wrapped if that is."""
    own = printed.replace(str(page), "shop.py").replace(str(page.relative_to(ROOT)), "shop.py")
    lines = own.splitlines()
    if max(map(len, lines), default=0) > WIDTH:
        lines = [
            part
            for line in lines
            for part in textwrap.wrap(line, WIDTH, break_on_hyphens=False) or [""]
        ]
    text, begin = page.read_text("utf-8"), "```text\n"
    made = "\n".join(lines)
    page.write_text(text.replace(f"{begin}{shown}```", f"{begin}{made}\n```", 1), "utf-8")


def normal(text: str) -> str:
    """Without what may differ."""
    return " ".join(DIGEST.sub("<digest>", PLACE.sub("<place>", text)).split())


def _nothing_unclaimed(space: dict[str, Any]) -> None:
    if printed := space["__printed__"]:
        raise AssertionError(f"printed, but not shown on the page:\n{printed}")


def _begin(space: dict[str, Any]) -> None:
    """Give the page the kinds for itself: others use the same ones in their examples."""
    space["__others__"] = dict(registry.KINDS)
    registry.KINDS.clear()


def _restore(space: dict[str, Any]) -> None:
    registry.KINDS.clear()
    registry.KINDS.update(space.pop("__others__"))


def _end(space: dict[str, Any]) -> None:
    _restore(space)
    del sys.modules[space["__name__"]]
    _nothing_unclaimed(space)
    with contextlib.suppress(NoScopeError):
        raise AssertionError(f"the page left {airlock.current()!r} open")


def _docstring_names(space: dict[str, Any]) -> None:
    """Add the names that the examples in docstrings take for granted."""
    _begin(space)

    @airlock.intent(kind="docstrings.notify-warehouse")
    class NotifyWarehouse:
        order_id: int

    @airlock.intent(kind="docstrings.send-email")
    class SendEmail:
        to: str

    @airlock.intent(kind="docstrings.order-placed")
    class OrderPlaced:
        order_id: int

    def ignore(_: object) -> None:
        """Do nothing."""

    space.update({name: getattr(airlock, name) for name in airlock.__all__})
    intents = (NotifyWarehouse, SendEmail, OrderPlaced)
    space.update({cls.__name__: cls for cls in intents}, attrs=attrs)
    space["boundary"] = airlock.Boundary(
        {NotifyWarehouse: ignore, SendEmail: ignore, OrderPlaced: ignore}
    )


PAGES = Sybil(
    parsers=[CodeBlockParser("python", run), CodeBlockParser("text", show)],
    patterns=["README.md", "SECURITY.md", "docs/*.md", "docs/*/*.md", "docs/*/*/*.md"],
    document_types={".md": Page},
    setup=_begin,
    teardown=_end,
)
DOCSTRINGS = Sybil(
    parsers=[DocTestParser(doctest.ELLIPSIS)],
    patterns=["src/airlock/*.py", "src/airlock/*/*.py", "src/airlock/*/*/*.py"],
    setup=_docstring_names,
    teardown=_restore,
)

pytest_collect_file = (PAGES + DOCSTRINGS).pytest()
