"""PostgreSQL's NOTIFY, sent after commits and from outside of them, and heard by relays.

A NOTIFY inside a transaction takes a lock that all transactions with one wait for: with 16 clients
that halves their number per second. Here it is sent after the commit, by a thread with a connection
of its own, at most every 50 ms.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from airlock.errors import MissingExtraError, SettingError
from airlock.outbox.nudges import nudged

if TYPE_CHECKING:
    from airlock.outbox.outbox import Outbox

__all__ = ["listening", "notifying"]

log = logging.getLogger("airlock.relay")

CHANNEL = "airlock_outbox"
_PAUSE = 0.05
_RECONNECT = 1.0


@contextmanager
def listening(outbox: Outbox, wake: Callable[[], object]) -> Iterator[None]:
    """Call a function whenever another process notifies of rows.

    Args:
        outbox: on PostgreSQL.
        wake: called in a thread of its own.

    Raises:
        SettingError: the outbox is not on PostgreSQL.
        MissingExtraError: psycopg is not installed.
    """
    connect = _connecting(outbox, "Relay", "listen")
    ended = Event()

    def listen() -> None:
        while not ended.is_set():
            try:
                with connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    wake()  # for what was committed before
                    while not ended.is_set():
                        for _ in connection.notifies(timeout=0.5, stop_after=1):
                            wake()
            except Exception:
                log.warning("cannot listen; rows are found by polling", exc_info=True)
                ended.wait(_RECONNECT)

    with _thread(listen, "airlock-listen", ended):
        yield


@contextmanager
def notifying(outbox: Outbox) -> Iterator[None]:
    """Notify the relays of other processes after commits of this one.

    Without it they find new rows by polling.

    Args:
        outbox: on PostgreSQL.

    Raises:
        SettingError: the outbox is not on PostgreSQL.
        MissingExtraError: psycopg is not installed.

    Example:
        >>> with notifying(outbox):  # doctest: +SKIP
        ...     serve()
    """
    connect = _connecting(outbox, "notifying", "outbox")
    ended, wanted = Event(), Event()

    def notify() -> None:
        while not ended.is_set():
            try:
                with connect() as connection:
                    while not ended.is_set():
                        if wanted.wait(0.5):
                            wanted.clear()  # before: a commit meanwhile is notified of next
                            connection.execute(f"NOTIFY {CHANNEL}")
                            ended.wait(_PAUSE)
            except Exception:
                log.warning("cannot notify relays; they find rows by polling", exc_info=True)
                ended.wait(_RECONNECT)

    with nudged(outbox.identity, wanted.set), _thread(notify, "airlock-notify", ended):
        yield


@contextmanager
def _thread(function: Callable[[], None], name: str, ended: Event) -> Iterator[None]:
    thread = Thread(target=function, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _connecting(outbox: Outbox, what: str, setting: str) -> Callable[[], Any]:
    engine = getattr(outbox.database, "engine", None)
    if engine is None or engine.url.get_backend_name() != "postgresql":
        raise SettingError(
            what,
            setting,
            "needs PostgreSQL, and the outbox is elsewhere",
            "Leave it out: relays poll",
        )
    try:
        import psycopg  # noqa: PLC0415 - only for who wants it
    except ImportError:
        raise MissingExtraError("NOTIFY", "psycopg", "postgresql") from None
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return lambda: psycopg.connect(url, autocommit=True)
