"""Pages that a reader types along in one file: it runs, and prints what the page shows.

Nothing of the test run is there, and no block that the page does not show.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conftest import normal
from tests.docs.reader import Reader

TEXT = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"<!--.*?-->", re.DOTALL)


@pytest.mark.parametrize(
    "page",
    ["celery", "dramatiq", "huey", "review-a-migration", "sqlalchemy", "wire-with-a-container"],
)
def test_typed_along(page: str, tmp_path: Path) -> None:
    reader = Reader(f"how-to/{page}.md", tmp_path)
    reader.save_program("shop.py")
    module = f"docs.how_to.{page.replace('-', '_')}."
    printed = reader.types("python shop.py").replace("__main__.", module)
    shown = "".join(TEXT.findall(HIDDEN.sub("", reader.text)))
    assert normal(printed) == normal(shown)
