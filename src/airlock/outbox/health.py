"""``--health FILE|PORT``: a file that a relay writes each round, or an endpoint on localhost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import Any

from airlock.errors import SettingError

__all__ = ["Health"]


class Health:
    """The health of a relay: whether it has reached its database lately.

    Args:
        target: the path of a file that is written each round, so that its age is the relay's; or
            the number of a port, on which 127.0.0.1 answers 200 or 503 with JSON.
        patience: seconds after the last round that reached the database, until it is unhealthy.

    Raises:
        SettingError: the port is none, or the folder of the file is missing.
    """

    def __init__(self, target: str | int | Path, patience: float) -> None:
        port = int(str(target)) if str(target).isdecimal() else None
        self._port = port
        self._path = None if port is not None else Path(str(target))
        if port is not None and not 0 <= port < 1 << 16:
            raise _wrong(f"is {target!r}", "Give a port from 0 to 65535, or the path of a file")
        if self._path is not None and not self._path.absolute().parent.is_dir():
            raise _wrong(
                f"is {str(target)!r}, and that folder does not exist",
                "Create the folder, or give another path",
            )
        self._patience = patience
        self._lock = Lock()
        self._good = monotonic()
        self._facts: dict[str, Any] = {}
        self.port: int | None = None
        """The port that answers, once it does; of use where 0 was given."""

    def beat(self, facts: Mapping[str, object], *, ok: bool) -> None:
        """Note a round.

        Args:
            facts: what to show, as JSON.
            ok: whether the database was reached.
        """
        with self._lock:
            if ok:
                self._good = monotonic()
            self._facts = {**facts, "at": datetime.now(UTC).isoformat()}
        if self._path is not None and ok:
            # Renamed into place: whoever reads it never sees half of it.
            half = self._path.with_name(f".{self._path.name}.new")
            half.write_text(json.dumps(self.state()) + "\n", "utf-8")
            half.replace(self._path)

    def state(self) -> dict[str, Any]:
        """Return what is shown: ``ok``, the age of the last good round in seconds, and the facts."""
        with self._lock:
            age = monotonic() - self._good
            return {"ok": age <= self._patience, "age": round(age, 3), **self._facts}

    @contextmanager
    def served(self) -> Iterator[None]:
        """Answer on the port meanwhile; with a file, remove that at the end."""
        if self._path is not None:
            try:
                yield
            finally:
                self._path.unlink(missing_ok=True)
            return
        health = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                state = health.state()
                body = json.dumps(state).encode() + b"\n"
                self.send_response(200 if state["ok"] else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named as it is there
                """Log nothing: probes come every few seconds."""

        with ThreadingHTTPServer(("127.0.0.1", self._port or 0), Answer) as server:
            server.daemon_threads = True
            self.port = server.server_port
            thread = Thread(target=server.serve_forever, name="airlock-health", daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


def _wrong(problem: str, hint: str) -> SettingError:
    return SettingError("Relay", "health", problem, hint)
