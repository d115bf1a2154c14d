"""The pages about the plugin are true: what they say is found is found, and nothing else."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.migration.flake8.known import Names
from airlock.migration.flake8.options import NAME
from airlock.migration.flake8.plugin import MESSAGES
from airlock.migration.flake8.rules import found
from tests.cli.transcripts import played
from tests.migration.flake8.projects import LOCAL

DOCS = Path(__file__).parents[3] / "docs"
HOW_TO = DOCS / "how-to" / "find-effects-that-bypass.md"
PAGES = sorted((DOCS / "reference" / "lint").glob("ALK*.md"))
SOURCE = re.compile(r"^```(?:py|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"^airlock-names =\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PART = re.compile(r"^```(console|py|ini)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_code_has_a_page() -> None:
    assert [page.stem for page in PAGES] == ["ALK100", *MESSAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_all_that_one_wants_to_know(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem}: ")
    for heading in ("## Why it matters", "## How to allow it"):
        assert heading in text


def named(text: str) -> Names:
    setting = SETTING.search(text)
    names = re.split(r"[\s,]+", setting[1].strip()) if setting else []
    assert all(NAME.fullmatch(name) for name in names)
    return Names.parsed(names)


def marked(source: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.splitlines(), start=1):
        _, _, comment = line.partition("  # ")
        if not comment.startswith("noqa"):
            yield from ((number, code) for code in re.findall(r"ALK\d{3}", comment))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_have_the_findings_that_their_comments_say(page: Path) -> None:
    text = page.read_text("utf-8")
    for source in SOURCE.findall(text):
        findings, _ = found(ast.parse(source), "shop/page.py", named(text))
        lines = source.splitlines()
        told = [(f.line, f.code) for f in findings if "# noqa" not in lines[f.line - 1]]
        assert sorted(told) == sorted(marked(source)), source


def shown(text: str, folder: Path) -> str:
    """The page with what its commands print, each after the files above it."""

    def part(match: re.Match[str]) -> str:
        language, content = match.groups()
        if language == "console":
            return f"```console\n{played(content, folder)}```"
        name = content.partition("\n")[0].removeprefix("# ")
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        source = content.partition("\n")[2]
        path.write_text(source + (LOCAL if name == "setup.cfg" else ""), "utf-8")
        return match[0]

    return PART.sub(part, text)


def test_the_guide_shows_what_is_printed(tmp_path: Path) -> None:
    """Its files are written, and its commands typed, from top to bottom."""
    (tmp_path / "setup.cfg").write_text(LOCAL, "utf-8")
    text = HOW_TO.read_text("utf-8")
    found = shown(text, tmp_path)
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        HOW_TO.write_text(found, "utf-8")
    assert found == HOW_TO.read_text("utf-8")
