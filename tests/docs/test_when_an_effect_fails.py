"""docs/how-to/when-an-effect-fails.md, followed: parked on Saturday, delivered on Monday."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reader import Reader


def test_what_failed_on_saturday_is_delivered_on_monday(tmp_path: Path) -> None:
    reader = Reader("how-to/when-an-effect-fails.md", tmp_path)
    reader.save()
    saturday, monday = reader.consoles()
    reader.plays(saturday)
    found, *rest = (line.removeprefix("$ ") for line in monday.splitlines())
    listed = reader.types(found)
    assert listed.count("SendReceipt(") == 2
    assert "the mail server is down" in listed
    delivered = [reader.types(command) for command in rest][-1]
    for order_id in (42, 43):
        assert delivered.count(f"receipt for order {order_id}\n") == 1
    assert "SendReceipt(" not in reader.types(found)
