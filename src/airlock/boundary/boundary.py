"""``Boundary``: handlers, a default policy and a dispatch; the only place where effects happen."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from airlock.boundary import deliver as arrival
from airlock.boundary.check import Check, conflicts, current, fields, misfits, undefined
from airlock.boundary.scoped import scoped
from airlock.dispatch import (
    INLINE,
    Dispatcher,
    Interceptor,
    Recorder,
    check_dispatcher,
    dispatch_of,
)
from airlock.effects.causation import NO_CAUSE, Causation
from airlock.effects.describe import format_class
from airlock.effects.options import NO_HEADERS, headers_of
from airlock.effects.registry import declared, describe
from airlock.emissions.report import Report
from airlock.errors import DeclarationError
from airlock.flushing.engine import Engine
from airlock.handlers.dependencies import async_resources
from airlock.handlers.table import Binding, Wiring, handler_table
from airlock.observers import Observer, Observers, check_observers
from airlock.policies.policy import PolicyLike, seats
from airlock.release import OnFlushError, Release
from airlock.scopes.carry import Context, capturing, restoring
from airlock.scopes.ending import Keep
from airlock.scopes.opening import ScopeOptions
from airlock.scopes.scope import Scope

if TYPE_CHECKING:
    import os
    from datetime import datetime, timedelta

    from airlock.plan.applied import Applied
    from airlock.plan.document import Plan
    from airlock.plan.in_doubt import InDoubt
    from airlock.plan.opening import Request
    from airlock.plan.progress import Progress
    from airlock.wire.codec import Wire
    from airlock.wire.envelope import Envelope

__all__ = ["Boundary"]

F = TypeVar("F", bound=Callable[..., Any])


class Boundary:
    """The place where scopes are opened, and what they emitted is delivered.

    Args:
        handlers: a mapping from intent classes to handlers, or a dependency-injector container
            with ``Handles`` providers (nested containers too).
        policy: in force in every scope, outside the scope's own.
        dispatch: how effects are delivered; ``Route`` picks one by type.
        interceptors: wrap every attempt of every handler, the first outermost.
        observers: are called, and cannot break anything.
        context: captures what is ambient at each emission, and restores it around its handler: a
            tenant, a user, a language. The first is the outermost, outside of the interceptors.
        fail_fast: stop a flush at the first failure and leave the rest pending; by default
            everything is attempted.
        max_depth: how many handlers may stand between a block and a follow-up.
        concurrency: how many handlers an async flush runs at once.
        park: an outbox that stores what failed, or was left pending, where nobody can resume it: a
            request or a task that is over, a flush that a late commit set off, or an interrupted one.

    Raises:
        DuplicateHandlerError: two handlers for one intent type.
        HandlerSignatureError: a handler does not fit its intent.
        DeclarationError: another argument makes no sense.

    Example:
        >>> boundary = Boundary({NotifyWarehouse: print})
        >>> with boundary.scope() as effects:
        ...     effects.emit(NotifyWarehouse(42))
        NotifyWarehouse(order_id=42)
    """

    def __init__(
        self,
        handlers: Wiring,
        *,
        policy: PolicyLike | None = None,
        dispatch: Dispatcher = INLINE,
        interceptors: Sequence[Interceptor] = (),
        observers: Iterable[Observer] = (),
        context: Sequence[Context] = (),
        fail_fast: bool = False,
        max_depth: int = 50,
        concurrency: int = 1,
        park: Recorder | None = None,
    ) -> None:
        for name, value in (("max_depth", max_depth), ("concurrency", concurrency)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise DeclarationError(
                    f"Boundary({name}={value!r}): give an int from 1 (there is always one handler)."
                )
        check_dispatcher("Boundary(dispatch=...)", dispatch)
        if park is not None and not isinstance(park, Recorder):
            raise DeclarationError(
                f"Boundary(park=...) takes an Outbox, not {describe(park)}: what failed must be stored."
            )
        for interceptor in interceptors:
            if not callable(interceptor) or inspect.isclass(interceptor):
                raise DeclarationError(
                    f"Boundary(interceptors=...) takes functions of (intent, call_next), not "
                    f"{describe(interceptor)}."
                )
        capture = capturing(context)
        if context:
            interceptors = (restoring(context), *interceptors)
        self._wiring = handlers
        self._known: tuple[Observer, ...] = ()
        self._engine = Engine(
            handler_table(handlers),
            () if policy is None else seats(policy),
            dispatch,
            tuple(interceptors),
            Observers(observers),
            max_depth,
            concurrency,
            fail_fast,
            _plan,
            capture,
            park,
        )

    # -- scopes -----------------------------------------------------------------------------------

    def scope(
        self,
        *,
        policy: PolicyLike | None = None,
        release: Release | None = None,
        independent: bool = False,
        headers: Mapping[str, str] | None = None,
        keep: Keep | None = None,
        fail_fast: bool | None = None,
        observers: Iterable[Observer] = (),
        cause: Causation = NO_CAUSE,
    ) -> Scope:
        """Open a unit of work, for ``with`` or ``async with``.

        Inside another scope of this boundary it is a part of that one: its intents are delivered
        with the outermost, and discarded if its own block fails.

        Args:
            policy: in force inside.
            release: when to deliver; by default when the block ends.
            independent: deliver at this block's own end, even inside another scope; the policies
                around it still hold.
            headers: carried by every intent and its follow-ups.
            keep: decides, from the block's exception or None, whether to deliver; by default
                what a block that raised has emitted is discarded.
            fail_fast: overrides the boundary's.
            observers: are called for this scope, after those of the boundary.
            cause: of an envelope, ``scope(cause=envelope.causation)``: what led here in other
                processes counts for ``OncePerChain`` and towards ``max_depth``.

        Raises:
            DeclarationError: ``policy`` is not a policy, or another argument makes no sense.
            OptionError: ``headers`` are not.
        """
        given = tuple(observers)
        if given is not self._known:  # an integration gives the same ones each time
            check_observers("scope", given)
            self._known = given
        return Scope(
            self._engine,
            ScopeOptions(
                policy=() if policy is None else seats(policy),
                release=release,
                independent=independent,
                headers=NO_HEADERS if headers is None else headers_of(headers),
                keep=keep,
                fail_fast=fail_fast,
                observers=given,
                cause=cause,
            ),
        )

    def scoped(
        self,
        *,
        policy: PolicyLike | None = None,
        release: Callable[[], Release] | None = None,
        independent: bool = False,
        headers: Mapping[str, str] | None = None,
        keep: Keep | None = None,
        fail_fast: bool | None = None,
    ) -> Callable[[F], F]:
        """Decorate a function so that each call is a scope: ``@boundary.scoped()``.

        Works on functions, coroutines, generators and async generators.

        Args:
            policy: as for ``scope``.
            release: called for each scope, to make its release.
            independent: as for ``scope``.
            headers: as for ``scope``.
            keep: as for ``scope``.
            fail_fast: as for ``scope``.

        Example:
            >>> @boundary.scoped()
            ... def checkout(order_id):
            ...     emit(NotifyWarehouse(order_id))
            >>> checkout(42)
            NotifyWarehouse(order_id=42)
        """

        def open_scope() -> Scope:
            return self.scope(
                policy=policy,
                release=None if release is None else release(),
                independent=independent,
                headers=headers,
                keep=keep,
                fail_fast=fail_fast,
            )

        return lambda function: scoped(function, open_scope)

    # -- what comes from other processes ----------------------------------------------------------

    def deliver(
        self, envelope: Envelope, *, attempt: int = 1, on_flush_error: OnFlushError = "report"
    ) -> Report:
        """Run the handler of an intent that a dispatch handed over to this process.

        It is a scope of its own, with the headers and causes of the envelope. The handler runs
        here, whatever the dispatch is; its follow-ups go where the dispatch sends them, if it succeeds.

        Args:
            envelope: of the intent.
            attempt: which try this is, from 1, if whoever calls tries again after an error.
            on_flush_error: what to do with an error of the follow-ups, when the handler has
                succeeded and must not run again: ``"report"`` logs it, ``"raise"`` raises it. It
                is in the report either way.

        Returns:
            What became of it, and of its follow-ups.

        Raises:
            Exception: what the handler raised; its follow-ups are discarded then.
            WiringError: there is no handler for it here, or it does not fit.
            FlushError: follow-ups failed, and ``on_flush_error`` is ``"raise"``.

        Example:
            >>> from airlock.wire import Envelope
            >>> boundary.deliver(Envelope(NotifyWarehouse(42)))
            NotifyWarehouse(order_id=42)
            <Report: 1 delivered>
        """
        return arrival.deliver(self._engine, envelope, attempt, on_flush_error)

    async def adeliver(
        self, envelope: Envelope, *, attempt: int = 1, on_flush_error: OnFlushError = "report"
    ) -> Report:
        """Do what ``deliver`` does, where handlers are async."""
        return await arrival.adeliver(self._engine, envelope, attempt, on_flush_error)

    def deliver_all(self, envelopes: Sequence[Envelope], *, attempts: Sequence[int]) -> Report:
        """Run the handlers of many intents that arrived at this process, in one flush.

        Each has its own id, headers and causes. No ``RetryPolicy`` waits for its next attempt here:
        whoever calls tries again later. An intent that failed is in the report with its error, and
        raises nothing; if nothing could run, because of the wiring or a policy, all have failed.

        Args:
            envelopes: of the intents.
            attempts: for each, which try this is, from 1.

        Returns:
            What became of them, ``report.waves[0]`` in the order of the envelopes, and of their
            follow-ups.

        Raises:
            BaseException: an interruption; its attribute ``report`` has what became of all.
            DeclarationError: an argument makes no sense.

        Example:
            >>> from airlock.wire import Envelope
            >>> envelopes = [Envelope(NotifyWarehouse(42)), Envelope(NotifyWarehouse(43))]
            >>> boundary.deliver_all(envelopes, attempts=[1, 1])
            NotifyWarehouse(order_id=42)
            NotifyWarehouse(order_id=43)
            <Report: 2 delivered>
        """
        return arrival.deliver_all(self._engine, envelopes, attempts)

    async def adeliver_all(
        self, envelopes: Sequence[Envelope], *, attempts: Sequence[int]
    ) -> Report:
        """Do what ``deliver_all`` does, where handlers are async."""
        return await arrival.adeliver_all(self._engine, envelopes, attempts)

    def park(self, report: Report | None) -> None:
        """Store what failed or is pending in a report that nobody can resume.

        It does nothing without ``Boundary(park=...)``, and where nothing is left.

        Args:
            report: of the flush; None if there was none.
        """
        self._engine.park_rest(report)

    async def apark(self, report: Report | None) -> None:
        """Do what ``park`` does, in a coroutine."""
        await self._engine.apark_rest(report)

    # -- plans ------------------------------------------------------------------------------------

    def apply(
        self,
        plan: Plan,
        *,
        kinds: Iterable[Any] | None = None,
        indices: Iterable[int] | None = None,
        in_doubt: InDoubt = None,
        journal: str | os.PathLike[str] | None = None,
        progress: Progress | bool | None = None,
        fail_fast: bool | None = None,
        expired: bool = False,
    ) -> Applied:
        """Carry out a plan. What was done before is not done again, so that it can be resumed.

        The policies of the scopes that made the plan have judged, and are not asked again; those
        of ``enclose`` around this call are. Beside the plan a journal is kept: each effect is
        written down before it happens, and after. Follow-ups are judged by the boundary's policy.

        Args:
            plan: of ``scope.plan()``, ``holding()`` or ``Plan.load``.
            kinds: only effects of these kinds (or intent classes).
            indices: only effects at these places.
            in_doubt: decides about what was in flight when an earlier application died, unless
                its handler is idempotent: ``"done"``, ``"retry"``, or a function of the entry that
                returns one of these.
            journal: path of the journal; by default that of the plan with ``.journal`` added. A
                plan that was never saved has one in memory.
            progress: called with ``(done, total)``; True for a bar, False for none; by default
                there is one if standard error is a terminal and rich is installed.
            fail_fast: stop at the first failure; by default as the boundary does.
            expired: apply it even if it has expired.

        Returns:
            How many effects ended how.

        Raises:
            ApplyError: some effects failed; applying the plan again does them.
            PlanExpiredError: it is too old.
            PlanMismatchError: this program has no such kind or version any more.
            PlanFormatError: its file was changed.
            InDoubtError: nobody decides about what was in flight.
            JournalError: the journal is of another plan, in use, or damaged.
            WiringError: handlers are missing, or do not fit.
            DeclarationError: an argument makes no sense.

        Example:
            >>> with boundary.scope(policy=Hold()) as effects:
            ...     effects.emit(NotifyWarehouse(42))
            >>> print(boundary.apply(effects.plan()))
            NotifyWarehouse(order_id=42)
            1 delivered
        """
        from airlock.plan.opening import application  # noqa: PLC0415 - loads cattrs and sqlite3

        with application(
            self._engine,
            plan,
            kinds=kinds,
            indices=indices,
            in_doubt=in_doubt,
            journal=journal,
            progress=progress,
            fail_fast=fail_fast,
            expired=expired,
        ) as applying:
            return applying.run()

    async def aapply(self, plan: Plan, **request: Unpack[Request]) -> Applied:
        """Do what ``apply`` does, where handlers are async."""
        from airlock.plan.opening import application  # noqa: PLC0415 - as above

        with application(self._engine, plan, **request) as applying:
            return await applying.arun()

    # -- what it is made of -----------------------------------------------------------------------

    @property
    def handlers(self) -> Mapping[type[Any], Binding]:
        """Its handlers as registered, by intent class."""
        return MappingProxyType(self._engine.handlers)

    @property
    def dispatch(self) -> Dispatcher:
        """The dispatcher that its effects are delivered by."""
        return self._engine.dispatch

    @property
    def outboxes(self) -> tuple[Recorder, ...]:
        """The outboxes among its dispatchers, and the one it parks in, each once."""
        parks = () if self._engine.park is None else (self._engine.park,)
        return tuple(dict.fromkeys((*self._engine.recorders, *parks)))

    # -- checking ---------------------------------------------------------------------------------

    def check(self, intents: Iterable[type[Any]] | None = None, *, sync: bool = False) -> Check:
        """Look for what does not fit, for a test or at start-up.

        Args:
            intents: those that must be handled here; by default every intent declared so far.
            sync: whether flushes are sync, so that what must be awaited does not fit.

        Returns:
            What was found; ``.ok`` if nothing.

        Example:
            >>> Boundary({NotifyWarehouse: print}).check([NotifyWarehouse]).ok
            True
        """
        wanted = tuple(declared() if intents is None else intents)
        engine = self._engine
        routed = {cls for cls in wanted if dispatch_of(engine.dispatch, cls) is not INLINE}
        unhandled = [c for c in wanted if c not in routed and engine.binding(c) is None]
        unused = [
            binding
            for cls, binding in engine.handlers.items()
            if not any(engine.binding(c) is binding for c in wanted)
        ]
        return Check(
            unhandled=tuple(f"no handler for {format_class(cls)}" for cls in unhandled),
            unused=tuple(
                f"{b.name} handles {format_class(b.intent_type)}, which "
                + (
                    "is not among the intents"
                    if current(b.intent_type)
                    else "was declared again since"
                )
                for b in unused
            ),
            misfits=misfits(engine.handlers.values(), engine.interceptors) if sync else (),
            undefined=undefined(engine.handlers.values()),
            fields=fields(wanted),
            conflicts=conflicts(),
        )

    # -- resources --------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._resources("init_resources")
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._resources("shutdown_resources")

    async def __aenter__(self) -> Self:
        await _awaited(self._resources("init_resources", awaits=True))
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await _awaited(self._resources("shutdown_resources", awaits=True))

    def _resources(self, what: str, *, awaits: bool = False) -> Any:
        """Open or close the container's resources; a mapping has none."""
        container: Any = self._wiring
        if not hasattr(container, what):
            return None
        if not awaits and (found := async_resources(container)):
            raise DeclarationError(
                f"the container has async resources, {', '.join(found)}: open them with `async with "
                "boundary:`."
            )
        return getattr(container, what)()


def _plan(report: Report, expires: datetime | timedelta | None, wire: Wire | None) -> Plan:
    """Return a plan of what a report says is held."""
    from airlock.plan.making import plan_of_report  # noqa: PLC0415 - loads cattrs

    plan = plan_of_report(report, expires, wire)
    report.attend()
    return plan


async def _awaited(pending: Any) -> None:
    if pending is not None and inspect.isawaitable(pending):
        await pending
