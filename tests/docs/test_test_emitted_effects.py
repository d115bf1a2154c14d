"""docs/how-to/test-emitted-effects.md, followed with unittest; its own blocks run it with pytest."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reader import Reader


def test_the_test_case_of_the_page_under_unittest(tmp_path: Path) -> None:
    reader = Reader("how-to/test-emitted-effects.md", tmp_path)
    reader.save("shop.py", "test_shop.py")
    reader.types("python -W error -m unittest test_shop.TestShop")
