"""docs/how-to/commands.md, followed: its command in a file, and the plan that it writes."""

from __future__ import annotations

from pathlib import Path

from docs.shown import blocks
from tests.docs.reader import Reader


def test_the_plan_of_the_command_is_applied(tmp_path: Path) -> None:
    reader = Reader("how-to/commands.md", tmp_path)
    command, *_ = blocks(str(reader.path))
    reader.write("remind.py", f'{command}\n\nif __name__ == "__main__":\n    remind_all()\n')
    (transcript,) = reader.consoles()
    assert reader.plays(transcript) == transcript
    assert "'later' is no mode" in reader.types("python remind.py --effects=later", fails=True)
