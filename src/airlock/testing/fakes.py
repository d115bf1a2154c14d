"""Fakes: a boundary that delivers to fakes only, and handlers that follow a script."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from airlock.boundary.boundary import Boundary
from airlock.dispatch import INLINE, Dispatcher, Route
from airlock.effects.place import Place, shown
from airlock.emissions.delivery import Delivery
from airlock.emissions.emission import Emission
from airlock.errors import DeliveryError, UnfakedIntentError
from airlock.handlers.table import Wiring, handler_table
from airlock.policies.policy import And, PolicyLike, View, seats
from airlock.policies.recorder import Recorder
from airlock.policies.verdict import ALLOW, Verdict
from airlock.scopes.current import deliveries

__all__ = ["FakeHandler", "fake_boundary"]


def fake_boundary(
    handlers: Wiring, *, policy: PolicyLike | None = None, **options: Any
) -> Boundary:
    """Return a boundary for tests: every intent that would be delivered needs a fake.

    Args:
        handlers: the fakes, by intent class.
        policy: as for ``Boundary``.
        **options: whatever else ``Boundary`` takes, but for ``dispatch``.

    Returns:
        A boundary. A flush that meets an intent without a fake raises ``UnfakedIntentError``, with
        the place of the emission and the line to add, before anything of it runs.

    Example:
        >>> from airlock.testing import fake_boundary
        >>> sent = []
        >>> with fake_boundary({NotifyWarehouse: sent.append}).scope() as effects:
        ...     effects.emit(NotifyWarehouse(42))
        >>> sent
        [NotifyWarehouse(order_id=42)]
    """
    emitted = Places()
    faked = handler_table(handlers)
    dispatch = Route(dict.fromkeys(faked, INLINE), default=Unfaked(emitted, tuple(faked)))
    around = emitted if policy is None else And((*seats(policy), emitted))
    return Boundary(handlers, policy=around, dispatch=dispatch, **options)


class Places(Recorder):
    """Remembers where each class was emitted last, and lets everything pass."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last: dict[type[Any], Place] = {}

    def record(self, emission: Emission, /) -> None:
        self.last[type(emission.intent)] = emission.place

    def decide(self, view: View, /) -> Sequence[Verdict]:
        return [ALLOW] * len(view)


class Unfaked(Dispatcher):
    """Carries nothing, and raises where what it should carry was emitted."""

    options = frozenset({"id", "delay", "ordering_key", "dedupe_key", "headers"})

    def __init__(self, emitted: Places, known: tuple[type[Any], ...]) -> None:
        self._emitted = emitted
        self._known = tuple(cls.__qualname__ for cls in known)

    def check(self, cls: type[Any], /) -> None:
        where = shown(self._emitted.last.get(cls))
        raise UnfakedIntentError((cls.__qualname__,), self._known, where)


class FakeHandler:
    """A handler that notes what it is called with, and does what its script says.

    Args:
        *script: a step for each call: an exception to raise, a function to call with the intent,
            anything else to return. Without a script, every call returns None.

    Attributes:
        calls: what each call was given: an intent, or the list of a batch.
        intents: the same in one list, in order; of a batch, each member.
        deliveries: their ids, attempts and headers.

    Example:
        >>> from airlock.testing import FakeHandler
        >>> notify = FakeHandler(ConnectionError("down"), None, None)
        >>> with Boundary({NotifyWarehouse: notify}).scope() as effects:
        ...     effects.emit_all([NotifyWarehouse(1), NotifyWarehouse(2)])
        Traceback (most recent call last):
            ...
        airlock.FlushError: 1 of 2 effects failed: ...
        >>> effects.report.resume().summary()
        '1 delivered'
        >>> notify.intents == [NotifyWarehouse(1), NotifyWarehouse(2), NotifyWarehouse(1)]
        True
    """

    def __init__(self, *script: Any) -> None:
        self.calls: list[Any] = []
        self.intents: list[Any] = []
        self.deliveries: list[Delivery] = []
        self._script = script

    def __call__(self, intent: Any) -> Any:
        self.calls.append(intent)
        self.intents += intent if isinstance(intent, list) else [intent]
        with suppress(DeliveryError):  # called by the test itself
            self.deliveries += deliveries()
        if not self._script:
            return None
        if len(self.calls) > len(self._script):
            raise AssertionError(
                f"call {len(self.calls)} of {self!r}, whose script has {len(self._script)} "
                f"step(s): {intent!r}"
            )
        return _done(self._script[len(self.calls) - 1], intent)

    def __deepcopy__(self, _: dict[int, Any]) -> FakeHandler:
        return self  # a container copies its providers, and the test looks at this one

    def __repr__(self) -> str:
        return f"FakeHandler({', '.join(map(repr, self._script))})"


def _done(step: Any, intent: Any) -> Any:
    if isinstance(step, BaseException) or (
        isinstance(step, type) and issubclass(step, BaseException)
    ):
        raise step
    return step(intent) if callable(step) else step
