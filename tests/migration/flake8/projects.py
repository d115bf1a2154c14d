"""A project to check, and flake8 as people run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import attrs

from tests.cli.transcripts import measuring

SOURCES = Path(__file__).parent / "project"
EXPECTED = re.compile(r"\bALK\d{3}\b(?:@(\d+))?")

# Where the package was installed before it had the plugin, a project can name it.
PARTS = {
    "extension": ("ALK", "airlock.migration.flake8:Plugin"),
    "report": ("airlock-baseline", "airlock.migration.flake8:BaselineFormatter"),
}
MISSING = {
    group: f"{group} =\n    {name} = {target}\n"
    for group, (name, target) in PARTS.items()
    if not any(entry.name == name for entry in entry_points(group=f"flake8.{group}"))
}
LOCAL = "\n".join(["", "[flake8:local-plugins]", *MISSING.values()])

ALONE = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error"}


@attrs.frozen
class Ran:
    """What flake8 said."""

    output: str
    code: int

    @property
    def found(self) -> list[str]:
        """Path, line and code of each finding, as in ``shop/orders.py:20 ALK101``."""
        return [
            f"{path}:{line} {code}"
            for path, line, code in re.findall(
                r"^(?:\./)?(.+?):(\d+):\d+: (\w+) ", self.output, re.MULTILINE
            )
        ]

    @property
    def codes(self) -> list[str]:
        return [finding.split()[1] for finding in self.found]


def copied(folder: Path) -> Path:
    """The project: files end in ``.txt`` here, as nothing but the tests should look at them."""
    for source in SOURCES.rglob("*.txt"):
        target = folder / source.relative_to(SOURCES).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (folder / "setup.cfg").write_text(f"[flake8]\nselect = ALK\n{LOCAL}", "utf-8")
    return folder


def flake8(folder: Path, *options: str, stdin: str | None = None) -> Ran:
    """Run flake8 in a folder."""
    ran = subprocess.run(
        [sys.executable, "-m", "flake8", *options],
        cwd=folder,
        env=os.environ | measuring() | ALONE,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return Ran(ran.stdout.replace(f"{folder}{os.sep}", ""), ran.returncode)


def expected(folder: Path) -> list[str]:
    """What the comments in the project say is to be found; ``ALK101@31`` is about another line."""
    return sorted(finding for path in folder.rglob("*.py") for finding in of_file(path, folder))


def of_file(path: Path, folder: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        _, _, comment = line.partition("#")
        comment = comment.rpartition("; ")[2]
        if comment and "noqa" not in comment:
            for match in EXPECTED.finditer(comment):
                code = match[0].partition("@")[0]
                yield f"{path.relative_to(folder).as_posix()}:{match[1] or number} {code}"


def options(folder: Path, **values: str) -> None:
    """Set options in the project's ``setup.cfg``."""
    lines = "".join(f"{name.replace('_', '-')} = {value}\n" for name, value in values.items())
    config = folder / "setup.cfg"
    text = config.read_text("utf-8")
    config.write_text(text.replace("select = ALK\n", f"select = ALK\n{lines}"), "utf-8")
