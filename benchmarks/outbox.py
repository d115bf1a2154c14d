"""The outbox: recording in a transaction and draining, beside COPY and other queues in a database.

Handlers do nothing, so that what is measured is the way there. PostgreSQL is that of
``AIRLOCK_POSTGRES_URL``; each contender has a schema of its own there, which is dropped at the end.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from airlock import Boundary, Route, intent
from benchmarks.clock import BrokenError
from benchmarks.measure import Bar, Contender, NotInstalledError, Row, Sample

POSTGRESQL = os.environ.get("AIRLOCK_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")
MANY = 10_000


@intent(kind="benchmarks.mail")
class Mail:
    order_id: int
    to: str


def handle(_: Mail) -> None:
    """Do nothing."""


# -- databases ------------------------------------------------------------------------------------


def psycopg() -> Any:
    return import_module("psycopg")


@cache
def schema(name: str) -> str:
    """Return the URL of a schema of its own, which is dropped at the end."""
    driver, own = psycopg(), f"airlock_bench_{name}_{secrets.token_hex(3)}"
    try:
        with driver.connect(POSTGRESQL, autocommit=True) as connection:
            connection.execute(f"create schema {own}")
    except driver.OperationalError as error:
        raise NotInstalledError(f"PostgreSQL, set AIRLOCK_POSTGRES_URL: {error}") from error
    atexit.register(_drop, own)
    return f"{POSTGRESQL}?options=-csearch_path%3D{own}"


def _drop(name: str) -> None:
    with psycopg().connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"drop schema {name} cascade")


@cache
def folder() -> Path:
    made = TemporaryDirectory(prefix="airlock-bench-")
    atexit.register(made.cleanup)
    return Path(made.name)


def engine(url: str) -> Any:
    return import_module("sqlalchemy").create_engine(
        url.replace("postgresql://", "postgresql+psycopg://")
    )


@cache
def wired(url: str) -> tuple[Any, Any, Boundary]:
    """Return an engine, the outbox in its database, and a boundary that sends everything there."""
    made = engine(url)
    outbox = import_module("airlock.outbox").Outbox(made)
    outbox.create()
    return made, outbox, Boundary({Mail: handle}, dispatch=Route({Mail: outbox}))


def pending(outbox: Any) -> int:
    found: int = outbox.database.run(outbox.store.status).pending
    return found


# -- recording ------------------------------------------------------------------------------------


def recording(count: int) -> Callable[[], Callable[[], Sample]]:
    """Return what records intents in one transaction."""

    def prepare() -> Callable[[], Sample]:
        made, outbox, boundary = wired(schema("airlock"))
        session_class = import_module("sqlalchemy.orm").Session
        text = import_module("sqlalchemy").text
        release = import_module("airlock.integrations.sqlalchemy").on_commit

        def take() -> Sample:
            empty(outbox)
            with session_class(made) as session:
                session.execute(text("select 1"))
                begun = perf_counter()
                with boundary.scope(release=release(session)) as effects:
                    for number in range(count):
                        effects.emit(Mail(number, "a@example.com"))
                    session.commit()
                took = perf_counter() - begun
            if (found := pending(outbox)) != count:
                raise BrokenError(f"{found} of {count} were recorded")
            return Sample(took / count * 1e6)

        return take

    return prepare


def empty(outbox: Any) -> None:
    with outbox.database.engine.begin() as connection:
        connection.exec_driver_sql("truncate airlock_outbox")


def requesting(plus: str) -> Callable[[], Callable[[], Sample]]:
    """Return what runs transactions of one INSERT, each with something more: an effect, or an INSERT."""

    def prepare() -> Callable[[], Sample]:
        made, outbox, boundary = wired(schema("airlock"))
        session_class = import_module("sqlalchemy.orm").Session
        text = import_module("sqlalchemy").text
        release = import_module("airlock.integrations.sqlalchemy").on_commit
        with made.begin() as connection:
            connection.execute(text("create table if not exists orders (id int, note text)"))
        order = text("insert into orders values (:id, :note)")
        count = 200

        def one(number: int) -> None:
            with session_class(made) as session:
                if plus == "effect":
                    with boundary.scope(release=release(session)) as effects:
                        session.execute(order, {"id": number, "note": "order"})
                        effects.emit(Mail(number, "a@example.com"))
                        session.commit()
                    return
                session.execute(order, {"id": number, "note": "order"})
                session.execute(order, {"id": number, "note": "one more"})
                session.commit()

        def take() -> Sample:
            empty(outbox)
            begun = perf_counter()
            for number in range(count):
                one(number)
            return Sample((perf_counter() - begun) / count * 1e6)

        return take

    return prepare


def claiming(scheduled: int) -> Callable[[], Callable[[], Sample]]:
    """Return what claims 100 entries while others are scheduled for later."""

    def prepare() -> Callable[[], Sample]:
        _, outbox, boundary = wired(schema(f"claims{scheduled}"))
        with outbox.database.engine.begin() as connection:
            connection.exec_driver_sql(
                "insert into airlock_outbox (intent_id, kind, version, envelope, queue, available_at,"
                " created_at) select gen_random_uuid(), 'benchmarks.mail', 1, '{}', 'default',"
                " 99999999999999999, n from generate_series(1, %(scheduled)s) n",
                {"scheduled": scheduled},
            )
        with outbox.database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                "vacuum analyze airlock_outbox"
            )

        def take() -> Sample:
            filling(outbox, boundary, 100)
            store, lease = outbox.store, timedelta(seconds=30)
            begun = perf_counter()
            found = outbox.database.run(
                lambda c: store.claim(c, limit=100, lease=lease, worker="w")
            )
            took = perf_counter() - begun
            seqs = [entry.seq for entry in found]
            if (
                len(outbox.database.run(lambda c: store.acknowledge(c, found[0].token, seqs)))
                != 100
            ):
                raise BrokenError(f"{len(found)} of 100 were claimed")
            return Sample(took * 1e6)

        return take

    return prepare


def copying() -> Callable[[], Sample]:
    """Return what writes the same rows with COPY, the text of which is made before."""
    _, outbox, _ = wired(schema("airlock"))
    rows = envelopes()

    def take() -> Sample:
        empty(outbox)
        with psycopg().connect(schema("airlock")) as connection:
            cursor = connection.cursor()
            cursor.execute("select 1")
            begun = perf_counter()
            statement = (
                "copy airlock_outbox (intent_id, kind, version, envelope, queue, state, attempts,"
                " claims, available_at, created_at) from stdin"
            )
            with cursor.copy(statement) as copy:
                for id_, text in rows:
                    copy.write_row((id_, "benchmarks.mail", 1, text, "default", 0, 0, 0, 1, 1))
            connection.commit()
            took = perf_counter() - begun
        return Sample(took / len(rows) * 1e6)

    return take


def envelopes() -> list[tuple[str, str]]:
    wire = import_module("airlock.wire")
    made = [wire.Envelope(Mail(number, "a@example.com")) for number in range(MANY)]
    encode = wire.Wire().encode
    return [(str(envelope.id), encode(envelope).decode()) for envelope in made]


def procrastinate_app() -> Any:
    module = import_module("procrastinate")
    app = module.App(connector=module.PsycopgConnector(conninfo=schema("procrastinate")))
    app.task(name="mail")(_mail)
    return app


def _mail(order_id: int, to: str) -> None:
    """Do nothing."""


def procrastinate_deferring() -> Callable[[], Sample]:
    install_procrastinate()
    jobs = [{"order_id": number, "to": "a@example.com"} for number in range(MANY)]

    async def take() -> float:
        app = procrastinate_app()
        async with app.open_async():
            begun = perf_counter()
            await app.configure_task("mail").batch_defer_async(*jobs)
            return perf_counter() - begun

    def sample() -> Sample:
        clear("procrastinate", "procrastinate_jobs")
        return Sample(asyncio.run(take()) / MANY * 1e6)

    return sample


@cache
def install_procrastinate() -> None:
    async def apply() -> None:
        app = procrastinate_app()
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    asyncio.run(apply())


def clear(name: str, table: str) -> None:
    with psycopg().connect(schema(name), autocommit=True) as connection:
        connection.execute(f"truncate {table} cascade")


async def pgqueuer(run: Callable[[Any, Any], Awaitable[float]]) -> float:
    module = import_module("pgqueuer")
    name = schema("pgqueuer").rpartition("%3D")[2]
    connection = await import_module("asyncpg").connect(
        POSTGRESQL, server_settings={"search_path": name}
    )
    try:
        driver = module.AsyncpgDriver(connection)
        return await run(driver, module.Queries(driver))
    finally:
        await connection.close()


@cache
def install_pgqueuer() -> None:
    async def install(_: Any, queries: Any) -> float:
        await queries.install()
        return 0.0

    asyncio.run(pgqueuer(install))


def pgqueuer_enqueueing() -> Callable[[], Sample]:
    install_pgqueuer()
    payloads = [text.encode() for _, text in envelopes()]

    async def enqueue(_: Any, queries: Any) -> float:
        begun = perf_counter()
        await queries.enqueue(["mail"] * MANY, payloads, [0] * MANY)
        return perf_counter() - begun

    def sample() -> Sample:
        clear("pgqueuer", "pgqueuer")
        return Sample(asyncio.run(pgqueuer(enqueue)) / MANY * 1e6)

    return sample


# -- draining -------------------------------------------------------------------------------------


def filling(outbox: Any, boundary: Boundary, count: int) -> None:
    session_class = import_module("sqlalchemy.orm").Session
    text = import_module("sqlalchemy").text
    release = import_module("airlock.integrations.sqlalchemy").on_commit
    with (
        session_class(outbox.database.engine) as session,
        boundary.scope(release=release(session)) as effects,
    ):
        session.execute(text("select 1"))
        for number in range(count):
            effects.emit(Mail(number, "a@example.com"))
        session.commit()


def draining(url: Callable[[], str], count: int) -> Callable[[], Callable[[], Sample]]:
    """Return what delivers everything with one relay."""

    def prepare() -> Callable[[], Sample]:
        _, outbox, boundary = wired(url())

        def take() -> Sample:
            filling(outbox, boundary, count)
            begun = perf_counter()
            outbox.drain(boundary)
            took = perf_counter() - begun
            if pending(outbox):
                raise BrokenError("something was left")
            return Sample(took / count * 1e6)

        return take

    return prepare


def pgqueuer_draining() -> Callable[[], Sample]:
    install_pgqueuer()
    module = import_module("pgqueuer")
    types = import_module("pgqueuer.domain.types")
    payloads = [text.encode() for _, text in envelopes()]

    async def drain(driver: Any, queries: Any) -> float:
        await queries.enqueue(["mail"] * MANY, payloads, [0] * MANY)
        manager = module.PgQueuer(driver).qm

        @manager.entrypoint("mail")  # type: ignore[untyped-decorator]  # imported at run time
        async def mail(_: Any) -> None:
            """Do nothing."""

        begun = perf_counter()
        await manager.run(
            dequeue_timeout=timedelta(seconds=1),
            batch_size=100,
            mode=types.QueueExecutionMode.drain,
        )
        return perf_counter() - begun

    def sample() -> Sample:
        clear("pgqueuer", "pgqueuer")
        return Sample(asyncio.run(pgqueuer(drain)) / MANY * 1e6)

    return sample


def procrastinate_draining() -> Callable[[], Sample]:
    install_procrastinate()
    count = 500
    jobs = [{"order_id": number, "to": "a@example.com"} for number in range(count)]

    async def take() -> float:
        app = procrastinate_app()
        async with app.open_async():
            await app.configure_task("mail").batch_defer_async(*jobs)
            begun = perf_counter()
            await app.run_worker_async(wait=False, concurrency=10, install_signal_handlers=False)
            return perf_counter() - begun

    def sample() -> Sample:
        clear("procrastinate", "procrastinate_jobs")
        return Sample(asyncio.run(take()) / count * 1e6)

    return sample


def huey_draining() -> Callable[[], Sample]:
    module = import_module("huey")
    queue = module.SqliteHuey(filename=str(folder() / "huey.sqlite3"), results=False)
    mail = queue.task()(_mail)
    count = 2_000

    def sample() -> Sample:
        for number in range(count):
            mail(number, "a@example.com")
        begun = perf_counter()
        while (task := queue.dequeue()) is not None:
            queue.execute(task)
        return Sample((perf_counter() - begun) / count * 1e6)

    return sample


def sqlite() -> str:
    return f"sqlite:///{folder() / 'outbox.sqlite3'}"


def rows() -> Iterator[Row]:
    yield Row(
        "outbox",
        f"record {MANY:,} intents in one transaction, PostgreSQL",
        "µs per intent",
        [
            Contender("airlock, from emit to COMMIT", recording(MANY)),
            Contender("COPY of the same rows", copying, Bar.AT_MOST, 2.0),
            Contender("procrastinate", procrastinate_deferring, Bar.AT_LEAST, 1.0),
            Contender("pgqueuer", pgqueuer_enqueueing, Bar.AT_LEAST, 1.0),
        ],
        rounds=7,
    )
    yield Row(
        "outbox",
        "a request's transaction of one INSERT, PostgreSQL",
        "µs each",
        [
            Contender("and an effect recorded", requesting("effect")),
            Contender("and one plain INSERT more", requesting("insert"), Bar.AT_MOST, 1.3),
        ],
        rounds=15,
    )
    yield Row(
        "outbox",
        "claim 100 intents, PostgreSQL",
        "µs",
        [
            Contender("with 300,000 scheduled for later", claiming(300_000)),
            Contender("with none", claiming(0), Bar.AT_MOST, 1.5),
        ],
    )
    yield Row(
        "outbox",
        f"drain {MANY:,} intents with one relay, PostgreSQL",
        "µs per intent",
        [
            Contender("airlock", draining(lambda: schema("airlock"), MANY)),
            Contender("pgqueuer, batches of 100", pgqueuer_draining, Bar.AT_LEAST, 2.0),
            Contender("procrastinate, 10 at once", procrastinate_draining, Bar.AT_LEAST, 20.0),
        ],
        rounds=5,
    )
    yield Row(
        "outbox",
        "drain with one relay, SQLite",
        "µs per intent",
        [
            Contender("airlock", draining(sqlite, MANY)),
            Contender("huey", huey_draining, Bar.AT_LEAST, 6.0),
        ],
        rounds=5,
    )
