"""docs/how-to/dramatiq.md, followed: with RabbitMQ and a worker of its own."""

from __future__ import annotations

from pathlib import Path

from docs.shown import blocks
from tests.docs.reader import Reader, until
from tests.integrations.services import rabbitmq

STUB = "StubBroker()  # in memory, for this page: RabbitmqBroker(url=..., confirm_delivery=True)"


def test_the_worker_of_the_page_takes_what_was_sent(tmp_path: Path) -> None:
    reader = Reader("how-to/dramatiq.md", tmp_path)
    declares, _, emits = blocks(str(reader.path))[0].partition("with boundary.scope()")
    assert STUB in declares
    url = rabbitmq()
    if url.endswith("//"):  # for Celery the virtual host "/"; for Dramatiq one without a name
        url = url.removesuffix("/") + "%2F"
    real = declares.replace(STUB, f"RabbitmqBroker(url={url!r}, confirm_delivery=True)")
    real = real.replace("brokers.stub import StubBroker", "brokers.rabbitmq import RabbitmqBroker")
    # A queue of this test's own: others may use the same server.
    real = real.replace("DramatiqDispatch(broker)", "DramatiqDispatch(broker, queue='followed')")
    real = real.replace("max_retries=3", "queue='followed', max_retries=3")
    reader.write("shop/__init__.py", "")
    reader.write("shop/worker.py", real)
    reader.write("place.py", f"from shop.worker import *\n\nwith boundary.scope(){emits}")
    assert "1 handed over" in reader.types("python place.py")
    command = next(t for t in reader.consoles() if t.startswith("$ dramatiq"))
    with reader.running(command.removeprefix("$ ").strip() + " -p 1 -t 1") as output:
        until(lambda: "sending SendReceipt(order_id=42) attempt 1" in output(), output)
