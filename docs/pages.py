"""The Markdown pages as the site takes them: without the blocks that only the tests run.

GitHub hides those blocks too, as comments; on the site they would be in the source of each page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

COMMENT = re.compile(r"^<!-- .*?-->$", re.MULTILINE | re.DOTALL)
OUTSIDE = re.compile(r"\]\((?:\.\./)*(CHANGELOG|CONTRIBUTING|README|SECURITY)\.md")

EXAMPLE = re.compile(r"\[([^\]]+)\]\((?:\.\./)*examples/[^)]*\)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what the site changes in the text of a page."""
    app.connect("source-read", _page)
    app.connect("include-read", _included)
    return {"parallel_read_safe": True}


def _page(_app: Sphinx, _name: str, source: list[str]) -> None:
    source[0] = shown(source[0])


def _included(_app: Sphinx, _path: Path, _parent: str, source: list[str]) -> None:
    source[0] = shown(source[0])


def shown(text: str) -> str:
    """Return a page without its comments, with as many lines as before, so that warnings name the right one.

    README.md and its like are outside of this folder; the site has them as readme.md and so on. The
    examples are in the repository only, so that their names are no links.
    """
    text = COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    text = EXAMPLE.sub(r"\1", text)
    return OUTSIDE.sub(lambda link: f"](/{link[1].lower()}.md", text)
