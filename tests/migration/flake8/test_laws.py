"""What holds for any project: entries survive edits elsewhere, and what is written is read."""

from __future__ import annotations

import ast
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock.migration.flake8 import Plugin
from airlock.migration.flake8.baseline import CODES, Baseline, Entry
from airlock.migration.flake8.known import Names
from airlock.migration.flake8.options import Settings
from airlock.migration.flake8.rules import found
from tests.migration.flake8.projects import SOURCES

MODULES = {
    path.relative_to(SOURCES).with_suffix("").as_posix(): path.read_text("utf-8")
    for path in sorted(SOURCES.rglob("*.py.txt"))
    if path.stat().st_size
}
ADDITIONS = ("", "\n", "# a comment", "def unrelated_{0}(a, b=1):\n    return a.sort(key=b)\n")


def entries(source: str, path: str = "shop/module.py") -> Counter[Entry]:
    findings, _ = found(ast.parse(source), path, Names())
    return Counter(finding.entry for finding in findings)


def told(source: str, path: str, known: Counter[Entry]) -> list[str]:
    """What the plugin says, given what is known."""
    baseline = Baseline(Path.cwd() / "baseline.txt")
    baseline.entries[path] = known

    class Checked(Plugin):
        settings = Settings(baseline=baseline)

    return [text for _, _, text, _ in Checked(ast.parse(source), path).run()]


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str, str]:
    """A module of the project, and the same with unrelated lines in it."""
    path = draw(st.sampled_from(sorted(MODULES)))
    source = MODULES[path]
    lines = source.splitlines()
    tops = {
        min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        for node in ast.parse(source).body
        if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
    }
    after: list[str] = []
    for number, line in enumerate(lines, start=1):
        if draw(st.integers(0, 4)) == 0:
            choice = draw(st.sampled_from(ADDITIONS if number in tops else ADDITIONS[:2]))
            after.append(choice.format(number))
        after.append(line)
    return path, source, "\n".join(after) + "\n"


@given(edited())
@settings(max_examples=150, deadline=None)
def test_unrelated_lines_change_nothing_that_the_baseline_says(case: tuple[str, str, str]) -> None:
    """Neither blank lines and comments, nor functions, added or removed."""
    path, before, after = case
    assert told(after, path, entries(before, path)) == []
    assert told(before, path, entries(after, path)) == []


@given(edited(), st.data())
@settings(max_examples=100, deadline=None)
def test_one_less_or_more_is_told(case: tuple[str, str, str], data: st.DataObject) -> None:
    """Whatever else was edited."""
    path, before, after = case
    known = entries(before, path)
    if known:
        entry = data.draw(st.sampled_from(sorted(known)))
        (new,) = told(after, path, known - Counter([entry]))
        assert new.startswith(f"{entry[1]} {entry[2]}")
        (gone,) = told(after, path, known + Counter([entry]))
        assert gone.startswith(f"ALK100 {entry[2]} ({entry[1]}) in {entry[0]} is in the baseline")


paths = st.from_regex(r"(\.\./)?[\w-][\w .-]*(/[\w][\w .:-]*)*\.py", fullmatch=True).filter(
    lambda path: not re.search(r"[^\S ]|[\x1c-\x1e\x85\u2028\u2029]", path)
)
words = st.from_regex(r"[a-z<>_.()'\[\]]+", fullmatch=True)


@given(
    st.dictionaries(
        paths,
        st.dictionaries(
            st.tuples(words, st.sampled_from(CODES), words), st.integers(1, 9), min_size=1
        ),
        max_size=5,
    )
)
@settings(max_examples=100, deadline=None)
def test_what_is_written_is_read(known: dict[str, dict[Entry, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        baseline = Baseline(Path(folder, "baseline.txt"))
        baseline.entries = {path: Counter(entries) for path, entries in known.items()}
        baseline.write()
        assert Baseline.read(baseline.path).entries == baseline.entries
        assert [path.name for path in Path(folder).iterdir()] == ["baseline.txt"]


def test_the_layout_and_the_arguments_of_a_call_do_not_matter() -> None:
    """What a formatter does must not be news."""
    short = "from tasks import a\n\ndef f():\n    a.s(1).set(queue='x').delay()\n"
    long = (
        "from tasks import a\n\ndef f():\n    (\n        a\n        .s(2, 3)\n"
        "        .set(\n            queue='y',\n        )\n        .delay()\n    )\n"
    )
    assert entries(short) == entries(long) == {("f", "ALK101", "a.s(...).set(...).delay()"): 1}


@pytest.mark.parametrize(
    "source",
    [
        "q = f()\n" + "q = q.filter(q).exclude(q)\n" * 500 + "q.delay()\n",
        "def f(self):\n" + "    self.x = self.x.y(self.x.z)\n" * 300,
        "class A(A, A):\n    def f(self):\n        self.g()\n",
        "x" + ".y().z" * 400 + ".delay()\n",
        "x = " + " | ".join(["y.s()"] * 900) + "\n(x)()\n",
        "".join(f"class C{n}(C{n - 1}, C{n + 1}): pass\n" for n in range(200)) + "C5().send()\n",
    ],
    ids=["assigned again", "members", "own base", "long chain", "long sum", "bases in a circle"],
)
def test_code_that_goes_round_in_circles_takes_no_time(source: str) -> None:
    tree = ast.parse(source)
    begun = time.process_time()
    found(tree, "module.py", Names())
    assert time.process_time() - begun < 2


def test_it_costs_a_few_times_what_a_bare_walk_does() -> None:
    """One walk; the rest is about calls only."""
    tree = ast.parse(Path(ast.__file__).read_text("utf-8"))

    def spent(*what: object) -> float:
        begun = time.process_time()
        if what:
            found(tree, "ast.py", Names())
        else:
            list(ast.walk(tree))
        return time.process_time() - begun

    bare = min(spent() for _ in range(5))
    assert min(spent("all") for _ in range(5)) < 8 * bare
