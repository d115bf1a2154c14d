"""docs/how-to/lay-out-a-project.md, followed."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.reader import Reader


def test_it_runs_and_its_tests_pass(tmp_path: Path) -> None:
    reader = Reader("how-to/lay-out-a-project.md", tmp_path)
    reader.save()
    reader.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # quicker; a reader has airlock's only
    reader.environ["PYTEST_ADDOPTS"] = "-p airlock -p no:cacheprovider"
    runs, tests = reader.consoles()
    assert reader.plays(runs) == runs
    assert _without_time(reader.plays(tests)) == _without_time(tests)


def test_the_domain_imports_no_handler(tmp_path: Path) -> None:
    reader = Reader("how-to/lay-out-a-project.md", tmp_path)
    reader.save()
    code = "import sys, shop.orders; print(sorted(m for m in sys.modules if m.startswith('shop')))"
    assert reader.types(f'python -c "{code}"') == "['shop', 'shop.intents', 'shop.orders']\n"


def _without_time(text: str) -> str:
    return re.sub(r" in [\d.]+s", "", text)
