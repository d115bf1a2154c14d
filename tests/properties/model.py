"""The reference model: the rules of airlock once more, plain and slow. Here: what there is.

It is written from the rules and not from the code, and holds every intent as an object that knows
the region it was emitted in. Everything is decided by walking from there outwards. ``world`` says
what blocks and emissions do to it, ``flushing`` what becomes of the intents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

from airlock import Outcome
from tests.properties.vocabulary import Rule, Seen, Work

Fate = Literal["waiting", "open", "committed", "rolled back"]


@attrs.define(eq=False)
class Fake:
    """An override: a handler in place of another."""

    name: str
    calls_on: bool = False


@attrs.define(eq=False)
class Segment:
    """A transaction or a savepoint, or the one to come."""

    around: Segment | None = None
    own: Fate = "waiting"

    @property
    def fate(self) -> Fate:
        return self.own if self.around is None or self.own == "rolled back" else self.around.fate


@attrs.define(eq=False)
class Database:
    """What a transactional release looks at."""

    stack: list[Segment] = attrs.Factory(lambda: [Segment()])
    waiting: list[Node] = attrs.Factory(list)

    def end(self, fate: Fate) -> None:
        self.stack[0].own = fate
        self.stack = [Segment()]


@attrs.define(eq=False)
class Boundary:
    """What a boundary was told."""

    name: str
    rules: tuple[Rule, ...]
    fail_fast: bool
    max_depth: int
    batch: int | None


@attrs.define(eq=False)
class Node:
    """A region. That of a scope has a boundary, and an outermost one ``delivers``.

    That of an enclosure has ``landings`` in the regions of scopes that were opened before it. One
    that ``keeps`` is not thrown away with an error.
    """

    up: Node | None = None
    rules: tuple[Rule, ...] = ()
    enclosing: tuple[Rule, ...] = ()
    fakes: dict[type[Work], Fake | None] = attrs.Factory(dict)
    boundary: Boundary | None = None
    delivers: bool = False
    database: Database | None = None
    encloses: bool = False
    keeps: bool = False
    content: list[Item | Node] = attrs.Factory(list)
    landings: dict[Node, Node] = attrs.Factory(dict)
    doom: BaseException | None = None
    report: Report | None = None

    def outwards(self) -> Iterator[Node]:
        """It, and the regions whose policies hold here too."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.up

    @property
    def scope(self) -> Node | None:
        return next((node for node in self.outwards() if node.boundary), None)

    def belongs_to(self, boundary: Boundary) -> bool:
        return self.scope is not None and self.scope.boundary is boundary

    @property
    def root(self) -> Node | None:
        return next((node for node in self.outwards() if node.delivers), None)

    def below(self) -> Iterator[Item]:
        """Everything emitted in it: what a nested region holds stands where that opened."""
        for part in self.content:
            yield from part.below() if isinstance(part, Node) else (part,)

    def within(self, other: Node) -> bool:
        """Whether its intents are part of the other's."""
        return self.root is other.root and other in self.outwards()

    def kept(self) -> Iterator[Item]:
        return (item for item in self.below() if item.against is None)


@attrs.define(eq=False)
class Item:
    """One emission, and what became of it."""

    intent: Work
    home: Node
    ordering_key: str | None = None
    segment: Segment | None = None
    unsaid: BaseException | None = None
    causes: tuple[Item, ...] = ()
    wave: int = 0
    outcome: Outcome = Outcome.PENDING
    by: list[object] = attrs.Factory(list)
    attempts: int = 0

    @property
    def against(self) -> object:
        """What throws it away: the innermost reason."""
        if self.unsaid is not None:
            return self.unsaid
        if self.segment is not None and self.segment.fate == "rolled back":
            return "rollback"
        dooms = (node.doom for node in self.home.outwards() if node.root is self.home.root)
        return next((doom for doom in dooms if doom is not None), None)

    @property
    def ancestors(self) -> tuple[Work, ...]:
        return tuple(w for cause in self.causes for w in (cause.intent, *cause.ancestors))

    @property
    def overrides(self) -> list[tuple[Node, Fake | None]]:
        """Innermost first; in each region along the classes of the intent."""
        return [
            (node, node.fakes[base])
            for node in self.home.outwards()
            for base in [next((b for b in type(self.intent).__mro__ if b in node.fakes), None)]
            if base is not None
        ]

    def faked(self) -> tuple[Node, ...]:
        """The regions around it that override handlers."""
        return tuple(node for node in self.home.outwards() if node.fakes)

    def seen(self, *, held: bool) -> Seen:
        apart = (self.ordering_key, self.faked(), held)
        return Seen(self.intent, self.ancestors, apart, self.wave)


@attrs.define(eq=False)
class Wave:
    items: list[Item]
    decided: bool = False


@attrs.define(eq=False)
class Report:
    boundary: Boundary
    waves: list[Wave] = attrs.Factory(list)
    discarded: list[tuple[Item, object]] = attrs.Factory(list)
    allowed: dict[tuple[Node, int], list[Work]] = attrs.Factory(dict)

    def unfinished(self) -> list[Wave]:
        again = (Outcome.PENDING, Outcome.FAILED)
        waves = [([i for i in wave.items if i.outcome in again], wave) for wave in self.waves]
        return [
            Wave([attrs.evolve(i, outcome=Outcome.PENDING, by=[]) for i in items], wave.decided)
            for items, wave in waves
            if items
        ]


@attrs.define(eq=False)
class Attempt(Node):
    """The region of one attempt of a handler."""

    causes: tuple[Item, ...] = ()
