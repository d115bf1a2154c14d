"""The output of pytest for the test files that a page shows.

A block that begins with a comment of nothing but a name, ``# test_shop.py``, is a part of that file.
The files of a page are tested in a process of its own, with the plugin as users have it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["blocks", "failures", "files", "tested", "written"]

PART = re.compile(r"^```(?:py|ini)\n(# ([\w/]+\.\w+)\n.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
START = re.compile(r"^=+ (?:ERRORS|FAILURES) =+\n", re.MULTILINE)
HEADING = re.compile(r"^_+ (?:ERROR at \w+ of )?(\S+) _+\n", re.MULTILINE)
END = re.compile(r"^(?:=+ \D+ =+|-+ snapshot report summary -+)$.*", re.MULTILINE | re.DOTALL)
# Only what a page names is loaded, as that is quicker.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p airlock -W error -q"}


def files(page: str) -> dict[str, str]:
    """Return the files that a page shows, by name: the parts of each, one below the other."""
    found: dict[str, str] = {}
    for text, name in PART.findall(Path(page).read_text("utf-8")):
        found[name] = f"{found[name]}\n\n{text}" if name in found else text
    return found


def blocks(page: str) -> list[str]:
    """Return the ``python`` blocks of a page, which run as one module."""
    return BLOCK.findall(Path(page).read_text("utf-8"))


def failures(shown: Mapping[str, str], *options: str) -> dict[str, str]:
    """As ``tested``, of files by name."""
    with TemporaryDirectory() as folder:
        return tested(written(shown, folder), *options)


def written(shown: Mapping[str, str], folder: str) -> str:
    """Write files into a folder."""
    for name, text in shown.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def tested(folder: str, *options: str) -> dict[str, str]:
    """Return the output of pytest for each test that fails, or whose set-up does, by its name.

    Args:
        folder: of the tests.
        *options: for pytest.

    Raises:
        RuntimeError: pytest did not get as far as to run the tests.
    """
    ran = subprocess.run(  # noqa: S603 - our own pages
        [sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env=os.environ | ALONE,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode not in (0, 1):
        raise RuntimeError(ran.stdout + ran.stderr)
    _, *parts = START.split(ran.stdout)
    _, *sections = HEADING.split("".join(END.sub("", part) for part in parts))
    return {test: _told(text) for test, text in zip(sections[::2], sections[1::2], strict=True)}


def _told(section: str) -> str:
    """Return the lines that failed and pytest's explanation, without the code around them."""
    lines = section.splitlines()
    return "\n".join(line for line in lines if line.startswith((">", "E "))) or section.strip()
