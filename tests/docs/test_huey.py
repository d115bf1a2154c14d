"""docs/how-to/huey.md, followed: with a storage in a file, and Huey's consumer."""

from __future__ import annotations

from pathlib import Path

from docs.shown import blocks
from tests.docs.reader import Reader, until

MEMORY = "MemoryHuey()  # for this page: SqliteHuey(filename="


def test_the_consumer_of_the_page_takes_what_was_sent(tmp_path: Path) -> None:
    reader = Reader("how-to/huey.md", tmp_path)
    declares, _, emits = blocks(str(reader.path))[0].partition("with boundary.scope()")
    assert MEMORY in declares
    real = declares.replace(MEMORY, "SqliteHuey(filename=").replace('"queue.db"),', '"queue.db") #')
    reader.write("shop/__init__.py", "")
    reader.write("shop/worker.py", real.replace("import MemoryHuey", "import SqliteHuey"))
    reader.write("place.py", f"from shop.worker import *\n\nwith boundary.scope(){emits}")
    assert "1 handed over" in reader.types("python place.py")
    command = next(t for t in reader.consoles() if t.startswith("$ huey_consumer"))
    with reader.running(command.removeprefix("$ ").strip()) as output:
        until(lambda: "sending SendReceipt(order_id=42) attempt 1" in output(), output)
