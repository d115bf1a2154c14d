"""What ``import airlock`` costs, and what it loads, and what the plugin costs at pytest's start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.clock import BrokenError
from benchmarks.measure import Sample
from benchmarks.peer import PYTHON, Peer

AIRLOCK = "import airlock"
BASE = "import attrs; from dependency_injector import containers, providers"
TIMED = """
import json, sys, time
before = set(sys.modules)
start = time.perf_counter()
{statement}
spent = time.perf_counter() - start
tops = {{name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, '__spec__', None)}}
tops -= before | sys.stdlib_module_names
print(json.dumps({{"seconds": spent, "loaded": sorted(tops), "cattrs": "cattrs" in sys.modules}}))
"""


def importing(statement: str) -> Sample:
    """Milliseconds that the import statement takes, interpreter start-up not included."""
    return Sample(_run(sys.executable, statement)["seconds"] * 1e3)


def importing_peer(peer: Peer) -> Sample:
    """The same, of airlock-py, which has no dependencies."""
    peer.start()
    return Sample(_run(str(PYTHON), AIRLOCK, "-I")["seconds"] * 1e3)


def loading() -> Sample:
    """How many packages ``import airlock`` loads that its two dependencies do not load themselves."""
    ours, base = _run(sys.executable, AIRLOCK), _run(sys.executable, BASE)
    if "airlock" not in ours["loaded"]:
        raise BrokenError("airlock was not loaded")
    more = sorted({*ours["loaded"]} - {*base["loaded"]} - {"airlock"})
    note = "it loads " + ", ".join(ours["loaded"])
    return Sample(float(len(more)), note=f"{note}; more than they do: {', '.join(more) or 'none'}")


def starting(*options: str) -> Sample:
    """Return the milliseconds that pytest takes in a folder without tests, without other plugins."""
    env = {**_environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", *options]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False)
        spent = time.perf_counter() - start
    if done.returncode != 5:  # no tests
        raise BrokenError(done.stderr.decode())
    return Sample(spent * 1e3)


def _environment() -> dict[str, str]:
    # Users have compiled bytecode; an environment that forbids it would time the compiler.
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _run(python: str, statement: str, *flags: str) -> dict[str, Any]:
    command = [python, *flags, "-c", TIMED.format(statement=statement)]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokenError(done.stderr.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
