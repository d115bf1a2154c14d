"""docs/how-to/sentry-structlog-prometheus.md, followed: the events arrive at a server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.docs.reader import Reader

PAGE = "how-to/sentry-structlog-prometheus.md"


@contextmanager
def sentry() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the DSN of a server that takes Sentry's envelopes, and the events it has got."""
    events: list[dict[str, Any]] = []

    class Ingest(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            _, *items = body.splitlines()
            for header, payload in zip(items[::2], items[1::2], strict=False):
                if json.loads(header)["type"] == "event":
                    events.append(json.loads(payload))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = HTTPServer(("127.0.0.1", 0), Ingest)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://key@127.0.0.1:{server.server_port}/1", events
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_one_event_for_each_failed_effect(tmp_path: Path) -> None:
    reader = Reader(PAGE, tmp_path)
    reader.save()
    with sentry() as (dsn, events):
        reader.environ["SENTRY_DSN"] = dsn
        reader.types("python shop.py")
    (event,) = events
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == (
        "ConnectionError",
        "the payment service does not answer",
    )
    assert event["tags"]["effect.kind"] == "shop.charge-card"
    assert event["contexts"]["effect"]["intent"] == "ChargeCard(order_id=42, card=<hidden>)"
    assert "4111" not in json.dumps(event)


def test_without_the_observer_the_flush_is_one_event(tmp_path: Path) -> None:
    """Nothing has to be set up for it."""
    reader = Reader(PAGE, tmp_path)
    shown = reader.save()
    reader.write("sentry.py", shown["sentry.py"].replace('ignore_logger("airlock")', ""))
    reader.write("shop.py", shown["shop.py"].replace("observers=[FailedEffects()]", ""))
    with sentry() as (dsn, events):
        reader.environ["SENTRY_DSN"] = dsn
        reader.types("python shop.py")
    (event,) = events
    assert event["logger"] == "airlock"
    assert "POST /orders" in json.dumps(event["logentry"])
    assert {"FlushError", "ConnectionError"} <= {e["type"] for e in event["exception"]["values"]}
    assert "4111" not in json.dumps(event)
