"""``Report``: what became of every intent, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from airlock.effects.describe import short, stable_repr
from airlock.effects.registry import spec_of
from airlock.emissions.columns import columns
from airlock.emissions.flat import Discarded
from airlock.emissions.wave import Ledger, Outcome, Wave
from airlock.errors import ResumeError
from airlock.policies.policy import shown_policy

if TYPE_CHECKING:
    from uuid import UUID

    from airlock.flushing.engine import Engine
    from airlock.observers import Observer

__all__ = ["Report", "ReportEntry"]


@attrs.frozen
class ReportEntry:
    """The outcome of one intent.

    Attributes:
        intent: the value.
        outcome: what became of it.
        by: what decided that: a policy, an error, what threw it away, or for a merged intent
            the one that stands for it; None if it was delivered or is pending.
        wave: 0 if the block emitted it, n if n handlers stand between.
        cause: the entry of the intent whose handler emitted it.
        interrupted: whether it was in flight when the flush was interrupted.
    """

    intent: Any
    outcome: Outcome
    by: object
    wave: int
    cause: ReportEntry | None = attrs.field(repr=False)
    interrupted: bool = False
    _find_id: Callable[[], UUID] | None = attrs.field(default=None, repr=False, eq=False)

    @property
    def id(self) -> UUID | None:
        """Its id; None if it never came to be decided."""
        return None if self._find_id is None else self._find_id()


class Report:
    """The outcomes of all intents of a scope. Every intent is in it exactly once.

    Made when a scope flushes or discards, and complete whatever happens in between. It prints as
    a table; ``tree()`` draws causes and follow-ups.

    Attributes:
        waves: the waves that were decided, in order.
    """

    def __init__(self, engine: Engine, ledger: Ledger | None = None) -> None:
        self.waves: list[Wave] = []
        self.thrown_away: list[Discarded] = []
        self.ledger: Ledger = {} if ledger is None else ledger
        self._engine = engine
        self.scope: Callable[[], Any] = _no_scope
        self.unattended: Callable[[], object] | None = None
        """Called when somebody makes a plan of what is held, or looks at it."""
        # How it was flushed, for a resume: as the scope says, and with the scope's observers.
        self.fail_fast: bool | None = None
        self.observers: tuple[Observer, ...] = ()
        self._resumed = False
        self.parked = False
        """Whether what failed or is pending is stored in an outbox, where it is retried."""

    # -- reading ----------------------------------------------------------------------------------

    @property
    def delivered(self) -> list[Any]:
        """Intents whose handlers ran."""
        return self._with(Outcome.DELIVERED)

    @property
    def handed_over(self) -> list[Any]:
        """Intents that an engine took over."""
        return self._with(Outcome.HANDED_OVER)

    @property
    def recorded(self) -> list[Any]:
        """Intents that were written to an outbox."""
        return self._with(Outcome.RECORDED)

    @property
    def dropped(self) -> list[Any]:
        """Intents that a policy dropped."""
        return self._with(Outcome.DROPPED)

    @property
    def held(self) -> list[Any]:
        """Intents that a policy holds."""
        self.attend()
        return self._with(Outcome.HELD)

    @property
    def merged(self) -> list[Any]:
        """Intents that another one stands for."""
        return self._with(Outcome.MERGED)

    @property
    def failed(self) -> list[Any]:
        """Intents whose handlers raised."""
        return self._with(Outcome.FAILED)

    @property
    def pending(self) -> list[Any]:
        """Intents that were not run yet."""
        return self._with(Outcome.PENDING)

    @property
    def discarded(self) -> list[Any]:
        """Intents thrown away with their block, transaction or failed attempt."""
        parts = [part for part, _ in self.thrown_away]
        parts += [part for wave in self.waves for part, _, _ in wave.discarded]
        return [intent for part in parts for intent in part]

    @property
    def ok(self) -> bool:
        """True if nothing failed and nothing is pending."""
        return not any(
            wave.outcomes.count(code)
            for wave in self.waves
            for code in (Outcome.FAILED, Outcome.PENDING)
        )

    @property
    def errors(self) -> list[BaseException]:
        """The errors of failed intents, in order; one that failed several intents is there once."""
        found = {id(e): e for wave in self.waves for _, e in sorted(wave.errors.items())}
        return list(found.values())

    @property
    def counts(self) -> dict[Outcome, int]:
        """The number of intents that ended in each outcome; outcomes of none are left out."""
        found = Counter[int]()
        for wave in self.waves:
            delivered = wave.outcomes.count(Outcome.DELIVERED)
            found[Outcome.DELIVERED] += delivered
            if delivered < len(wave.outcomes):
                found.update(code for code in wave.outcomes if code != Outcome.DELIVERED)
        found[Outcome.DISCARDED] = len(self.discarded)
        return {Outcome(code): found[code] for code in sorted(found) if found[code]}

    @property
    def entries(self) -> list[ReportEntry]:
        """One entry for each intent: wave by wave in order, then what was thrown away."""
        made: dict[int, list[ReportEntry]] = {}
        entries = list[ReportEntry]()
        for wave in self.waves:
            entries += self._of_wave(wave, made)
        for intents, reason in self.thrown_away:
            entries += [ReportEntry(i, Outcome.DISCARDED, reason, 0, None) for i in intents]
        for wave in self.waves:
            for intents, reason, at in wave.discarded:
                cause = made[id(wave)][at]
                entries += [
                    ReportEntry(i, Outcome.DISCARDED, reason, wave.number + 1, cause)
                    for i in intents
                ]
        return entries

    def of(self, cls: type[Any]) -> list[ReportEntry]:
        """Return the entries of one intent class, subclasses included."""
        return [entry for entry in self.entries if isinstance(entry.intent, cls)]

    def __iter__(self) -> Iterator[ReportEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __bool__(self) -> bool:
        return True

    def _with(self, code: Outcome) -> list[Any]:
        return [
            intent
            for wave in self.waves
            for intent, is_code in zip(wave.intents, wave.outcomes, strict=False)
            if is_code == code
        ]

    def _of_wave(self, wave: Wave, made: dict[int, list[ReportEntry]]) -> list[ReportEntry]:
        causes: list[ReportEntry] = []
        if wave.parent is not None:
            if id(wave.parent) not in made:  # the causes of a resumed report are in the one before
                self._of_wave(wave.parent, made)
            causes = made[id(wave.parent)]
        entries = made[id(wave)] = [
            ReportEntry(
                intent,
                Outcome(wave.outcomes[i]),
                _decider(wave, i),
                wave.number,
                causes[wave.causes[i]] if causes else None,
                i in wave.interrupted,
                partial(wave.id_of, i),
            )
            for i, intent in enumerate(wave.intents)
        ]
        return entries

    def attend(self) -> None:
        """Note that somebody took care of what is held."""
        if self.unattended is not None:
            self.unattended()

    # -- going on ---------------------------------------------------------------------------------

    def resume(self, *, interrupted: bool = False) -> Report:
        """Run what failed or is pending, with the verdicts already given. Once per report.

        Args:
            interrupted: also run what was in flight when the flush was interrupted; its effect
                may have happened.

        Returns:
            A new report, of what was run now and its follow-ups.

        Raises:
            ResumeError: it was resumed before.
            FlushError: some failed again; its report can be resumed in turn.
        """
        return self._engine.resume(self, self._unfinished(interrupted=interrupted))

    async def aresume(self, *, interrupted: bool = False) -> Report:
        """Do what ``resume`` does, where handlers are async."""
        return await self._engine.aresume(self, self._unfinished(interrupted=interrupted))

    def _unfinished(self, *, interrupted: bool) -> list[Wave]:
        if self.parked:
            raise ResumeError(
                "what this report has left is stored in an outbox, so that nothing is left to resume "
                "here. Run it there: `airlock outbox retry`."
            )
        if self._resumed:
            raise ResumeError(
                "this report was resumed before, and running its effects twice is not what it is "
                "for: resume the report that resume() returned, or that of the FlushError it raised."
            )
        self._resumed = True
        again = (wave.unfinished(interrupted=interrupted) for wave in self.waves)
        return [wave for wave in again if wave is not None]

    def take_back(self, resumed: Report) -> None:
        """Note what a resume that was interrupted came to, so that the rest can be resumed again."""
        places: dict[int, tuple[Wave, Sequence[int]]] = {}
        for wave in resumed.waves:
            before = wave.restore()
            if before is not None:
                places[id(wave)] = before
                continue
            if id(wave.parent) in places:
                wave.follow(*places[id(wave.parent)])
            self.waves.append(wave)
        self._resumed = False

    # -- showing ----------------------------------------------------------------------------------

    def summary(self) -> str:
        """Return one line: ``2 delivered, 1 dropped``."""
        return ", ".join(f"{n} {code.word}" for code, n in self.counts.items()) or "no effects"

    def table(self, limit: int | None = 50, *, width: int | None = None) -> str:
        """Return a row for each intent, and the summary.

        Args:
            limit: how many rows at the most; None for all.
            width: of the lines in characters, into which long intents are folded; by default that
                of the terminal, or 120 where there is none.
        """
        entries = self.entries
        shown = entries if limit is None else entries[:limit]
        rows = [("outcome", "wave", "intent", "by")]
        rows += [(e.outcome.word, str(e.wave), repr(e.intent), _by(e)) for e in shown]
        lines = columns(rows, width=width, right=1, folds=(2, 3))
        if len(shown) < len(entries):
            lines.append(f"... and {len(entries) - len(shown)} more: report.table(limit=None)")
        return "\n".join([*lines, self.summary()])

    def tree(self) -> str:
        """Causes with their follow-ups below them."""
        children: dict[int, list[ReportEntry]] = {}
        entries = self.entries
        present = {id(entry) for entry in entries}
        for entry in entries:
            above = id(entry.cause) if id(entry.cause) in present else 0
            children.setdefault(above, []).append(entry)
        lines: list[str] = []
        # A stack of its own: a cascade may be deeper than the interpreter's.
        stack = [(entry, "", "", "") for entry in reversed(children.get(0, []))]
        while stack:
            entry, lead, branch, below = stack.pop()
            lines.append(
                f"{lead}{branch}{entry.intent!r}  {entry.outcome.word} {_by(entry)}".rstrip()
            )
            kids = children.get(id(entry), [])
            for i, kid in reversed(list(enumerate(kids))):
                last = i == len(kids) - 1
                stack.append(
                    (kid, lead + below, "└── " if last else "├── ", "    " if last else "│   ")
                )
        return "\n".join(lines)

    def to_json(self, *, ids: bool = False, indent: int | None = None) -> str:
        """Return the entries as JSON: kind, intent, outcome, by, wave and the index of the cause.

        Stable across runs, unless ids are asked for. Sensitive values are hidden.

        Args:
            ids: include the id of each intent.
            indent: as ``json.dumps`` takes it.
        """
        entries = self.entries
        index = {id(entry): i for i, entry in enumerate(entries)}
        rows: list[dict[str, Any]] = []
        for entry in entries:
            row: dict[str, Any] = {
                "kind": spec_of(type(entry.intent)).kind,
                "intent": stable_repr(entry.intent),
                "outcome": entry.outcome.word,
                "by": _by(entry).removeprefix("by ") or None,
                "wave": entry.wave,
                "cause": index.get(id(entry.cause)),
            }
            rows.append({**row, "id": str(entry.id) if entry.id else None} if ids else row)
        return json.dumps(rows, indent=indent, ensure_ascii=False)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Report: {self.summary()}>"


def _no_scope() -> None:
    """Stands for the weak reference to the scope, where there is none."""


def _decider(wave: Wave, i: int) -> object:
    if i in wave.merged:
        return wave.intents[wave.merged[i]]
    return wave.errors.get(i, wave.deciders.get(i))


def shown(decider: object) -> str:
    """Return what decided about an intent, without addresses."""
    if isinstance(decider, BaseExceptionGroup):
        return short(decider)
    return shown_policy(decider) if callable(decider) else stable_repr(decider)


def _by(entry: ReportEntry) -> str:
    if entry.by is None:
        return ""
    lead = {Outcome.MERGED: "into ", Outcome.FAILED: ""}.get(entry.outcome, "by ")
    text = entry.by if isinstance(entry.by, str) else shown(entry.by)
    mark = " (interrupted)" if entry.interrupted else ""
    return f"{lead}{text}{mark}"
