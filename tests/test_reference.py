"""The reference has a page for each public module; the build of the site checks the names on it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import airlock
import airlock.integrations

DOCS = Path(__file__).parents[1] / "docs"
MODULE = re.compile(r"^\.\. (?:auto)?module:: (\S+)$", re.MULTILINE)
# A command line, whose page is reference/cli.md.
NOT_IMPORTED = {"airlock.cli"}


def documented() -> set[str]:
    pages = (DOCS / "reference/api").glob("*.md")
    return {name for page in pages for name in MODULE.findall(page.read_text("utf-8"))}


def test_each_public_package_and_each_integration_has_its_page() -> None:
    packages = [
        found.name
        for found in pkgutil.iter_modules(airlock.__path__, "airlock.")
        if found.ispkg and hasattr(importlib.import_module(found.name), "__all__")
    ]
    integrations = [
        found.name
        for found in pkgutil.iter_modules(airlock.integrations.__path__, "airlock.integrations.")
    ]
    assert {"airlock", "airlock.errors", *packages, *integrations} - documented() == NOT_IMPORTED
