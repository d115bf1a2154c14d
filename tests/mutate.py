"""Mutation testing by sample: change the core in one place at a time, and see a test fail.

Works on a copy. Prints what survived, with its place, and how many were killed:

    python tests/mutate.py --seconds 600 --seed 7

(mutmut and its like call each function through one of their own, which the messages that name the
caller's place would see.)
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORE = (
    "boundary/boundary",
    "flushing/engine",
    "flushing/execution",
    "flushing/flush",
    "flushing/gather",
    "flushing/resolution",
    "scopes/blocks",
    "scopes/current",
    "scopes/enclose",
    "scopes/ending",
    "scopes/opening",
    "scopes/scope",
)
TESTS = (
    "tests/boundary",
    "tests/effects",
    "tests/integrations",
    "tests/isolation",
    "tests/properties/test_stacking.py",
    "tests/properties/test_batches.py",
)
OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}


def mutant(node: ast.AST) -> tuple[ast.expr | ast.stmt, str] | None:  # noqa: PLR0911 - a table
    """What to replace, and with which text; None where nothing is changed."""
    if isinstance(node, ast.If):
        return node.test, f"(not ({ast.unparse(node.test)}))"
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return node, "pass"
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
        return node, "pass"
    if isinstance(node, ast.Return) and node.value is not None:
        return node, "return None"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node, f"({ast.unparse(node.operand)})"
    changed = copy.deepcopy(node)
    if isinstance(changed, ast.Compare) and type(changed.ops[0]) in OPPOSITE:
        changed.ops[0] = OPPOSITE[type(changed.ops[0])]()
    elif isinstance(changed, ast.BoolOp):
        changed.op = ast.Or() if isinstance(changed.op, ast.And) else ast.And()
    elif isinstance(changed, ast.BinOp) and isinstance(changed.op, ast.Add | ast.Sub):
        changed.op = ast.Sub() if isinstance(changed.op, ast.Add) else ast.Add()
    elif isinstance(changed, ast.Constant) and type(changed.value) in (int, bool):
        changed.value = not changed.value if isinstance(changed.value, bool) else 2
    else:
        return None
    return changed, f"({ast.unparse(changed)})"


def mutants(source: str) -> Iterator[tuple[int, str]]:
    """Every line that can be changed, with the changed source."""
    raw = source.encode()
    starts = [0]
    for line in raw.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    for node in ast.walk(ast.parse(source)):
        found = mutant(node)
        if found is None:
            continue
        at, text = found
        begin = starts[at.lineno - 1] + at.col_offset
        end = starts[(at.end_lineno or at.lineno) - 1] + (at.end_col_offset or 0)
        changed = (raw[:begin] + text.encode() + raw[end:]).decode()
        try:
            compile(changed, "mutant", "exec")
        except SyntaxError:
            continue
        yield at.lineno, changed


def killed(copied: Path) -> bool:
    """Whether a test of the copy fails, or hangs."""
    command = [sys.executable, "-m", "pytest", *TESTS, "-x", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(copied / "src")}
    try:
        run = subprocess.run(
            command, cwd=copied, env=environment, capture_output=True, timeout=180, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return run.returncode != 0


def main() -> int:
    options = argparse.ArgumentParser(description="Mutation testing by sample.")
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "airlock"
        ignored = shutil.ignore_patterns(".*", "data", "__pycache__")
        shutil.copytree(ROOT, copied, ignore=ignored)
        package = copied / "src" / "airlock"
        files = [*package.glob("effects/*.py"), *(package / f"{name}.py" for name in CORE)]
        sample = [(f, *m) for f in sorted(files) for m in mutants(f.read_text("utf-8"))]
        print(f"{len(sample)} mutants; a sample of them for {asked.seconds:.0f} s")
        if killed(copied):
            print("the tests fail without any mutation")
            return 2
        random.Random(asked.seed).shuffle(sample)
        deadline, counts = time.monotonic() + asked.seconds, [0, 0]
        for file, line, changed in sample:
            if time.monotonic() > deadline:
                break
            before = file.read_text("utf-8")
            file.write_text(changed, "utf-8")
            dead = killed(copied)
            file.write_text(before, "utf-8")
            counts[dead] += 1
            if not dead:
                written = before.split("\n")[line - 1].strip()
                print(f"survived: {file.relative_to(copied)}:{line}: {written}", flush=True)
    print(f"{counts[True]} killed, {counts[False]} survived")
    return 0


if __name__ == "__main__":
    sys.exit(main())
