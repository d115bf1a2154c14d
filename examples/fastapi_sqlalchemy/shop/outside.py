"""The world outside of the shop: a mail server and a warehouse that write down what they get.

``python -m shop.outside SMTP_PORT HTTP_PORT``
"""

import sys
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

LOG = Path("outside.log")


def note(line: str) -> None:
    with LOG.open("a") as log:
        log.write(f"{line}\n")


class Mail:
    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        mail = message_from_bytes(envelope.content, policy=policy.default)
        note(f"mail to {mail['To']}: {mail['Subject']} (request {mail['X-Request'] or '-'})")
        return "250 OK"


class Warehouse(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        note(f"warehouse: {body}")
        self.send_response_only(204)  # send_response would log it
        self.end_headers()


def main(smtp_port: str, http_port: str) -> None:
    LOG.write_text("")
    mail = Controller(Mail(), hostname="127.0.0.1", port=int(smtp_port))
    mail.start()
    try:
        HTTPServer(("127.0.0.1", int(http_port)), Warehouse).serve_forever()
    finally:
        mail.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
