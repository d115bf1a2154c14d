"""One program, three ways to drive its flush: sync, async, and async with several handlers at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import airlock
from airlock import Boundary, Options, Report
from airlock.errors import AirlockError
from tests.properties import model
from tests.properties.rig import Rig, drive, pause
from tests.properties.strategies import boundaries, policies, works
from tests.properties.vocabulary import Broken, Call, Mail, Work, policy

Told = tuple[str, model.Boundary]
Program = Sequence[Any]
"""Intents with an ordering key, and ``(kind, policy, spoiled, program)`` for blocks."""

_emission = st.tuples(works, st.sampled_from((None, None, "a", "b")))
programs: st.SearchStrategy[Program] = st.recursive(
    st.lists(_emission, max_size=4),
    lambda inner: st.lists(
        _emission
        | st.tuples(
            st.sampled_from(("region", "scope", "independent", "override")),
            policies,
            st.booleans(),
            inner,
        ),
        max_size=4,
    ),
    max_leaves=8,
)


class Run:
    """A program on a boundary; blocks are entered sync or async, and nothing else differs."""

    def __init__(self, boundary: Boundary, rig: Rig, *, asynchronous: bool) -> None:
        self.boundary = boundary
        self.rig = rig
        self.asynchronous = asynchronous
        self.reports: list[Report] = []
        self.errors: list[str] = []

    async def run(self, program: Program) -> None:
        await self._block(self.boundary.scope(), program, spoiled=False)
        for report in list(self.reports):
            if self.asynchronous:
                with self._noted():
                    self.reports.append(await report.aresume())
            else:
                with self._noted():
                    self.reports.append(report.resume())

    async def _program(self, program: Program) -> None:
        for part in program:
            if len(part) == 2:
                work, key = part
                with self._noted():
                    self.rig.emit(work, None, None if key is None else Options(ordering_key=key))
                continue
            kind, chosen, spoiled, inner = part
            blocks: dict[str, Any] = {
                "region": lambda name=chosen: airlock.region(policy(name) or airlock.Allow()),
                "scope": lambda name=chosen: self.boundary.scope(policy=policy(name)),
                "independent": lambda name=chosen: self.boundary.scope(
                    policy=policy(name), independent=True
                ),
                "override": lambda: airlock.current().override(
                    {Work: lambda intent, call_next: call_next(intent)}
                ),
            }
            await self._block(blocks[kind](), inner, spoiled=spoiled)

    async def _block(self, block: Any, program: Program, *, spoiled: bool) -> None:
        with self._noted(), contextlib.suppress(Broken):
            if self.asynchronous and isinstance(block, airlock.Scope):
                async with block:
                    await self._spoil(program, spoiled=spoiled)
            else:
                with block:
                    await self._spoil(program, spoiled=spoiled)
        if isinstance(block, airlock.Scope) and block.outermost is block:
            self.reports.append(block.report)

    async def _spoil(self, program: Program, *, spoiled: bool) -> None:
        await self._program(program)
        if spoiled:
            raise Broken("block")

    @contextlib.contextmanager
    def _noted(self) -> Any:
        try:
            yield
        except AirlockError as error:
            self.errors.append(type(error).__name__)

    def told(self) -> list[list[tuple[object, ...]]]:
        """What the reports say."""
        return [
            [
                (e.intent, e.outcome.word, e.wave, _by(e.by), e.cause and e.cause.intent)
                for e in report
            ]
            for report in self.reports
        ]


def _by(why: object) -> object:
    return type(why).__name__ if isinstance(why, Exception) else why


def told(program: Program, told_boundary: Told, checkpoint: Any, concurrency: int = 1) -> Run:
    rig = Rig(checkpoint)
    default, boundary = told_boundary
    made = rig.boundary(boundary, default, concurrency=concurrency)
    return Run(made, rig, asynchronous=checkpoint is not None)


@given(programs, boundaries("one"))
def test_async_is_sync(program: Program, boundary: Told) -> None:
    sync, asynchronous = told(program, boundary, None), told(program, boundary, pause)
    for run in (sync, asynchronous):
        drive(run.run(program))
    assert asynchronous.rig.log == sync.rig.log
    assert asynchronous.errors == sync.errors
    assert asynchronous.told() == sync.told()


@given(programs, boundaries("one"), st.integers(2, 5), st.randoms(use_true_random=False))
def test_any_concurrency_gives_the_same_report(
    program: Program, boundary: Told, concurrency: int, dice: Any
) -> None:
    """Unless it stops at the first failure, which depends on who is first."""
    boundary[1].fail_fast = False

    async def wander() -> None:
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(0)

    alone = told(program, boundary, pause)
    drive(alone.run(program))
    together = told(program, boundary, wander, concurrency)
    asyncio.run(together.run(program))
    assert together.errors == alone.errors
    assert together.told() == alone.told()
    assert sorted(map(repr, together.rig.log)) == sorted(map(repr, alone.rig.log))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(1, 6))
def test_a_report_does_not_tell_who_was_first(naps: list[int], concurrency: int) -> None:
    """What failed attempts emitted stands in the order of their causes, too."""

    async def fail(mail: Mail) -> None:
        airlock.emit(Call(mail.key))
        for _ in range(naps[mail.key]):
            await asyncio.sleep(0)
        raise Broken

    async def main() -> Report:
        scope = Boundary({Mail: fail}, concurrency=concurrency).scope()
        with contextlib.suppress(airlock.FlushError):
            async with scope:
                airlock.emit_all(map(Mail, range(len(naps))))
        return scope.report

    report = asyncio.run(main())
    assert report.failed == [Mail(key) for key in range(len(naps))]
    assert report.discarded == [Call(key) for key in range(len(naps))]
