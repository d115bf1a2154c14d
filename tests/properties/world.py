"""The reference model: blocks, emissions and transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.properties.flushing import run
from tests.properties.model import (
    Attempt,
    Boundary,
    Database,
    Fake,
    Fate,
    Item,
    Node,
    Report,
    Wave,
)
from tests.properties.vocabulary import Rule, Seen, Work


class World:
    """What is open here, and what was delivered so far."""

    def __init__(self) -> None:
        self.stack: list[Node] = []
        self.log: list[object] = []

    # -- blocks -----------------------------------------------------------------------------------

    def open_scope(
        self,
        boundary: Boundary,
        rules: Sequence[Rule],
        independent: bool,
        database: Database | None,
        *,
        keeps: bool = False,
    ) -> Node:
        around, passed = self._outwards(lambda node: node.belongs_to(boundary))
        enclosing = tuple(rule for node in passed for rule in node.enclosing)
        nested = around is not None and not independent
        outermost = () if around is not None else boundary.rules
        node = Node(
            around,
            (*rules, *outermost),
            enclosing,
            boundary=boundary,
            delivers=not nested,
            keeps=keeps,
            database=around.root.database if nested and around and around.root else database,
        )
        return self._open(node, around if nested else None)

    def open_region(self, rules: Sequence[Rule], *, encloses: bool = False) -> Node:
        around = self.stack[-1] if self.stack and self.stack[-1].scope else None
        node = Node(around, () if encloses else tuple(rules), encloses=encloses)
        node.enclosing = tuple(rules) if encloses else ()
        return self._open(node, around)

    def open_override(self, scope: Node, fakes: dict[type[Work], Fake | None]) -> Node:
        around = self._region_of(scope)
        return self._open(Node(around, fakes=fakes), around)

    def _open(self, node: Node, into: Node | None) -> Node:
        if into is not None:
            into.content.append(node)
        self.stack.append(node)
        return node

    def _outwards(self, wanted: Callable[[Node], bool]) -> tuple[Node | None, list[Node]]:
        """The innermost open region like this, and the enclosures on the way to it."""
        passed: list[Node] = []
        for node in reversed(self.stack):
            if wanted(node):
                return node, passed
            passed += [node] if node.encloses else []
        return None, passed

    def _region_of(self, scope: Node) -> Node:
        """Where an emission through a scope lands: each enclosure passed has one region there."""
        around, passed = self._outwards(lambda node: node.within(scope))
        assert around is not None
        for enclosure in reversed(passed):
            around = self._landing(enclosure, around)
        return around

    @staticmethod
    def _landing(enclosure: Node, around: Node) -> Node:
        if around not in enclosure.landings:
            landing = Node(around, enclosing=enclosure.enclosing)
            around.content.append(landing)
            enclosure.landings[around] = landing
        return enclosure.landings[around]

    def below_enclosures(self, home: Node) -> Node:
        """Where handlers emit: below the open enclosures that their cause does not know."""
        known = [rule for node in home.outwards() for rule in node.enclosing]
        for enclosure in [node for node in self.stack if node.encloses]:
            if not all(rule in known for rule in enclosure.enclosing):
                home = self._landing(enclosure, home)
        return home

    def emit_from_a_thread(self, intent: Work, through: Node) -> str:
        """Nothing is current there; returns as ``emit`` does."""
        inside = self.stack[self.stack.index(through) + 1 :]
        if any(node.encloses or node.within(through) for node in inside):
            return "OpenElsewhereError"
        return self._take(intent, through, None)

    def emit(
        self, intent: Work, through: Node | None = None, ordering_key: str | None = None
    ) -> str:
        """Returns the name of the error there should be, or nothing."""
        home = self.stack[-1] if self.stack else None
        if through is not None:
            home = self._region_of(through)
        if home is None or home.root is None:
            return self._scopeless(intent)
        return self._take(intent, home, ordering_key)

    def _scopeless(self, intent: Work) -> str:
        """Enclosures may drop what is emitted with no scope open, and nothing else."""
        for node in reversed(self.stack):
            for rule in node.enclosing:
                if isinstance(intent, rule.refuses):
                    return "RefusedError"
                (ought,) = rule.decide([Seen(intent)], [])
                if ought == "drop":
                    return "dropped"
        return "NoScopeError"

    def _take(self, intent: Work, home: Node, ordering_key: str | None) -> str:
        assert home.root is not None
        rules = [rule for node in home.outwards() for rule in node.rules + node.enclosing]
        if any(isinstance(intent, rule.refuses) for rule in rules):
            return "RefusedError"
        database = home.root.database
        segment = None if database is None or self.handling(home) else database.stack[-1]
        cause = next((node.causes for node in home.outwards() if isinstance(node, Attempt)), ())
        wave = cause[-1].wave + 1 if cause else 0
        home.content.append(Item(intent, home, ordering_key, segment, causes=cause, wave=wave))
        return ""

    @staticmethod
    def handling(node: Node) -> bool:
        return any(isinstance(n, Attempt) for n in node.outwards() if n.root is node.root)

    def leave(self, error: BaseException | None = None) -> str:
        """Leave the innermost block; returns the name of the error there should be.

        Only the blocks of scopes decide what is kept.
        """
        node = self.stack.pop()
        root = node.root
        if root is None:
            return ""
        if error is not None and node.boundary is not None and not node.keeps:
            self._fail(node, error)
        if not node.delivers or node.boundary is None:
            return ""
        if root.doom is not None:
            root.report = Report(node.boundary, discarded=self._discarded(root))
        elif any(i.segment and i.segment.fate == "open" for i in root.kept()) and root.database:
            root.database.waiting.append(root)
        else:
            return self.flush(root)
        return ""

    def _fail(self, node: Node, error: BaseException) -> None:
        """Throw a block away, or where a transaction decides, what was emitted without one."""
        if node.root is None or node.root.database is None or self.handling(node):
            node.doom = error
            return
        for item in node.below():
            if item.segment is not None and item.segment.fate == "waiting":
                item.unsaid = item.unsaid or error

    @staticmethod
    def _discarded(node: Node) -> list[tuple[Item, object]]:
        return [(item, item.against) for item in node.below() if item.against is not None]

    def end_transaction(self, database: Database, fate: Fate) -> list[str]:
        """Commit or roll back; returns the errors of the flushes that waited for it."""
        database.end(fate)
        waiting, database.waiting = database.waiting, []
        return [error for root in waiting if (error := self.flush(root))]

    # -- flushing ---------------------------------------------------------------------------------

    def flush(self, root: Node) -> str:
        assert root.boundary is not None
        report = root.report = Report(root.boundary, discarded=self._discarded(root))
        kept = list(root.kept())
        return run(self, report, [Wave(kept)])

    def resume(self, before: Report) -> tuple[Report, str]:
        report = Report(before.boundary, allowed=before.allowed)
        return report, run(self, report, before.unfinished())
