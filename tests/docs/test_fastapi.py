"""docs/how-to/fastapi.md, followed: its app in a file, behind a server."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reader import Reader, free_port, post, until


def test_the_app_of_the_page_behind_uvicorn(tmp_path: Path) -> None:
    reader = Reader("how-to/fastapi.md", tmp_path)
    reader.save_program("shop.py")
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    with reader.running(f"uvicorn shop:app --port {port} --no-access-log") as output:
        until(lambda: post(f"{at}/nowhere")[0] == 404, output)
        asked = {
            path: post(at + path)
            for path in (
                "/receipts/42",
                "/receipts/404",
                "/reminders/43",
                "/orders/71",
                "/late/72",
                "/refreshed/73",
                "/imports/74",
            )
        }
        again = post(f"{at}/orders/71")
        until(lambda: "SendReceipt(order_id=73)" in output(), output)
        _, _, served = output().partition("Uvicorn running")
    assert {path: status for path, (status, _) in asked.items()} == {
        "/receipts/42": 200,
        "/receipts/404": 404,
        "/reminders/43": 200,
        "/orders/71": 200,
        "/late/72": 500,
        "/refreshed/73": 200,
        "/imports/74": 200,
    }
    assert again[0] == 500
    delivered = [line for line in served.splitlines() if line.startswith("SendReceipt")]
    assert delivered == [f"SendReceipt(order_id={n})" for n in (42, 43, 71, 73)]
    assert "POST /late/72 is about to respond, and has emitted SendReceipt(order_id=72)" in served
