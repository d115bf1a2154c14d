"""docs/how-to/flask.md, followed: its app in a file, behind Flask's server."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reader import Reader, free_port, post, until


def test_the_apps_of_the_page_behind_a_server(tmp_path: Path) -> None:
    reader = Reader("how-to/flask.md", tmp_path)
    reader.save_program("shop.py")
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    for app, asked, status, delivered in (
        ("shop:create_app", "/orders/41/receipt", 204, ["SendReceipt(order_id=41)"]),
        ("shop:create_app", "/orders/101/receipt", 404, []),
        ("shop:app", "/pay/5/commit", 500, ["SendReceipt(order_id=5)"]),
        ("shop:app", "/pay/6/forget", 500, []),
    ):
        with reader.running(f"flask --app {app} run --port {port}") as output:
            until(lambda: post(f"{at}/nowhere")[0] == 404, output)
            assert post(at + asked)[0] == status
            _, _, served = output().partition("Running on")
        assert [s for s in served.splitlines() if s.startswith("SendReceipt")] == delivered
