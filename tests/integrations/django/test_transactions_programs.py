"""Random programs over a Django connection: the database itself is the reference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import attrs
import pytest
from django.db import Error, connections, transaction
from django.test import TestCase
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airlock import Boundary, emit, intent
from airlock.integrations.django.transactions import on_commit
from tests.integrations.django.shop.models import Row
from tests.integrations.services import postgresql


@intent(kind="django-programs.marker")
class Marker:
    n: int


class SurpriseError(Exception):
    """What goes wrong in a block."""


@pytest.fixture(scope="module", params=["default", "postgres"])
def alias(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "postgres":
        postgresql()
    alias: str = request.param
    yield alias
    Row.objects.using(alias).all().delete()
    connections[alias].close()


MARKS = ["insert, emit", "emit, insert"]
UNDER_DJANGO = ["COMMIT", "ROLLBACK", "INSERT OR ROLLBACK"]
ENDINGS = ["commit", "rollback", "autocommit on", "undo", "release", "close"]
simple_steps = st.one_of(
    st.sampled_from(MARKS),
    st.sampled_from([*MARKS, "savepoint", "undo", "release"]),
    st.sampled_from(
        ["doom", "pardon", "duplicate", "nonsense", "close", "call back", "fail later"]
    ),
    st.sampled_from(["autocommit off", "autocommit on", "commit", "rollback"]),
    st.sampled_from(UNDER_DJANGO),
)
blocks = st.sampled_from(["atomic", "atomic", "atomic", "joined", "durable", "scope"])
steps = st.recursive(
    simple_steps,
    lambda inner: st.tuples(blocks, st.booleans(), st.lists(inner, max_size=5)),
    max_leaves=10,
)
LATER = ("atomic", False, ["fail later"])
numbers = count(1)


@attrs.define
class Play:
    """Does the same to a table and to a scope.

    Attributes:
        emitted: all, in order.
        alone: those in autocommit mode, which the block decides about.
        kept: those of them whose blocks went well so far.
        astray: those for which Django would commit, and SQLite does, after each statement, as it has
            ended the transaction: what is stored cannot be rolled back.
    """

    alias: str
    boundary: Boundary
    emitted: list[int] = attrs.field(factory=list)
    alone: set[int] = attrs.field(factory=set)
    kept: set[int] = attrs.field(factory=set)
    astray: set[int] = attrs.field(factory=set)
    savepoints: list[str] = attrs.field(factory=list)

    def play(self, script: list[Any]) -> None:
        for step in script:
            with contextlib.suppress(Error, SurpriseError, RuntimeError):
                self.step(step)

    def step(self, step: Any) -> None:
        match step:
            case str() if "emit" in step:
                self.mark(step)
            case str():
                self.act(step)
            case ["scope", fails, inner]:
                self.nested(fails, inner)
            case _:
                kind, fails, inner = step
                joined, durable = kind == "joined", kind == "durable"
                with transaction.atomic(self.alias, savepoint=not joined, durable=durable):
                    self.play(inner)
                    if fails:
                        raise SurpriseError

    def nested(self, fails: bool, inner: list[Any]) -> None:
        before = set(self.kept)
        try:
            with self.boundary.scope():
                self.play(inner)
                if fails:
                    raise SurpriseError
        except SurpriseError:
            self.kept = before

    def act(self, what: str) -> None:
        alias = self.alias
        acts: dict[str, Callable[[], object]] = {
            "autocommit off": lambda: transaction.set_autocommit(False, alias),
            "autocommit on": lambda: transaction.set_autocommit(True, alias),
            "commit": lambda: transaction.commit(alias),
            "rollback": lambda: transaction.rollback(alias),
            "close": connections[alias].close,
            "savepoint": self.savepoint,
            "undo": lambda: self.with_savepoint(transaction.savepoint_rollback),
            "release": lambda: self.with_savepoint(transaction.savepoint_commit),
            "doom": lambda: transaction.set_rollback(True, alias),
            # Set back, it has to be: nothing has failed.
            "pardon": lambda: transaction.set_rollback(False, alias),
            "duplicate": lambda: Row.objects.using(alias).create(text="0"),
            "duplicate in atomic": self.duplicate,
            "nonsense": lambda: self.execute("SELECT * FROM nowhere_at_all"),
            "COMMIT": lambda: self.execute("COMMIT"),
            "ROLLBACK": lambda: self.execute("ROLLBACK"),
            "INSERT OR ROLLBACK": self.insert_or_roll_back,
            "call back": lambda: transaction.on_commit(int, alias),
            "fail later": lambda: transaction.on_commit(self.fail, alias),
        }
        acts[what]()

    def duplicate(self) -> None:
        """An error in no atomic() of its own would spoil a TestCase."""
        blocks: list[Any] = connections[self.alias].atomic_blocks
        if not all(block._from_testcase for block in blocks):
            Row.objects.using(self.alias).create(text="0")

    def insert_or_roll_back(self) -> None:
        if connections[self.alias].vendor == "sqlite":
            self.execute("INSERT OR ROLLBACK INTO shop_row SELECT id, '' FROM shop_row")

    def fail(self) -> None:
        raise SurpriseError

    def execute(self, sql: str) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)

    def savepoint(self) -> None:
        sid = connections[self.alias].savepoint()
        if sid is not None:
            self.savepoints.append(sid)

    def with_savepoint(self, act: Callable[[str, str], None]) -> None:
        if self.savepoints:
            act(self.savepoints.pop(), self.alias)

    def mark(self, how: str) -> None:
        """Write and emit, or neither: where the database takes nothing, nothing is emitted."""
        n = next(numbers)
        self.execute("SELECT 1")
        if how.startswith("emit"):
            self.emit(n)
        self.execute(f"INSERT INTO shop_row (text) VALUES ('{n}')")
        if not how.startswith("emit"):
            self.emit(n)

    def emit(self, n: int) -> None:
        self.emitted.append(n)
        connection = connections[self.alias]
        if connection.get_autocommit() and not connection.in_atomic_block:
            self.alone.add(n)
            self.kept.add(n)
        elif connection.vendor == "sqlite" and not connection.connection.in_transaction:
            self.astray.add(n)
        emit(Marker(n))


def begin(alias: str) -> None:
    anew(alias)
    rows = Row.objects.using(alias)
    rows.all().delete()
    rows.create(text="0")


def end(alias: str) -> set[int]:
    """What is stored at last."""
    anew(alias)
    return {int(text) for text in Row.objects.using(alias).values_list("text", flat=True)}


def anew(alias: str) -> None:
    """Programs do silly things, after which Django can no longer use a connection."""
    connections[alias].close()
    del connections[alias]


@given(
    around=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=2),
    before=st.lists(st.sampled_from(["savepoint", "autocommit off", "nonsense"]), max_size=2),
    inside=st.lists(steps, max_size=10),
    outside=st.lists(st.sampled_from(ENDINGS), max_size=3),
    fails=st.booleans(),
)
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@example([], [], [("atomic", False, ["emit, insert", ("atomic", True, MARKS)])], [], False)
@example([], [], [("atomic", False, [*MARKS, "fail later"])], [], False)
@example([], [], [("atomic", False, ["fail later", *MARKS])], [], False)
@example([], [], [("atomic", False, [*MARKS, "nonsense"])], [], False)
@example([], [], [("joined", False, [*MARKS, ("joined", True, MARKS)])], [], False)
@example([(True, False)], ["savepoint"], MARKS, ["undo"], False)
@example([(True, False), (False, True)], [], MARKS, [], True)
@example([], ["autocommit off"], [*MARKS, "commit", *MARKS, "rollback", *MARKS], ["commit"], False)
@example([], ["autocommit off"], [*MARKS, "commit", ("atomic", False, MARKS)], ["rollback"], False)
@example([], [], [("atomic", False, [*MARKS, "close", *MARKS])], [], False)
@example([], ["autocommit off"], ["commit", MARKS[0], LATER, "autocommit on"], [], False)
@example([], [], [("atomic", False, [*MARKS, "ROLLBACK", *MARKS])], [], False)
@example([], [], [("atomic", True, [*MARKS, "COMMIT", *MARKS])], [], False)
@example([], [], [("atomic", False, [*MARKS, ("atomic", False, [*MARKS, "COMMIT"])])], [], False)
def test_what_is_delivered_is_what_is_stored(  # noqa: PLR0917 - Hypothesis fills them in
    alias: str,
    around: list[tuple[bool, bool]],
    before: list[Any],
    inside: list[Any],
    outside: list[Any],
    fails: bool,
) -> None:
    """Markers are emitted and inserted side by side: the table is the reference."""
    seen: list[int] = []
    boundary = Boundary({Marker: lambda marker: seen.append(marker.n)})
    begin(alias)
    play = Play(alias, boundary)
    effects = boundary.scope(release=on_commit(alias))

    def middle() -> None:
        play.play(before)
        with contextlib.suppress(SurpriseError), effects:
            play.play(inside)
            if fails:
                play.kept.clear()
                raise SurpriseError
        play.play(outside)

    def wrapped(blocks: list[tuple[bool, bool]]) -> None:
        if not blocks:
            middle()
            return
        (savepoint, broken), *inner = blocks
        with contextlib.suppress(SurpriseError, Error), transaction.atomic(alias, savepoint):
            wrapped(inner)
            if broken:
                raise SurpriseError

    wrapped(around)
    stored = end(alias)
    due = [n for n in play.emitted if n in (play.kept if n in play.alone else stored)]
    sure = set(play.emitted) - play.astray
    assert [n for n in seen if n in sure] == [n for n in due if n in sure]
    assert effects.report.delivered == [Marker(n) for n in seen]
    assert {marker.n for marker in effects.report.discarded} == set(play.emitted) - set(seen)
    assert len(effects.report) == len(play.emitted)


# -- in a TestCase ---------------------------------------------------------------------------------

tame_steps = st.recursive(
    st.sampled_from([*MARKS, *MARKS, "duplicate in atomic", "call back"]),
    lambda inner: st.tuples(
        st.sampled_from(["atomic", "atomic", "scope"]), st.booleans(), st.lists(inner, max_size=5)
    ),
    max_leaves=12,
)
own = st.lists(
    st.tuples(st.sampled_from(["atomic", "scope"]), st.booleans(), st.lists(tame_steps, max_size=5))
    | st.sampled_from(MARKS),
    max_size=6,
)


@given(inside=own, fails=st.booleans(), around=st.none() | st.booleans())
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@example([("atomic", True, MARKS), ("atomic", False, [("atomic", True, MARKS)])], True, None)
@example([*MARKS, ("atomic", False, ["duplicate in atomic", *MARKS])], False, True)
def test_in_a_test_case_it_is_the_same(
    alias: str, inside: list[Any], fails: bool, around: bool | None
) -> None:
    """What a program does in production, it does in a TestCase, whose transaction never commits."""
    real = outcome(alias, inside, fails=fails, around=around)
    begin(alias)
    case: Any = type("Tests", (TestCase,), {"databases": {alias}})
    class_atomics = case._enter_atomics()
    test_atomics = case._enter_atomics()
    tested = outcome(alias, inside, fails=fails, around=around)
    case._rollback_atomics(test_atomics)
    case._rollback_atomics(class_atomics)
    assert tested == real


def outcome(
    alias: str, inside: list[Any], *, fails: bool, around: bool | None
) -> tuple[list[int], list[int]]:
    """The positions of what was delivered and discarded; ``around``: in an atomic() that fails?"""
    seen: list[int] = []
    boundary = Boundary({Marker: lambda marker: seen.append(marker.n)})
    rows = Row.objects.using(alias)
    rows.all().delete()
    rows.create(text="0")
    play = Play(alias, boundary)
    atomic = contextlib.nullcontext() if around is None else transaction.atomic(alias)
    effects = boundary.scope(release=on_commit(alias))
    with contextlib.suppress(SurpriseError), atomic:
        with contextlib.suppress(SurpriseError), effects:
            play.play(inside)
            if fails:
                raise SurpriseError
        if around:
            raise SurpriseError
    assert effects.report.delivered == [Marker(n) for n in seen]
    assert len(effects.report) == len(play.emitted)
    thrown = {marker.n for marker in effects.report.discarded}
    return (
        [at for at, n in enumerate(play.emitted) if n in seen],
        [at for at, n in enumerate(play.emitted) if n in thrown],
    )
