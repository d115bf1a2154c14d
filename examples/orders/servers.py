"""Two real servers on free loopback ports, which remember what they accepted."""

import json
import socket
from collections import Counter
from email import message_from_bytes
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from examples.orders.tally import Email, Notice

LOOPBACK = "127.0.0.1"


class MailServer:
    """SMTP, by aiosmtpd."""

    def __init__(self) -> None:
        self._controller = Controller(
            self, hostname=LOOPBACK, port=free_port(), server_hostname="mail.example"
        )
        self.host, self.port = LOOPBACK, self._controller.port
        self.to_lose = 0
        self.forget()

    def forget(self) -> None:
        self.emails = Counter[Email]()
        self.connections = 0

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._controller.stop()

    # -- hooks, which aiosmtpd calls by these names -----------------------------------------------

    async def handle_EHLO(  # noqa: N802  # the name is aiosmtpd's
        self, _: SMTP, session: Session, __: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_DATA(  # noqa: N802  # the name is aiosmtpd's
        self, _: SMTP, __: Session, envelope: Envelope
    ) -> str:
        if self.to_lose:
            self.to_lose -= 1
        else:
            content = envelope.content or b""
            message = message_from_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
            self.emails.update((int(message["X-Order"]), to) for to in envelope.rcpt_tos)
        return "250 Message accepted for delivery"


class WarehouseServer:
    """HTTP, by the standard library: the warehouse's, and the customer register's."""

    def __init__(self) -> None:
        self._http = ThreadingHTTPServer((LOOPBACK, 0), lambda *args: Requests(self, *args))
        self._lock = Lock()
        self.url = f"http://{LOOPBACK}:{self._http.server_port}"
        self.down_for = frozenset[int]()  # stores whose orders are answered with 503
        self.forget()

    def forget(self) -> None:
        self.notices = Counter[Notice]()
        self.shelf_checks = Counter[int]()
        self.lookups = Counter[int]()
        self.calls = Counter[str]()
        self.refused = Counter[str]()  # idempotency keys
        self.accepted = Counter[str]()

    def __enter__(self) -> Self:
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    # -- routes -----------------------------------------------------------------------------------

    def post(self, path: str, rows: list[Any], key: str) -> HTTPStatus:
        with self._lock:
            self.calls[f"POST {path}"] += 1
            if path == "/orders":
                if any(row["store_id"] in self.down_for for row in rows):
                    self.refused[key] += 1
                    return HTTPStatus.SERVICE_UNAVAILABLE
                self.accepted[key] += 1
                self.notices.update((r["order_id"], r["store_id"], r["items"]) for r in rows)
            else:
                self.shelf_checks.update(rows)
        return HTTPStatus.ACCEPTED

    def customer(self, customer_id: int) -> dict[str, str]:
        with self._lock:
            self.calls["GET /customers"] += 1
            self.lookups[customer_id] += 1
        return {"segment": ("family", "couple", "single")[customer_id % 3]}


class Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept open
    disable_nagle_algorithm = True  # otherwise each answer waits for the client's acknowledgement

    def __init__(self, warehouse: WarehouseServer, *args: Any) -> None:
        self.warehouse = warehouse
        super().__init__(*args)

    def do_POST(self) -> None:  # the name is http.server's
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Idempotency-Key", "")
        self._answer(self.warehouse.post(self.path, rows, key), {})

    def do_GET(self) -> None:  # the name is http.server's
        customer_id = int(self.path.rpartition("/")[2])
        self._answer(HTTPStatus.OK, self.warehouse.customer(customer_id))

    def _answer(self, status: HTTPStatus, document: dict[str, str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        """Not on the demo's screen."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
