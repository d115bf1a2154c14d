"""Recording: what goes to an outbox is decided and written right before the COMMIT that decides it.

An emission that cannot be recorded is refused where it happens. Else a step is enlisted in its
transaction, once for each scope, and each attempt of a handler that emits in one of its own::

    emission ──check──► region ──enlist──► segment ──before_commit──► collect → decide → record

What was decided there is left out of the flush, whatever became of it; the report has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import attrs

from airlock.dispatch import Recorder, dispatch_of
from airlock.emissions.delivery import Delivery
from airlock.emissions.flat import Flat
from airlock.emissions.region import Region
from airlock.emissions.segments import segment_of, unrecorded
from airlock.emissions.wave import Ledger, Outcome, Wave, chain, holding
from airlock.emissions.wave import Recording as Recorded
from airlock.errors import CascadeError, NotRecordedError, UnsupportedOptionError
from airlock.flushing.gather import above, enclose, wave_of
from airlock.release import Fate, Segment
from airlock.scopes.current import judge, shared
from airlock.scopes.scope import CLOSED, OPEN, WAITING, Recordings

if TYPE_CHECKING:
    from airlock.flushing.engine import Engine

__all__ = ["Recording", "Step"]


class Recording:
    """The way from the scopes of a boundary to its outboxes, through their transactions.

    Args:
        engine: of the boundary.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._routes: dict[type[Any], Recorder | None] = {}
        self._checked: set[type[Any]] = set()

    def of(self, cls: type[Any]) -> Recorder | None:
        """Return the recorder that an intent class goes to; None if it goes elsewhere."""
        try:
            return self._routes[cls]
        except KeyError:
            found = dispatch_of(self._engine.dispatch, cls)
            recorder = self._routes[cls] = found if isinstance(found, Recorder) else None
            return recorder

    # -- at the emission --------------------------------------------------------------------------

    def check(self, region: Region, intent: Any, /) -> None:
        """Refuse an emission that cannot be recorded.

        Raises:
            NotRecordedError: no transaction decides, or that of another database.
            Exception: the recorder cannot carry the class.
        """
        cls = type(intent)
        recorder = self.of(cls)
        if recorder is None or any(one.swallows for one in region.recorders):
            return
        if _is_overridden(region, cls):
            return
        if cls not in self._checked:
            recorder.check(cls)
            self._checked.add(cls)
        segment = None if region.segment is None else region.segment()
        if segment is not None:
            _check_database(region, intent, recorder)
        elif not recorder.standalone:
            raise _no_transaction(region, intent, recorder)

    def enlist(self, region: Region, segment: Segment, /) -> None:
        """Have what is emitted in a region recorded before the COMMIT of its transaction."""
        segment.enlist(Step(self, _collecting(region)))

    # -- before the COMMIT ------------------------------------------------------------------------

    def record(self, root: Region, transaction: Segment, connection: object) -> None:
        """Decide and record what was emitted in a transaction, and not recorded so far.

        Args:
            root: the region of a scope, or of an attempt of a handler.
            transaction: which.
            connection: its connection.

        Raises:
            Exception: the COMMIT must not happen.
        """
        if root.running is None and root.scope.state not in (OPEN, CLOSED, WAITING):
            return
        if shared and root.running is None:
            enclose(root)
        keeps = partial(_not_in, transaction)
        flat = Flat(root, keeps=keeps, chooses=self._recordable)
        if not flat.intents:
            return
        flat_own = [region for _, _, region in flat.spans]
        flat.spans += above(root, flat)
        wave, recordings, ledger = _wave(root, flat, flat_own)
        recording = Recorded(wave, transaction, ledger)
        try:
            self._decide(wave, ledger)
            self._write(wave, transaction, connection)
        except BaseException as error:
            recording.undo()
            error.add_note(
                f"Raised right before the COMMIT, while {len(wave.intents)} intent(s) were recorded in "
                "its transaction: the COMMIT was not sent, and the transaction is rolled back."
            )
            raise
        recordings.append(recording)
        for region, start, end in flat.places:
            if region.recorded is None:
                region.recorded = {}
            region.recorded.update(dict.fromkeys(range(start, end), transaction))

    def _recordable(self, region: Region, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the stretches of a region's own intents that go to a recorder, and are not there."""
        for low, high in unrecorded(region, start, end):
            begun = low
            for at in range(low, high):
                cls = type(region[at])
                if self.of(cls) is None or _is_overridden(region, cls):
                    if begun < at:
                        yield begun, at
                    begun = at + 1
            if begun < high:
                yield begun, high

    def _decide(self, wave: Wave, ledger: Ledger) -> None:
        if wave.spans and wave.judged:
            judge(lambda: wave.decide(ledger))
        wave.decided = True
        max_depth = self._engine.max_depth
        if wave.depth_after(wave.origin) > max_depth:
            from airlock.flushing.flush import too_deep  # noqa: PLC0415 - which runs the engine

            error: CascadeError = too_deep(wave, 0, max_depth)
            raise error

    def _write(self, wave: Wave, transaction: Segment, connection: object) -> None:
        deliveries: dict[Recorder, list[Delivery]] = {}
        positions = [i for i, code in enumerate(wave.outcomes) if code == Outcome.PENDING]
        for i in positions:
            recorder = self.of(type(wave.intents[i]))
            if recorder is not None:
                _check_options(wave, i, recorder)
                deliveries.setdefault(recorder, []).append(Delivery(wave, i, 1, inline=False))
        for recorder, those in deliveries.items():
            recorder.record(those, connection)
        for i in positions:
            wave.outcomes[i] = Outcome.RECORDED
        for recorder in deliveries:
            transaction.when_ended(recorder.nudge)


@attrs.frozen
class Step:
    """The step that records what was emitted below a region, enlisted in a transaction."""

    recording: Recording = attrs.field(eq=False, repr=False)
    root: Region

    def __call__(self, transaction: Segment, connection: object) -> None:
        self.recording.record(self.root, transaction, connection)


def _collecting(region: Region) -> Region:
    """Return the region of the attempt of a handler, or of the outermost scope, that it is below."""
    outermost: Region = region.scope.outermost.region
    return next(one for one in chain(region) if one.running is not None or one is outermost)


def _wave(root: Region, flat: Flat, own: list[Region]) -> tuple[Wave, list[Recorded], Ledger]:
    """Return a wave of some intents below a region, where it is kept, and what was allowed before."""
    if root.running is None:
        scope = root.scope
        if scope.recordings is None:
            scope.recordings = Recordings()
        holding(scope.recordings.all)
        return wave_of(scope, flat), scope.recordings.all, scope.recordings.ledger
    parent: Wave
    parent, ledger = root.running.under_way
    holding(parent.recordings)
    causes = [root.cause] * len(flat.intents)
    wave = Wave(parent.number + 1, parent.root, flat, parent=parent, causes=causes)
    home = parent.home(root.cause)
    wave.opened([*own, *takewhile(lambda one: one is not home, chain(root))])
    return wave, parent.recordings, ledger


def _not_in(transaction: Segment, stamp: object) -> object:
    """Return a reason against what was not emitted in a transaction, or is rolled back in it."""
    segment = segment_of(stamp)
    if segment is None or segment.transaction is not transaction:
        return "elsewhere"
    return "rollback" if segment.fate is Fate.ROLLED_BACK else None


def _is_overridden(region: Region, cls: type[Any]) -> bool:
    """Return True if an override stands for the delivery of a class, at the flush."""
    return any(
        base in one.overrides for one in chain(region) if one.overrides for base in cls.__mro__
    )


def _check_options(wave: Wave, position: int, recorder: Recorder) -> None:
    options = wave.options.get(position)
    for name in () if options is None else options.given():
        if name not in recorder.options:
            raise UnsupportedOptionError(repr(wave.intents[position]), name, repr(recorder))


def _check_database(region: Region, intent: Any, recorder: Recorder) -> None:
    scope = region.scope
    release = scope.release or scope.outermost.release
    identity = getattr(release, "identity", None)
    database = None if identity is None else identity()
    if database is None:
        raise NotRecordedError(
            repr(intent),
            f"goes to {recorder!r}, and {region.described()} releases with a transaction in which "
            "nothing can be recorded",
            "Use a release of a session or connection that is bound to the outbox's database; one of "
            "your own needs identity() and Segment.before_commit().",
        )
    if database != recorder.identity:
        raise NotRecordedError(
            repr(intent),
            f"goes to {recorder!r}, in {_shown(recorder.identity)}, and {region.described()} releases "
            f"with a transaction in {_shown(database)}",
            "An outbox is a table beside the data that the transaction writes. Make an Outbox of that "
            "database, or release with a transaction in the outbox's.",
        )


def _no_transaction(region: Region, intent: Any, recorder: Recorder) -> NotRecordedError:
    scope = region.scope
    has_release = scope is not None and (scope.release or scope.outermost.release) is not None
    if region.running is not None and has_release:
        problem = f"{region.described()} has no transaction of its own"
        hint = "Open one there: with boundary.scope(release=on_commit(session)). "
    elif has_release:
        problem = f"in {region.described()} each statement commits by itself"
        hint = "Begin a transaction before it is emitted. "
    else:
        problem = f"{region.described()} has no release with a transaction"
        hint = "Give it one: boundary.scope(release=on_commit(session)). "
    return NotRecordedError(
        repr(intent),
        f"goes to {recorder!r}, which records in the transaction around it, and {problem}",
        f"{hint}Or let the outbox record in a transaction of its own: Outbox(..., standalone=True).",
    )


def _shown(identity: object) -> str:
    """Return a database for messages; one in memory has a number that says nothing."""
    if not isinstance(identity, tuple):
        return str(identity)
    return " ".join("in memory" if isinstance(i, int) and i > 65_535 else str(i) for i in identity)
