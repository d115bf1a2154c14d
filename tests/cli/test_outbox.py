"""The commands for an outbox: what the page shows, on a terminal, and on PostgreSQL.

The other texts are transcripts, in ``test_commands.py``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import CONSOLE, typed
from tests.cli.transcripts import copied, played

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "find-and-run-a-failed-effect.md"


def test_what_the_page_shows_is_true(tmp_path: Path) -> None:
    """Its blocks are typed one after the other, in one folder."""
    folder = copied(tmp_path)
    text = PAGE.read_text("utf-8")
    found = CONSOLE.sub(lambda block: played(block[0], folder), text)
    if os.environ.get("AIRLOCK_WRITE_GOLDEN"):
        PAGE.write_text(found, "utf-8")
    assert found == PAGE.read_text("utf-8")
