"""Programs of every shape, on airlock and on the model at once."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import airlock
from airlock import Options, Scope, Segment
from airlock.release import OnFlushError
from tests.properties import model
from tests.properties.rig import Interrupt, Rig, compare, drive, error_of, pause
from tests.properties.strategies import (
    boundaries,
    fakes,
    idle_works,
    policies,
    single_policies,
    works,
)
from tests.properties.vocabulary import RULES, Broken, Work, policy
from tests.properties.world import World

MAX_BLOCKS = 7


@attrs.define(eq=False)
class Transactions:
    """A release of the smallest kind: a stack of a transaction and its savepoints."""

    on_flush_error: OnFlushError
    stack: list[Segment] = attrs.Factory(lambda: [Segment()])

    def segment(self) -> Segment:
        return self.stack[-1]

    def end(self, how: Callable[[Segment], None]) -> None:
        ended, self.stack = self.stack[0], [Segment()]
        how(ended)


@attrs.define(eq=False)
class Block:
    """An open block, of airlock and of the model."""

    real: Any
    node: model.Node
    scope: Scope | None = None


@attrs.define(eq=False)
class Reports:
    expected: model.Report
    real: airlock.Report
    resumed: bool = False
    left_before: int = 0


class Programs(RuleBasedStateMachine):
    """Each rule does one thing to both, and what airlock raises is what the model foretells."""

    def __init__(self) -> None:
        super().__init__()
        self.context = contextvars.copy_context()
        self.world = World()
        self.blocks: list[Block] = []
        self.roots: list[Block] = []
        self.ended: list[Block] = []
        self.reports: list[Reports] = []
        self.emissions = 0

    @initialize(
        one=boundaries("one"),
        other=boundaries("other"),
        asynchronous=st.booleans(),
        plain=st.booleans(),
        on_flush_error=st.sampled_from(("report", "raise")),
        begins_with=st.sampled_from(("nothing", "scope", "scope", "transaction")),
    )
    def start(
        self,
        one: tuple[str, model.Boundary],
        other: tuple[str, model.Boundary],
        asynchronous: bool,
        plain: bool,
        *,
        on_flush_error: OnFlushError,
        begins_with: str,
    ) -> None:
        self.asynchronous = asynchronous
        self.rig = Rig(pause if asynchronous else None)
        self.told = {told.name: told for _, told in (one, other)}
        self.real = {
            told.name: self.rig.boundary(told, default, plain=plain)
            for default, told in (one, other)
        }
        self.database = model.Database()
        self.transactions = Transactions(on_flush_error)
        if begins_with != "nothing":
            transactional = begins_with == "transaction"
            self.open_scope("one", "", independent=False, transactional=transactional)
        if self.blocks and self.blocks[0].node.database:
            self.begin()

    # -- blocks -----------------------------------------------------------------------------------

    @precondition(lambda self: len(self.blocks) < MAX_BLOCKS)
    @rule(
        name=st.sampled_from(("one", "one", "other")),
        chosen=st.just("") | policies,
        independent=st.sampled_from((False, False, False, True)),
        transactional=st.booleans(),
        keeps=st.sampled_from((False, False, True)),
    )
    def open_scope(
        self, name: str, chosen: str, independent: bool, transactional: bool, keeps: bool = False
    ) -> None:
        told = self.told[name]
        nested = not independent and any(b.node.belongs_to(told) for b in self.blocks)
        transactional = transactional and not nested and not self.asynchronous
        node = self.world.open_scope(
            told,
            RULES.get(chosen, ()),
            independent,
            self.database if transactional else None,
            keeps=keeps,
        )
        scope = self.real[name].scope(
            policy=policy(chosen),
            independent=independent,
            release=self.transactions if transactional else None,
            keep=(lambda _: True) if keeps else None,
        )
        self._enter(Block(scope, node, scope))
        if node.delivers:
            self.roots.append(self.blocks[-1])

    @precondition(lambda self: 0 < len(self.blocks) < MAX_BLOCKS and self.blocks[-1].node.root)
    @rule(chosen=policies)
    def open_region(self, chosen: str) -> None:
        node = self.world.open_region(RULES[chosen])
        self._enter(Block(airlock.region(policy(chosen) or airlock.Allow()), node))

    @precondition(lambda self: len(self.blocks) < MAX_BLOCKS)
    @rule(chosen=single_policies)
    def enclose(self, chosen: str) -> None:
        node = self.world.open_region(RULES[chosen], encloses=True)
        self._enter(Block(airlock.enclose(policy(chosen) or airlock.Allow()), node))

    @precondition(lambda self: 0 < len(self.blocks) < MAX_BLOCKS and self._scopes())
    @rule(which=st.integers(0), chosen=fakes())
    def override(self, which: int, chosen: dict[type[Work], model.Fake | None]) -> None:
        block = self._scopes()[which % len(self._scopes())]
        assert block.scope is not None
        node = self.world.open_override(block.node, chosen)
        self._enter(Block(block.scope.override(self.rig.fakes(chosen)), node))

    @precondition(lambda self: self.blocks)
    @rule(fails=st.sampled_from((None, None, Broken, Interrupt)))
    def leave(self, fails: type[BaseException] | None) -> None:
        """An interrupt goes on bare, whatever fails besides."""
        block = self.blocks.pop()
        error = None if fails is None else fails(f"block {len(self.blocks)}")
        expected = self.world.leave(error)
        if isinstance(error, Interrupt) or (error and expected == "NoTransactionError"):
            expected = ""
        self.ended += [block] if block.scope is not None else []
        kind = type(error) if error else None
        if self.asynchronous and block.scope is not None:
            left = error_of(
                lambda: self._run(lambda: drive(block.real.__aexit__(kind, error, None)))
            )
        else:
            left = error_of(lambda: self._run(lambda: block.real.__exit__(kind, error, None)))
        assert left == expected, (left, expected)
        self._compare()

    def _enter(self, block: Block) -> None:
        self._run(block.real.__enter__)
        self.blocks.append(block)

    # -- emissions --------------------------------------------------------------------------------

    @rule(
        work=works,
        which=st.none() | st.integers(0),
        ordering_key=st.sampled_from((None, None, "a", "b")),
    )
    def emit(self, work: Work, which: int | None, ordering_key: str | None) -> None:
        through: Block | None = None
        if which is not None and self._scopes():
            through = self._scopes()[which % len(self._scopes())]
        expected = self.world.emit(work, None if through is None else through.node, ordering_key)
        options = None if ordering_key is None else Options(ordering_key=ordering_key)
        scope = None if through is None else through.scope
        if expected == "dropped":
            self._run(lambda: airlock.emit(work, options))
        else:
            emit = lambda: self.rig.emit(work, scope, options)  # noqa: E731 - it is run in a context
            assert error_of(lambda: self._run(emit)) == expected

    @precondition(lambda self: self._scopes())
    @rule(work=works, which=st.integers(0))
    def emit_from_a_thread(self, work: Work, which: int) -> None:
        through = self._scopes()[which % len(self._scopes())]
        expected = self.world.emit_from_a_thread(work, through.node)
        thread = contextvars.Context()
        emit = lambda: self.rig.emit(work, through.scope)  # noqa: E731 - as above
        assert error_of(lambda: thread.run(emit)) == expected

    @precondition(lambda self: self.ended)
    @rule(work=works, which=st.integers(0), here=st.booleans())
    def emit_into_an_ended_scope(self, work: Work, which: int, here: bool) -> None:
        ended = self.ended[which % len(self.ended)].scope
        context = self.context if here else contextvars.Context()
        emit = lambda: self.rig.emit(work, ended)  # noqa: E731 - as above
        for _ in range(2):
            assert error_of(lambda: context.run(emit)) == "ClosedRegionError"

    @precondition(lambda self: self._scopes())
    @rule(which=st.integers(0))
    def emit_nothing(self, which: int) -> None:
        scope = self._scopes()[which % len(self._scopes())].scope
        assert scope is not None
        self._run(lambda: scope.emit_all([]))

    @precondition(lambda self: self.blocks)
    @rule(several=st.lists(idle_works, min_size=2, max_size=5))
    def emit_some(self, several: list[Work]) -> None:
        for work in several:
            self.emit(work, None, None)

    # -- transactions -----------------------------------------------------------------------------

    @precondition(lambda self: self._in_transaction(0))
    @rule()
    def begin(self) -> None:
        self.database.stack[0].own = "open"
        self.transactions.stack[0].begin()

    @precondition(lambda self: self._in_transaction(1))
    @rule()
    def begin_savepoint(self) -> None:
        self.database.stack.append(model.Segment(self.database.stack[-1]))
        self.transactions.stack.append(self.transactions.stack[-1].nested())

    @precondition(lambda self: self._in_transaction(2))
    @rule(kept=st.booleans())
    def end_savepoint(self, kept: bool) -> None:
        ended, segment = self.database.stack.pop(), self.transactions.stack.pop()
        if not kept:
            ended.own = "rolled back"
            segment.roll_back()

    @precondition(lambda self: self._in_transaction(1))
    @rule(commits=st.sampled_from((True, True, False)))
    def end_transaction(self, commits: bool) -> None:
        errors = self.world.end_transaction(
            self.database, "committed" if commits else "rolled back"
        )
        how = Segment.commit if commits else Segment.roll_back
        raised = error_of(lambda: self._run(lambda: self.transactions.end(how)))
        assert raised == ("+".join(errors) if self.transactions.on_flush_error == "raise" else "")
        self._compare()

    def _in_transaction(self, deep: int) -> bool:
        """Whether there is something to roll back: 1 is a transaction, 2 a savepoint in it."""
        if not any(block.node.database for block in self.roots):
            return False
        begun = self.database.stack[0].own == "open"
        return len(self.database.stack) >= deep if begun and deep else begun == bool(deep)

    # -- after a flush ----------------------------------------------------------------------------

    @precondition(lambda self: any(not reports.resumed for reports in self.reports))
    @rule(which=st.integers(0))
    def resume(self, which: int) -> None:
        fresh = [reports for reports in self.reports if not reports.resumed]
        reports = fresh[which % len(fresh)]
        reports.resumed = True
        expected, error = self.world.resume(reports.expected)
        made = list[airlock.Report]()

        def resume() -> None:
            try:
                before = reports.real
                made.append(drive(before.aresume()) if self.asynchronous else before.resume())
            except airlock.AirlockError as raised:
                made.extend(() if raised.report is None else (raised.report,))
                raise

        assert error_of(lambda: self._run(resume)) == error
        assert error_of(lambda: self._run(resume)) == "ResumeError"
        left = len(reports.real.failed) + len(reports.real.pending)
        self.reports.append(Reports(expected, made[0], left_before=left))
        self._compare()

    # -- stories that chance would seldom tell -----------------------------------------------------

    @precondition(lambda self: len(self.blocks) < MAX_BLOCKS)
    @rule(several=st.lists(works, min_size=1, max_size=3))
    def interrupted_after_its_work(self, several: list[Work]) -> None:
        """It is kept all the same, and may fail."""
        self.open_scope("one", "", independent=True, transactional=False, keeps=True)
        for work in several:
            self.emit(work, None, None)
        self.leave(fails=Interrupt)

    @precondition(lambda self: len(self.blocks) < MAX_BLOCKS)
    @rule(several=st.lists(works, min_size=1, max_size=3), chosen=single_policies)
    def flushed_in_an_enclosure(self, several: list[Work], chosen: str) -> None:
        """By a commit after its block; or, where handlers are async, by a resume."""
        self.open_scope("one", "", independent=True, transactional=True)
        if self._in_transaction(0):
            self.begin()
        for work in several:
            self.emit(work, None, None)
        self.leave(fails=None)
        self.enclose(chosen)
        if self._in_transaction(1):
            self.end_transaction(commits=True)
        fresh = [reports for reports in self.reports if not reports.resumed]
        if fresh:
            self.resume(len(fresh) - 1)
        self.leave(fails=None)

    # -- what always holds ------------------------------------------------------------------------

    @invariant()
    def buffers_read_as_the_model(self) -> None:
        for block in self.blocks:
            scope, node = block.scope, block.node
            if scope is not None:
                kept = list(node.kept())
                assert scope == [item.intent for item in kept]
                assert scope.own == [i.intent for i in kept if i.home.scope is node]
                assert scope.captured == [i.intent for i in kept if i.home.scope is not node]

    @invariant()
    def nothing_else_was_delivered(self) -> None:
        if hasattr(self, "rig"):
            assert self.rig.log == self.world.log

    def _compare(self) -> None:
        """Everything that was decided so far."""
        for block in [block for block in self.roots if block.node.report is not None]:
            assert block.node.report is not None
            self.roots.remove(block)
            self.reports.append(Reports(block.node.report, block.real.report))
        for reports in self.reports:
            compare(reports.expected, reports.real)

    def teardown(self) -> None:
        """Every program ends: nothing is open, and every intent is in one report exactly."""
        if not hasattr(self, "rig"):
            return
        while self.blocks:
            self.leave(fails=None)
        if self.database.stack[0].own == "open":
            self.end_transaction(commits=True)
        assert not self.roots
        self.nothing_else_was_delivered()
        told = sum(len(reports.real) - reports.left_before for reports in self.reports)
        assert told == len(self.rig.emitted)

    def _scopes(self) -> list[Block]:
        return [block for block in self.blocks if block.scope is not None]

    def _run(self, call: Callable[[], Any]) -> Any:
        return self.context.run(call)


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(max_examples=4 * settings().max_examples)
