"""Wiring first: before anything of a wave runs, all that it takes is there and known to fit.

There is one ``Work`` for each intent class. Retry, observers and interceptors are composed into its
callable here, once, so that nothing is looked up for an intent that can be looked up for its class::

    retried(watched(wrapped(interceptor, handler)))
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Hashable, Iterator, Sequence
from inspect import isawaitable
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from airlock.dispatch import INLINE, Dispatcher, Recorder
from airlock.effects.place import shown
from airlock.effects.registry import located, spec_of
from airlock.emissions.delivery import Delivery
from airlock.emissions.wave import Outcome, Wave
from airlock.errors import (
    AsyncHandlerError,
    NoTransactionError,
    PartialFailure,
    UnhandledIntentError,
    UnsupportedOptionError,
    WiringError,
)
from airlock.flushing.execution import Calls, close, refuse
from airlock.handlers.overrides import Link, Overrides, Wrapped
from airlock.handlers.providers import Handler
from airlock.handlers.retry import RetryPolicy
from airlock.handlers.signatures import is_async
from airlock.handlers.table import Binding
from airlock.scopes.current import Runs, here, running
from airlock.scopes.tasks import in_asyncio

if TYPE_CHECKING:
    from airlock.flushing.flush import Flush

__all__ = ["Positions", "Work", "arrange", "resolve"]

T = TypeVar("T")


@attrs.frozen(eq=False, repr=False)
class Work:
    """The way to deliver the intents of one class.

    Attributes:
        call: called for each intent, or for each batch.
        handler: as resolved; None for what is handed over.
        binding: as registered; None for what is handed over.
        dispatch: where it goes.
        batch: whether it is called with lists, as batch handlers and recorders are.
        retry: the policy of its attempts.
    """

    call: Handler
    handler: Handler | None
    binding: Binding | None
    dispatch: Dispatcher
    batch: bool = False
    retry: RetryPolicy | None = None


Positions = Sequence[int] | None
"""Of the intents of a wave that may run; None for all."""

Resolving = Generator[Awaitable[Any], Any, None]


def resolve(
    flush: Flush, wave: Wave, allowed: Positions, overrides: Overrides | None, *, awaits: bool
) -> Resolving:
    """Make the works of a wave; yields what must be awaited, and takes the result.

    Args:
        flush: of which the wave is a part.
        wave: which has been decided.
        allowed: positions of what may run.
        overrides: of the wave; None if there are none.
        awaits: whether handlers may be async.

    Raises:
        WiringError: something does not fit; nothing of the wave may run.
        Exception: whatever a provider raised.
    """
    engine = flush.engine
    if awaits and engine.concurrency > 1 and not in_asyncio():
        raise WiringError(
            "Boundary(concurrency=...) runs under asyncio, and this is another event loop. "
            "Here leave it 1: the handlers of a flush then run one after the other."
        )
    needing, asking = wave.classes, set[type[Any]]()
    if allowed is not None or overrides is not None:
        needing, asking = _classes(flush, wave, allowed, overrides, awaits=awaits)
    classes = needing | asking if asking else needing
    if wave.options:
        _check_options(flush, wave)
    missing = list[type[Any]]()
    for cls in sorted(classes, key=_order) if len(classes) > 1 else classes:
        dispatch = INLINE if engine.dispatch is INLINE else engine.dispatch_in(wave, cls)
        binding = engine.binding(cls)
        if dispatch is not INLINE:
            if cls in needing:  # what an override stands for is not carried
                _add_handing_over(flush, cls, dispatch, awaits=awaits)
        elif binding is None:
            missing += [cls] if cls in needing else []
        else:
            handler = yield from _handler(flush, cls, binding, awaits=awaits)
            if cls in needing:
                retry = None if wave.scheduled else binding.retry
                _add_work(flush, cls, binding, handler, retry, awaits=awaits)
    if missing:
        lacking = (f"{c.__qualname__} (declared at {shown(spec_of(c).place)})" for c in missing)
        raise UnhandledIntentError(
            tuple(sorted(lacking)), tuple(cls.__qualname__ for cls in engine.handlers)
        )


def _handler(
    flush: Flush, cls: type[Any], binding: Binding, *, awaits: bool
) -> Generator[Awaitable[Any], Any, Handler]:
    """Return the handler of a class, with its dependencies."""
    handler = flush.resolved.get(cls)
    if handler is None:
        if flush.engine.interceptors:
            _check_interceptors(flush, cls, binding.name, awaits=awaits)
        if binding.dependencies is not None:
            binding.refuse_lacking(awaits=awaits)
        handler = binding.provide()
        if isawaitable(handler):
            if not awaits:
                close(handler)
                raise AsyncHandlerError(binding.name, cls.__qualname__)
            handler = yield handler
        flush.resolved[cls] = handler
    return handler


def _add_work(
    flush: Flush,
    cls: type[Any],
    binding: Binding,
    handler: Handler,
    retry: RetryPolicy | None,
    *,
    awaits: bool,
) -> None:
    work = flush.works.get(cls)
    if work is not None and work.handler is handler and work.retry is retry:
        return
    if not awaits and is_async(handler):
        raise AsyncHandlerError(binding.name, cls.__qualname__)
    call = compose(flush, handler, retry, awaits=awaits)
    flush.works[cls] = Work(call, handler, binding, INLINE, binding.batch, retry)


def _add_handing_over(flush: Flush, cls: type[Any], dispatch: Dispatcher, *, awaits: bool) -> None:
    dispatch.check(cls)
    bulk = isinstance(dispatch, Recorder)
    if isinstance(dispatch, Recorder):
        _check_standalone(flush, cls, dispatch)
    else:
        _check_fit(dispatch.dispatch, cls, repr(dispatch), awaits=awaits)
    call = flush.handing_over.get(dispatch)
    if call is None:
        call = flush.handing_over[dispatch] = _handing_over(flush, dispatch, awaits=awaits)
    flush.works[cls] = Work(call, None, None, dispatch, bulk)


def _check_standalone(flush: Flush, cls: type[Any], recorder: Recorder) -> None:
    """Refuse what reached the flush, and was to be recorded in a transaction that never was.

    A plan that is applied is durable by itself: what it holds may be recorded alone.

    Raises:
        NoTransactionError: it was.
    """
    if not recorder.standalone and flush.journal is None:
        raise NoTransactionError(
            cls.__qualname__,
            f"goes to {recorder!r}, which records in the transaction around an emission, and its scope "
            "ends without one that was committed",
            "Begin and commit one in the block: with the session, or the connection, that the scope's "
            "release is of. Or let the outbox record in a transaction of its own: "
            "Outbox(..., standalone=True).",
            1,
        )


def _order(cls: type[Any]) -> str:
    return cls.__qualname__


def _classes(
    flush: Flush, wave: Wave, allowed: Positions, overrides: Overrides | None, *, awaits: bool
) -> tuple[set[type[Any]], set[type[Any]]]:
    """Return the classes that need a handler, and those whose overrides may call on to one.

    Raises:
        AsyncHandlerError: an override must be awaited, and the flush is sync.
    """
    positions = range(len(wave.intents)) if allowed is None else allowed
    if overrides is None:
        return {type(wave.intents[i]) for i in positions}, set()
    needing, asking = set[type[Any]](), set[type[Any]]()
    checked = set[Link]()
    for i in positions:
        cls, link = type(wave.intents[i]), overrides.of(i)
        if link is None:
            needing.add(cls)
        elif link.reaches_handler:
            asking.add(cls)
        while link is not None and link not in checked:
            checked.add(link)
            given = link.override.given
            _check_fit(given, cls, located(given), awaits=awaits)
            _check_interceptors(flush, cls, located(given), awaits=awaits)
            link = link.outer
    return needing, asking - needing


def _check_interceptors(flush: Flush, cls: type[Any], handler: str, *, awaits: bool) -> None:
    for interceptor in flush.engine.interceptors:
        needs = f"for its interceptor {located(interceptor)}"
        _check_fit(interceptor, cls, handler, needs, awaits=awaits)


def _check_fit(
    function: Any, cls: type[Any], handler: str, needs: str = "", *, awaits: bool
) -> None:
    """Refuse what must be awaited, in a sync flush.

    Raises:
        AsyncHandlerError: it must be.
    """
    if not awaits and is_async(function):
        raise AsyncHandlerError(handler, cls.__qualname__, False, needs)  # noqa: FBT003 - a fact


def _check_options(flush: Flush, wave: Wave) -> None:
    for i, options in wave.options.items():
        if wave.outcomes[i] == Outcome.PENDING:
            dispatch = flush.engine.dispatch_in(wave, type(wave.intents[i]))
            for name in options.given():
                if name not in dispatch.options:
                    raise UnsupportedOptionError(repr(wave.intents[i]), name, repr(dispatch))


# -- composing ------------------------------------------------------------------------------------


def compose(flush: Flush, handler: Handler, retry: RetryPolicy | None, *, awaits: bool) -> Handler:
    """Return a handler with everything around it that an attempt of it goes through."""
    call = handler
    for interceptor in reversed(flush.engine.interceptors):
        call = Wrapped(interceptor, call)
    if flush.observers.watch_attempts:
        call = _watched(flush, call, handler, awaits=awaits)
    return call if retry is None else _retried(call, retry, awaits=awaits)


def _handing_over(flush: Flush, dispatch: Dispatcher, *, awaits: bool) -> Handler:
    """Return what hands an intent over; to a recorder, all that a wave has for it."""
    handler: Any = dispatch.dispatch

    def hand_over(_: Any) -> object:
        return dispatch.dispatch(running().deliveries()[-1])

    if isinstance(dispatch, Recorder):
        handler = dispatch.arecord_alone if awaits else dispatch.record_alone

        def hand_over(_: Any) -> object:
            return handler(running().deliveries())

    return (
        _watched(flush, hand_over, handler, awaits=awaits)
        if flush.observers.watch_attempts
        else hand_over
    )


def _watched(flush: Flush, call: Handler, handler: Handler, *, awaits: bool) -> Handler:
    """Return a call whose attempts the observers are called for."""
    observers = flush.observers
    current, started, ends = here.get, observers.started, observers.watch_ends

    def watched(subject: Any) -> object:
        under_way: Runs | None = current().running
        deliveries = (under_way or running()).deliveries()
        started(deliveries)
        try:
            result = call(subject)
            if result is not None and isawaitable(result):
                if awaits:
                    return rest(result, deliveries)
                refuse(handler, subject, result)
        except BaseException as error:
            observers.ended(deliveries, error)
            raise
        if ends:
            observers.ended(deliveries, None)
        return result

    async def rest(awaitable: Awaitable[Any], deliveries: Sequence[Delivery]) -> object:
        try:
            result = await awaitable
        except BaseException as error:
            observers.ended(deliveries, error)
            raise
        observers.ended(deliveries, None)
        return result

    return watched


def _retried(call: Handler, retry: RetryPolicy, *, awaits: bool) -> Handler:
    """Return a call that is repeated under a policy. One that succeeds costs next to nothing."""
    on = retry.on

    def first(subject: Any) -> object:
        began = 0.0 if retry.timeout is None else monotonic()
        try:
            result = call(subject)
        except PartialFailure:
            raise
        except on as error:
            attempts = _Attempts(call, subject, error)
            if awaits:
                return retry.acall(attempts.arun, began)
            return retry.call(attempts.run, began)
        if awaits and result is not None and isawaitable(result):
            return rest(subject, result, began)
        return result

    async def rest(subject: Any, awaitable: Awaitable[Any], began: float) -> object:
        try:
            return await awaitable
        except PartialFailure:
            raise
        except on as error:
            attempts = _Attempts(call, subject, error)
        return await retry.acall(attempts.arun, began)

    return first


class _Attempts:
    """The attempts of a call of which the first has failed.

    Args:
        call: to repeat.
        subject: to call it with.
        error: of the first attempt, which is raised again, so that the policy counts it.
    """

    def __init__(self, call: Handler, subject: Any, error: Exception) -> None:
        self._call = call
        self._subject = subject
        self._error: BaseException = error
        self._begun = False

    def run(self) -> object:
        """Attempt it; what the attempt before has emitted is discarded."""
        self._begin()
        try:
            return self._call(self._subject)
        except BaseException as error:
            self._error = error
            raise

    async def arun(self) -> object:
        """Do what ``run`` does, awaiting the result."""
        self._begin()
        try:
            result = self._call(self._subject)
            return await result if isawaitable(result) else result
        except BaseException as error:
            self._error = error
            raise

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            raise self._error
        running().again(self._error)


# -- arranging ------------------------------------------------------------------------------------


def arrange(
    flush: Flush, wave: Wave, positions: Positions, overrides: Overrides | None, *, awaits: bool
) -> Calls:
    """Return what is to be called for the intents of a wave that are allowed, in order."""
    classes = wave.classes
    whole = range(len(wave.intents)) if positions is None else positions
    if overrides is None and len(classes) == 1:
        work = flush.works.get(next(iter(classes)))
        subjects = wave.intents if positions is None else [wave.intents[i] for i in positions]
        if work is not None and not work.batch:
            handed = () if work.dispatch is INLINE else whole
            return Calls(subjects, positions, work.call, None, handed)
        if work is not None and (wave.uniform or work.binding is None):
            wave.batches.update((members[-1], members) for members in _cut(work, whole))
            handed = () if work.dispatch is INLINE else whole
            return Calls(list(_cut(work, subjects)), list(wave.batches), work.call, None, handed)
    return _Arrangement(flush, wave, overrides, awaits=awaits).calls(whole)


def _cut(work: Work, members: Sequence[T]) -> Iterator[Sequence[T]]:
    size = (work.binding and work.binding.size) or max(len(members), 1)
    for start in range(0, len(members), size):
        yield members[start : start + size]


class _Arrangement:
    """The calls of a wave that differ.

    Args:
        flush: of which the wave is a part.
        wave: which has been resolved.
        overrides: of the wave.
        awaits: whether handlers may be async.
    """

    def __init__(
        self, flush: Flush, wave: Wave, overrides: Overrides | None, *, awaits: bool
    ) -> None:
        self._flush = flush
        self._wave = wave
        self._overrides = overrides
        self._awaits = awaits
        self._composed: dict[Link, Handler] = {}

    def calls(self, positions: Sequence[int]) -> Calls:
        """Return what is to be called for the intents at some positions."""
        wave, works = self._wave, self._flush.works
        batching = {cls for cls in wave.classes if cls in works and works[cls].batch}
        if batching:
            wave.batches.update(self._batches(positions, batching))
        subjects, places, each, handed = list[Any](), list[int](), list[Handler](), list[int]()
        for i in positions:
            subject = wave.intents[i]
            link = None if self._overrides is None else self._overrides.of(i)
            if link is not None:
                if link.override.call is None:
                    wave.outcomes[i] = Outcome.DROPPED
                    wave.deciders[i] = "override"
                    continue
                call = self._overridden(link, type(subject))
            else:
                work = works[type(subject)]
                call = work.call
                if type(subject) in batching:
                    if i not in wave.batches:
                        continue  # it is called with the last member
                    subject = [wave.intents[member] for member in wave.batches[i]]
                if work.dispatch is not INLINE:
                    handed += wave.batches.get(i, (i,))
            subjects.append(subject)
            places.append(i)
            each.append(call)
        return Calls(subjects, places, None, each, handed)

    def _batches(
        self, positions: Sequence[int], batching: set[type[Any]]
    ) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield the batches of some classes, each with the position of its last member."""
        wave, works = self._wave, self._flush.works
        groups: dict[Hashable, list[int]] = {}
        for i in positions:
            cls = type(wave.intents[i])
            if cls in batching and (self._overrides is None or self._overrides.of(i) is None):
                binding = works[cls].binding
                key: Hashable = works[cls].dispatch
                if binding is not None:
                    key = (binding, wave.batch_key(i, headers=not binding.mix_headers))
                groups.setdefault(key, []).append(i)
        for members in groups.values():
            for batch in _cut(works[type(wave.intents[members[0]])], members):
                yield batch[-1], batch

    def _overridden(self, link: Link, cls: type[Any]) -> Handler:
        """Return the call of the intents of a class under some overrides."""
        if link not in self._composed and self._overrides is not None:
            handler = self._overrides.handler(link, self._original(cls))
            self._composed[link] = compose(self._flush, handler, None, awaits=self._awaits)
        return self._composed[link]

    def _original(self, cls: type[Any]) -> Handler:
        """Return what an override may call on to."""
        engine = self._flush.engine
        handler, binding = self._flush.resolved.get(cls), engine.binding(cls)
        if handler is None or binding is None:
            known = tuple(c.__qualname__ for c in engine.handlers)

            def missing(_: Any) -> object:
                raise UnhandledIntentError((cls.__qualname__,), known)

            return missing
        return (lambda intent: handler([intent])) if binding.batch else handler
