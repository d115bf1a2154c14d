"""A handler may bring a release: its own transaction decides about what it emits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from dependency_injector import containers

import airlock
from airlock import Boundary, FlushError, Segment
from airlock.effects.place import shown
from airlock.errors import ReleaseError, ScopeStateError
from airlock.release import OnFlushError


@airlock.intent(kind="handler-releases.job")
class Job:
    name: str


@airlock.intent(kind="handler-releases.note")
class Note:
    text: str


class SurpriseError(Exception):
    """Fails a handler."""


class Own:
    """A release whose transaction a handler ends by hand."""

    on_flush_error: OnFlushError = "report"

    def __init__(self) -> None:
        self.now = Segment(begun=True)

    def segment(self) -> Segment:
        return self.now


Work = Callable[[Job, Own], None]


def commit(job: Job, own: Own) -> None:
    airlock.emit(Note(job.name))
    own.now.commit()


def roll_back(job: Job, own: Own) -> None:
    airlock.emit(Note(job.name))
    own.now.roll_back()


def commit_and_fail(job: Job, own: Own) -> None:
    commit(job, own)
    own.now = Segment()
    airlock.emit(Note(f"{job.name}, after the commit"))
    raise SurpriseError


def roll_back_and_fail(job: Job, own: Own) -> None:
    roll_back(job, own)
    raise SurpriseError


def write_nothing(job: Job, own: Own) -> None:
    own.now.wrote = False
    airlock.emit(Note(job.name))
    own.now.close()


def write_nothing_and_fail(job: Job, own: Own) -> None:
    write_nothing(job, own)
    raise SurpriseError


def in_a_region(job: Job, own: Own) -> None:
    with airlock.region(airlock.Allow()):
        roll_back(job, own)


class Shop:
    """A boundary whose jobs work in a scope with a release of their own."""

    def __init__(self, work: Work, *, way: str = "plain") -> None:
        self.work = work
        self.done: list[str] = []
        around = [lambda subject, call_next: call_next(subject)] if way == "call by call" else []
        jobs = self.awaited if way == "async" else self.job
        self.boundary = Boundary({Job: jobs, Note: self.note}, interceptors=around)
        self.way = way

    def job(self, job: Job) -> None:
        own = Own()
        with self.boundary.scope(release=own):
            self.work(job, own)

    async def awaited(self, job: Job) -> None:
        own = Own()
        async with self.boundary.scope(release=own):
            await asyncio.sleep(0)
            self.work(job, own)

    def note(self, note: Note) -> None:
        self.done.append(note.text)

    def run(self, *names: str) -> airlock.Report:
        scope = self.boundary.scope()

        async def arun() -> None:
            async with scope:
                scope.emit_all(map(Job, names))

        try:
            if self.way == "async":
                asyncio.run(arun())
            else:
                with scope:
                    scope.emit_all(map(Job, names))
        except FlushError:
            pass
        return scope.report


ways = pytest.mark.parametrize("way", ["plain", "call by call", "async"])


@ways
@pytest.mark.parametrize(
    ("work", "done", "failed"),
    [
        (commit, ["a", "b"], 0),
        (roll_back, [], 0),
        (commit_and_fail, ["a", "b"], 2),
        (roll_back_and_fail, [], 2),
        (write_nothing, ["a", "b"], 0),
        (write_nothing_and_fail, [], 2),
        (in_a_region, [], 0),
    ],
)
def test_its_transaction_decides(way: str, work: Work, done: list[str], failed: int) -> None:
    """What is rolled back is discarded, and what is committed is kept, whatever fails later."""
    shop = Shop(work, way=way)
    report = shop.run("a", "b")
    assert shop.done == done
    assert len(report.failed) == failed
    assert len(report.delivered) == len(done) + 2 - failed
    emitted = len(report) - 2
    assert len(report.discarded) == emitted - len(done)
    assert not report.pending


@ways
def test_one_that_is_left_open_fails_the_handler(way: str) -> None:
    """The error names the intent and its line; nobody would ever decide about it."""

    def leave(job: Job, _: Own) -> None:
        airlock.emit(Note(job.name))

    shop = Shop(leave, way=way)
    report = shop.run("a", "b")
    assert (shop.done, report.failed) == ([], [Job("a"), Job("b")])
    error = next(entry.by for entry in report if entry.intent == Job("a"))
    assert isinstance(error, ReleaseError)
    line = leave.__code__.co_firstlineno + 1
    assert f"emitted Note(text='a') at {shown((__file__, line))}" in str(error)


def test_a_report_that_is_resumed_emits_again() -> None:
    """As the transaction of the second attempt is another one."""
    shop = Shop(commit_and_fail)
    report = shop.run("a")
    shop.work = commit
    assert report.resume().ok
    assert shop.done == ["a", "a"]


def test_a_retry_emits_again() -> None:
    """What a failed attempt has committed stays, and what it rolled back does not."""
    attempts: list[str] = []

    def work(job: Job, own: Own) -> None:
        attempts.append(job.name)
        airlock.emit(Note(f"{job.name} {len(attempts)}"))
        if len(attempts) == 1:
            own.now.commit()
            raise SurpriseError
        if len(attempts) == 2:
            own.now.roll_back()
            raise SurpriseError
        own.now.commit()

    shop = Shop(work)
    retry = airlock.RetryPolicy(on=SurpriseError, max_attempts=3, wait_initial=timedelta())
    container = containers.DynamicContainer()
    container.job = airlock.Handles(Job, shop.job, retry=retry)
    container.note = airlock.Handles(Note, shop.note)
    shop.boundary = Boundary(container)
    assert not shop.run("a").failed
    assert shop.done == ["a 1", "a 3"]


def test_a_follow_up_brings_its_own() -> None:
    """Each handler of a chain has a transaction."""

    def work(job: Job, own: Own) -> None:
        airlock.emit(Note(job.name))
        if len(job.name) < 4:
            airlock.emit(Job(job.name + "a"))
        if len(job.name) == 3:
            own.now.roll_back()
        else:
            own.now.commit()

    shop = Shop(work)
    shop.run("a")
    assert shop.done == ["a", "aa"]


def test_a_nested_flush_in_a_handler_has_handlers_of_its_own() -> None:
    """An independent scope in a handler, whose handlers bring releases as well."""

    def work(job: Job, own: Own) -> None:
        if job.name == "outer":
            with shop.boundary.scope(independent=True) as inner:
                inner.emit(Job("inner"))
            assert shop.done == []
        roll_back(job, own) if job.name == "inner" else commit(job, own)

    shop = Shop(work)
    shop.run("outer")
    assert shop.done == ["outer"]


def test_it_may_be_given_later() -> None:
    """For a session that is made inside the scope; what came before stays with the handler."""

    def job(job: Job) -> None:
        own = Own()
        with shop.boundary.scope() as effects:
            airlock.emit(Note("before"))
            effects.release_with(own)
            roll_back(job, own)

    shop = Shop(commit)
    shop.boundary = Boundary({Job: job, Note: shop.note})
    shop.run("a")
    assert shop.done == ["before"]


def test_the_release_of_the_outer_scope_has_no_say() -> None:
    """The handler's scope has its own, and what the handler emits outside of it is the outer one's."""
    outer = Own()

    def job(job: Job) -> None:
        outer.now = Segment(begun=True)
        airlock.emit(Note("outer"))
        shop.job(job)
        outer.now.roll_back()

    shop = Shop(commit)
    shop.boundary = Boundary({Job: job, Note: shop.note})
    with shop.boundary.scope(release=outer) as effects:
        effects.emit(Job("own"))
        outer.now.commit()
    assert shop.done == ["own"]


def test_one_transaction_decides_in_a_handler() -> None:
    """A second release, in a scope inside of that, is refused there as anywhere."""

    def job(_: Job) -> None:
        with shop.boundary.scope(release=Own()), shop.boundary.scope() as inner:
            with pytest.raises(ReleaseError, match="outermost"):
                inner.release_with(Own())
            with pytest.raises(ReleaseError, match="outermost"), shop.boundary.scope(release=Own()):
                pass
            refused.append(True)

    refused: list[bool] = []
    shop = Shop(commit)
    shop.boundary = Boundary({Job: job, Note: shop.note})
    shop.run("a")
    assert refused == [True]


def test_the_scope_that_is_being_flushed_takes_none() -> None:
    """It is of the unit of work before; the error says what to open."""

    def job(_: Job) -> None:
        with pytest.raises(ScopeStateError, match=r"with boundary\.scope\(release=\.\.\.\)"):
            airlock.current().release_with(Own())
        shop.done.append("refused")

    shop = Shop(commit)
    shop.boundary = Boundary({Job: job, Note: shop.note})
    shop.run("a")
    assert shop.done == ["refused"]
