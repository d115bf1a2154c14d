"""``Outbox``: a dispatcher that records intents in the transaction that decides about them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import attrs

from airlock.dispatch import Recorder
from airlock.effects.registry import describe
from airlock.emissions.delivery import Delivery
from airlock.errors import DeclarationError
from airlock.outbox import schema
from airlock.outbox.database import Cursor, Database, cursor_of, database_of
from airlock.outbox.entry import Failure, New, State
from airlock.outbox.nudges import nudge
from airlock.outbox.parking import log_parked, parked
from airlock.outbox.recording import RELAYING, new_of, news_of
from airlock.outbox.store import Store
from airlock.wire.codec import Wire

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from airlock.boundary.boundary import Boundary
    from airlock.emissions.report import Report

__all__ = ["Outbox"]


class Outbox(Recorder):
    """A dispatcher that records intents in the caller's own transaction; a relay delivers them.

    Args:
        engine: of the database whose transactions decide: an ``Engine`` or ``AsyncEngine`` of
            SQLAlchemy, or a URL.
        queue: the name that its relays look for; outboxes of one database may have several.
        wire: writes the intents; one with a cipher, if any has a sensitive field.
        standalone: record what is emitted outside of a transaction in one of its own, at the flush;
            by default such an emission is refused.
        on_duplicate: what to do with an intent whose ``dedupe_key`` is pending already: ``"skip"``
            it, or have it ``"replace"`` that one.
        clock: the time, for tests; by default that of the database.

    Attributes:
        store: its statements.
        database: where they run.

    Raises:
        DeclarationError: an argument makes no sense.

    Example:
        >>> from airlock import INLINE, Route
        >>> from airlock.outbox import Outbox
        >>> outbox = Outbox("sqlite://", standalone=True)
        >>> outbox.create()
        >>> boundary = Boundary(
        ...     {}, dispatch=Route({NotifyWarehouse: outbox}, default=INLINE)
        ... )
        >>> with boundary.scope() as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> effects.report
        <Report: 1 recorded>
    """

    options = frozenset({"id", "delay", "ordering_key", "dedupe_key", "headers"})

    def __init__(
        self,
        engine: Engine | AsyncEngine | URL | str,
        *,
        queue: str = "default",
        wire: Wire | None = None,
        standalone: bool = False,
        on_duplicate: Literal["skip", "replace"] = "skip",
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        if not isinstance(queue, str) or not queue:
            raise DeclarationError(f"Outbox(queue={queue!r}): give a name, as text.")
        if wire is not None and not isinstance(wire, Wire):
            raise DeclarationError(f"Outbox(wire=...) takes a Wire, not {describe(wire)}.")
        if on_duplicate not in ("skip", "replace"):
            raise DeclarationError(
                f"Outbox(on_duplicate={on_duplicate!r}): give 'skip' or 'replace'."
            )
        self.database = self._database(engine)
        self.queue = queue
        self.wire = Wire() if wire is None else wire
        self.store = Store(queue=queue, on_duplicate=on_duplicate, clock=clock)
        self._standalone = standalone
        self._required = False

    def _database(self, given: Any) -> Database:
        """Return the database that the first argument names."""
        return database_of(given)

    def __repr__(self) -> str:
        return f"<Outbox {self.queue!r}>"

    # -- recording --------------------------------------------------------------------------------

    @property
    def identity(self) -> Hashable:
        return self.database.identity

    @property
    def standalone(self) -> bool:  # type: ignore[override]  # a relay records for its handlers
        return self._standalone or RELAYING.get() is not None

    def check(self, cls: type[Any] | None = None, /) -> Any:
        """Check that intents of a class have a form on the wire; without one, the tables.

        Returns:
            Of the tables: what is wrong with them, one sentence each.

        Raises:
            UnencodableError: intents of the class have none.
            SensitiveFieldError: a field is sensitive, and the wire has no cipher.
        """
        if cls is None:
            return self.database.run(schema.check)
        self.wire.check(cls)
        return None

    def new_of(self, delivery: Delivery) -> New:
        """Return the row of an intent that is to be recorded.

        Raises:
            UnencodableError: it has no form on the wire.
        """
        return new_of(delivery, self.wire)

    def record(self, deliveries: Sequence[Delivery], connection: Any) -> None:
        self._insert(cursor_of(connection), news_of(deliveries, self.wire))

    def record_alone(self, deliveries: Sequence[Delivery]) -> None:
        if self._collected(deliveries):
            return
        news = news_of(deliveries, self.wire)
        self.database.run(lambda cursor: self._insert(cursor, news))
        self.nudge()

    async def arecord_alone(self, deliveries: Sequence[Delivery]) -> None:
        if self._collected(deliveries):
            return
        news = news_of(deliveries, self.wire)
        await self.database.arun(lambda cursor: self._insert(cursor, news))
        self.nudge()

    def _collected(self, deliveries: Sequence[Delivery]) -> bool:
        """Leave to the relay of this outbox what its handlers emit; return False for other relays."""
        relaying = RELAYING.get()
        if relaying is None or relaying.outbox is not self:
            return False
        relaying.collected.extend(deliveries)
        return True

    def nudge(self) -> None:
        nudge(self.identity)

    def _insert(self, cursor: Cursor, news: Sequence[New]) -> None:
        self.require(cursor)
        self.store.insert(cursor, news)

    def require(self, cursor: Cursor | None = None) -> None:
        """Refuse tables that are missing, or do not fit: before the first row, then never again.

        Args:
            cursor: to look with; by default in a transaction of its own.

        Raises:
            OutboxSchemaError: they are, or do not.
        """
        if cursor is None:
            self.database.run(self.require)
        elif not self._required:
            schema.require(cursor)
            self._required = True

    # -- parking ----------------------------------------------------------------------------------

    def park(self, report: Report) -> int:
        """Store what failed or is pending in a report as dead letters, and return how many.

        What has no form on the wire is logged with its repr. It never shows sensitive values.
        """
        those = parked(report, self.wire)
        if those:
            self.database.run(lambda cursor: self._bury(cursor, those))
            log_parked(those)
        return len(those)

    async def apark(self, report: Report) -> int:
        """Do what ``park`` does, in a coroutine."""
        those = parked(report, self.wire)
        if those:
            await self.database.arun(lambda cursor: self._bury(cursor, those))
            log_parked(those)
        return len(those)

    def _bury(self, cursor: Cursor, those: list[tuple[New, Failure]]) -> None:
        self.require(cursor)
        news = [attrs.evolve(new, chosen=True, dedupe_key=None) for new, _ in those]
        failures = [failure for _, failure in those]
        self.store.insert(cursor, news, state=State.DEAD, failures=failures)

    # -- the tables -------------------------------------------------------------------------------

    def create(self) -> None:
        """Create the tables, if they are not there."""
        self.database.run(schema.create)

    # -- delivering -------------------------------------------------------------------------------

    async def run(self, boundary: Boundary, **options: Any) -> None:
        """Deliver what is in the outbox until it is cancelled: a relay inside of an application.

        Args:
            boundary: whose handlers run.
            **options: as ``Relay`` takes them.
        """
        from airlock.outbox.relay import Relay  # noqa: PLC0415 - which needs an Outbox

        await Relay(self, boundary, **options).run()

    def run_sync(self, boundary: Boundary, **options: Any) -> None:
        """Do what ``run`` does, in a thread."""
        from airlock.outbox.relay import Relay  # noqa: PLC0415 - as above

        Relay(self, boundary, **options).run_sync()

    def drain(self, boundary: Boundary, until: Any = None, **options: Any) -> Any:
        """Deliver what is due, and return when nothing is: for tests and scripts.

        Args:
            boundary: whose handlers run.
            until: as ``Relay.drain`` takes it.
            **options: as ``Relay`` takes them.
        """
        from airlock.outbox.relay import Relay  # noqa: PLC0415 - as above

        return Relay(self, boundary, **options).drain(until)
