"""``Engine``: what the scopes of one boundary ask of it; they never see the boundary itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack

import attrs

from airlock.effects.policy import PolicyLike
from airlock.effects.report import Report
from airlock.effects.wave import Wave
from airlock.errors import AsyncHandlerError
from airlock.flush import Flush
from airlock.observers import Observer, Observers
from airlock.overrides import checked_overrides
from airlock.scope import Scope
from airlock.settings import Settings
from airlock.stages import How

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airlock.plan.document import Plan
    from airlock.wire.codec import Wire

__all__ = ["Engine"]


class Engine:
    """Flushes the scopes of one boundary, and resumes their reports.

    Args:
        settings: of the boundary.
        policy: in force in every scope.
        fail_fast: stop a flush at the first failure, unless the scope says otherwise.
    """

    def __init__(
        self, settings: Settings, policy: tuple[PolicyLike, ...], *, fail_fast: bool
    ) -> None:
        self.settings = settings
        self.policy = policy
        self.fail_fast = fail_fast

    def plan(self, report: Report, expires: datetime | timedelta | None, wire: Wire | None) -> Plan:
        """A plan of what a report says is held."""
        from airlock.plan.making import plan_of_report  # noqa: PLC0415 - loads cattrs

        plan = plan_of_report(report, expires, wire)
        report.attend()
        return plan

    def check_sync(self, intents: Iterable[Any]) -> None:
        """Refuse intents whose handlers must be awaited.

        Raises:
            AsyncHandlerError: the handler of one is async.
        """
        for cls in set(map(type, intents)):
            binding = self.settings.binding(cls)
            if binding is not None and binding.awaited():
                raise AsyncHandlerError(binding.name, cls.__qualname__, True)  # noqa: FBT003 - a fact

    def checked_overrides(self, overrides: Mapping[Any, Any]) -> Mapping[type[Any], Any]:
        """Overrides by intent type, for ``scope.override``."""
        return checked_overrides(overrides)

    def new_report(self) -> Report:
        """An empty report, which can be resumed."""
        return Report(self)

    def note_discarded(self, report: Report, observers: tuple[Observer, ...]) -> None:
        """Tell the observers of a discarded scope."""
        self._settings(observers).observers.tell(lambda observer: observer.discarded(report))

    def flush(self, report: Report, waves: Sequence[Wave], **how: Unpack[How]) -> None:
        """Deliver some waves, and fill the report."""
        self._flush(report, waves, how).run()

    async def aflush(self, report: Report, waves: Sequence[Wave], **how: Unpack[How]) -> None:
        """``flush``, awaiting async handlers."""
        await self._flush(report, waves, how).arun()

    def _flush(self, report: Report, waves: Sequence[Wave], how: How) -> Flush:
        fail_fast = self.fail_fast if how["fail_fast"] is None else how["fail_fast"]
        settings = self._settings(how["observers"])
        return Flush(settings, report, waves, fail_fast=fail_fast, problems=how["problems"])

    def _settings(self, observers: tuple[Observer, ...]) -> Settings:
        """Those of the boundary, with the observers of one scope."""
        if not observers:
            return self.settings
        return attrs.evolve(
            self.settings, observers=Observers(observers, before=self.settings.observers)
        )

    def resume(self, before: Report, waves: Sequence[Wave]) -> Report:
        """Run what a report has left: for ``report.resume()``."""
        report = Report(self, before.ledger)
        with self._scope_of(report, before, waves):
            self.flush(report, waves, problems=(), fail_fast=None, observers=())
        return report

    async def aresume(self, before: Report, waves: Sequence[Wave]) -> Report:
        """``resume``, awaiting async handlers."""
        report = Report(self, before.ledger)
        with self._scope_of(report, before, waves):
            await self.aflush(report, waves, problems=(), fail_fast=None, observers=())
        return report

    @contextmanager
    def _scope_of(self, report: Report, before: Report, waves: Sequence[Wave]) -> Iterator[None]:
        """While a report is resumed, its regions belong to its scope again, or to a stand-in."""
        freed = {wave.root for wave in waves if wave.root.scope is None}
        for root in freed:
            scope = before.scope()
            if scope is None:
                scope = Scope(self)
                scope.resuming(root)
            root.scope = scope
        report.scope = before.scope
        try:
            yield
        finally:
            for root in freed:
                root.scope = None
