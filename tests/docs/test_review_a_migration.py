"""docs/how-to/review-a-migration.md, followed: its script under ``airlock run``."""

from __future__ import annotations

import re
from pathlib import Path

from docs.shown import blocks
from tests.docs.reader import Reader

SCRIPT = """
import sys

from shop import boundary, migrate

assert sys.argv == ["migrate.py", "--all"]
with boundary.scope():
    migrate()
"""
TYPED = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_a_script_needs_no_change(tmp_path: Path) -> None:
    reader = Reader("how-to/review-a-migration.md", tmp_path)
    reader.write("shop.py", blocks(str(reader.path))[0])
    reader.write("migrate.py", SCRIPT)
    (typed,) = TYPED.findall(reader.text)
    run, show = (line.removeprefix("$ ") for line in typed.splitlines())
    held = reader.types(run)
    assert "4 effects: 2 shop.update-index, 2 shop.send-email" in held
    assert "mail ada" not in held
    assert "1  SendEmail(to='ada@example.org')  shop.py:" in reader.types(show)
