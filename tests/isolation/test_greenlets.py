"""Greenlets are to each other as threads are, with and without monkey patching."""

from __future__ import annotations

import contextvars
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gevent
import greenlet
import pytest

import airlock
from airlock import Boundary, Drop, Outcome
from airlock.errors import NoScopeError, OpenElsewhereError, ScopeOrderError
from tests.isolation.vocabulary import Note, Notes

GREENLETS = 50

pytestmark = pytest.mark.filterwarnings("ignore:.*threading cannot be imported:RuntimeWarning")


def test_a_greenlet_does_not_inherit_the_scope() -> None:
    notes = Notes()
    with notes.boundary().scope() as effects:
        with pytest.raises(NoScopeError):
            gevent.spawn(airlock.emit, Note("lost")).get()
        with pytest.raises(NoScopeError):
            greenlet.greenlet(airlock.current).switch()
        airlock.emit(Note("mine"))
        assert effects == [Note("mine")]
    assert notes.delivered == ["mine"]


def test_a_greenlet_is_refused_while_a_block_of_the_scope_is_open_elsewhere() -> None:
    notes = Notes()
    boundary = notes.boundary()
    with boundary.scope() as effects:
        with boundary.scope(policy=Drop()) as inner:
            for start in (lambda f, *a: gevent.spawn(f, *a).get(), _in_greenlet):
                with pytest.raises(OpenElsewhereError):
                    start(effects.emit, Note("past the policy"))
                start(inner.emit, Note("under it"))
                start(contextvars.copy_context().run, effects.emit, Note("under it too"))
        gevent.spawn(effects.emit, Note("after")).get()
    assert notes.delivered == ["after"]
    assert effects.report.counts == {Outcome.DELIVERED: 1, Outcome.DROPPED: 4}


def _in_greenlet(call: Callable[..., object], *args: object) -> None:
    greenlet.greenlet(call).switch(*args)


def test_what_a_greenlet_opens_is_not_current_elsewhere() -> None:
    notes = Notes()
    boundary = notes.boundary()

    def work(name: str) -> None:
        with boundary.scope() as effects:
            for i in range(3):
                gevent.sleep(0)
                assert airlock.current() is effects
                airlock.emit(Note(f"{name}{i}"))
        with pytest.raises(NoScopeError):
            airlock.current()

    first, second = gevent.spawn(work, "a"), gevent.spawn(work, "b")
    gevent.sleep(0)
    with pytest.raises(NoScopeError):
        airlock.current()
    gevent.joinall([first, second], raise_error=True)
    assert notes.delivered == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_greenlets_that_switch_while_handlers_run_never_mix() -> None:
    delivered: dict[str, list[str]] = {}

    def deliver(note: Note) -> None:
        gevent.sleep(0)
        name, _, what = note.text.partition(" ")
        delivered.setdefault(name, []).append(what)
        assert airlock.delivery().intent is note
        if what == "ask":
            airlock.emit(Note(f"{name} answer"))
            gevent.sleep(0)
            airlock.emit(Note(f"{name} again"))

    boundary = Boundary({Note: deliver})

    def work(name: str) -> None:
        for _ in range(5):
            with boundary.scope() as effects:
                airlock.emit(Note(f"{name} ask"))
                gevent.sleep(0)
                with airlock.region(Drop()):
                    gevent.sleep(0)
                    airlock.emit(Note(f"{name} dropped"))
            assert effects.report.counts == {Outcome.DELIVERED: 3, Outcome.DROPPED: 1}

    names = [f"g{i}" for i in range(GREENLETS)]
    gevent.joinall([gevent.spawn(work, name) for name in names], raise_error=True)
    assert delivered == {name: ["ask", "answer", "again"] * 5 for name in names}


def test_a_scope_is_not_left_from_another_greenlet() -> None:
    notes = Notes()
    with notes.boundary().scope() as effects:
        with pytest.raises(ScopeOrderError):
            gevent.spawn(effects.exit).get()
        airlock.emit(Note("still open"))
    assert notes.delivered == ["still open"]


def test_enclose_reaches_greenlets_only_as_a_whole_process() -> None:
    notes = Notes()
    boundary = notes.boundary()

    def work(text: str) -> None:
        with boundary.scope():
            airlock.emit(Note(text))

    with airlock.enclose(Drop()):
        gevent.spawn(work, "elsewhere").get()
    with airlock.enclose(Drop(), process=True):
        gevent.spawn(work, "dropped").get()
    assert notes.delivered == ["elsewhere"]


def test_a_killed_greenlet_discards_its_scope() -> None:
    notes = Notes()

    def work() -> None:
        with notes.boundary().scope():
            airlock.emit(Note("lost"))
            gevent.sleep(10)

    running = gevent.spawn(work)
    gevent.sleep(0)
    running.kill()
    assert notes.delivered == []


def test_under_monkey_patching_everything_is_the_same() -> None:
    """In a process of its own: threads are greenlets there."""
    program = Path(__file__).with_name("monkey_patched.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["threads", "greenlets", "mixed", "done"]
