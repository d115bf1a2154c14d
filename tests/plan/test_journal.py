"""The journal beside a plan: whose it is, who writes it, and what happens if it cannot be written."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import airlock
from airlock import Boundary, HandlesBatch, Hold
from airlock.errors import (
    AirlockError,
    ApplyError,
    DeclarationError,
    InDoubtError,
    JournalError,
    PlanError,
    UnencodableError,
    UnhandledIntentError,
)
from airlock.plan import Plan, PlanEntry
from airlock.plan.journal import JournalFile
from tests.plan.vocabulary import (
    Audit,
    Chain,
    Charge,
    Mail,
    Notify,
    Placed,
    chain,
    container,
    noting,
    plan_of,
    saved,
    states,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "effects.plan"


@pytest.fixture
def plan(path: Path) -> Plan:
    return saved(plan_of(Notify(1), Notify(2), Notify(3)), path)


def journal_of(plan: Plan) -> Path:
    assert plan.journal is not None
    return plan.journal


def interrupted(plan: Plan, *, at: Any) -> None:
    """Apply a plan until a handler is interrupted."""

    def handle(one: Any) -> None:
        if one == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Boundary(dict.fromkeys((Notify, Mail, Audit, Placed), handle)).apply(plan)


# -- where it is, and what is in it ---------------------------------------------------------------


def test_it_is_beside_the_plan(boundary: Boundary, plan: Plan, path: Path) -> None:
    assert plan.journal == path.with_name("effects.plan.journal")
    boundary.apply(plan, indices=[0, 2])
    assert states(plan.journal) == {0: "delivered", 2: "delivered"}
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "effects.plan",
        "effects.plan.journal",
    ]


def test_it_is_elsewhere_if_wanted(boundary: Boundary, plan: Plan, tmp_path: Path) -> None:
    """And then alone knows what was done."""
    boundary.apply(plan, journal=tmp_path / "one")
    boundary.apply(plan, journal=str(tmp_path / "one"))
    assert states(tmp_path / "one") == dict.fromkeys(range(3), "delivered")
    assert not journal_of(plan).exists()
    assert boundary.apply(plan).counts == {"delivered": 3}


def test_errors_are_in_it(plan: Plan) -> None:
    def notify(one: Notify) -> None:
        raise ValueError("no such order", one.order_id)

    with pytest.raises(AirlockError):
        Boundary({Notify: notify}).apply(plan)
    with closing(sqlite3.connect(journal_of(plan))) as database:
        rows = database.execute("SELECT detail FROM effects ORDER BY number").fetchall()
    assert rows[0] == ("ValueError('no such order', 1)",)


def test_follow_ups_are_in_it(path: Path) -> None:
    plan = saved(plan_of(Chain(2)), path)
    Boundary({Chain: chain}).apply(plan)
    assert states(plan.journal) == dict.fromkeys(range(3), "delivered")


# -- bad ones -------------------------------------------------------------------------------------


def refused(plan: Plan, boundary: Boundary, handled: list[Any], says: str) -> None:
    before = list(handled)
    with pytest.raises(JournalError, match=says) as error:
        boundary.apply(plan)
    assert isinstance(error.value, PlanError)
    assert str(plan.path) in str(error.value)
    assert handled == before


def test_the_journal_of_another_plan(
    boundary: Boundary, handled: list[Any], plan: Plan, path: Path
) -> None:
    """As it is when a plan is saved over another one that was applied."""
    boundary.apply(plan)
    refused(saved(plan_of(Notify(4)), path), boundary, handled, "of another plan")


@pytest.mark.parametrize(
    "text", [b"no database", b"SQLite format 3\x00 or so", b"\x00" * 5_000, b"x" * 10_000]
)
def test_what_is_no_database(
    text: bytes, boundary: Boundary, handled: list[Any], plan: Plan
) -> None:
    journal_of(plan).write_bytes(text)
    refused(plan, boundary, handled, "damaged or none at all")
    assert journal_of(plan).read_bytes() == text


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE other (x)"],
        ["CREATE TABLE plan (x)"],
        ["CREATE TABLE plan (format, digest)", "INSERT INTO plan VALUES (1, 'sha256:0')"],
        ["CREATE TABLE plan (format, digest)", "INSERT INTO plan VALUES (2, 'sha256:0')"],
        ["CREATE TABLE plan (format, digest)"],
    ],
    ids=["other tables", "other columns", "another plan", "a newer one", "nothing in it"],
)
def test_another_database(
    statements: list[str], boundary: Boundary, handled: list[Any], plan: Plan
) -> None:
    with closing(sqlite3.connect(journal_of(plan))) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()
    refused(plan, boundary, handled, "journal")


def test_a_journal_of_a_newer_release(boundary: Boundary, handled: list[Any], plan: Plan) -> None:
    boundary.apply(plan)
    with closing(sqlite3.connect(journal_of(plan))) as database:
        database.execute("UPDATE plan SET format = 2")
        database.commit()
    refused(plan, boundary, handled, "this release does not read")


def test_damage(boundary: Boundary, handled: list[Any], path: Path) -> None:
    """Wherever it is noticed, it is one error, and nothing is done twice because of it."""
    plan = saved(plan_of(*map(Notify, range(2_000))), path)
    boundary.apply(plan, indices=range(1_000))
    journal = journal_of(plan)
    text = journal.read_bytes()
    for start in range(0, len(text), 4_096):
        handled.clear()
        journal.write_bytes(text[:start] + b"\xa5" * 4_096 + text[start + 4_096 :])
        with contextlib.suppress(JournalError):
            boundary.apply(plan, indices=range(1_000))
        assert not handled
        for beside in ("-wal", "-shm"):
            journal.with_name(journal.name + beside).unlink(missing_ok=True)


def test_a_folder_in_its_place(boundary: Boundary, handled: list[Any], plan: Plan) -> None:
    journal_of(plan).mkdir()
    refused(plan, boundary, handled, "cannot be written")


def test_no_folder_for_it(boundary: Boundary, handled: list[Any], plan: Plan, path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be written"):
        boundary.apply(plan, journal=path.parent / "nowhere" / "journal")
    assert not handled


@contextlib.contextmanager
def powerless() -> Iterator[None]:
    """As a user who may write nowhere, if we are the one who may write everywhere."""
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions")
def test_a_folder_that_may_not_be_written(boundary: Boundary, handled: list[Any]) -> None:
    boundary.apply(plan_of(Notify(0)))  # whatever has to be imported is
    handled.clear()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = saved(plan_of(Notify(1)), folder / "effects.plan")
        folder.chmod(0o555)
        try:
            with powerless():
                refused(plan, boundary, handled, "cannot be written")
        finally:
            folder.chmod(0o755)
        boundary.apply(plan)
        assert handled == [Notify(1)]


def test_a_journal_that_may_not_be_written(boundary: Boundary, handled: list[Any]) -> None:
    """It can be read, but that is not enough."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = saved(plan_of(Notify(1), Notify(2)), folder / "effects.plan")
        boundary.apply(plan, indices=[0])
        journal_of(plan).chmod(0o444)
        folder.chmod(0o555)
        try:
            with powerless():
                refused(plan, boundary, handled, "cannot be written")
        finally:
            folder.chmod(0o755)


@contextlib.contextmanager
def full_at(size: int) -> Iterator[None]:
    """No file can grow beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
@pytest.mark.parametrize("size", [0, 10_000, 60_000, 200_000])
def test_a_disk_that_is_full(size: int, path: Path) -> None:
    """What cannot be written down does not go on; with room again, nothing is lost."""
    done: list[Any] = []

    def placed(one: Placed) -> None:
        done.append(one)
        airlock.emit(Mail(str(one.order_id) * 5_000))

    boundary = Boundary({Placed: placed, Mail: done.append})
    plan = saved(plan_of(*map(Placed, range(1, 60))), path)
    with pytest.raises(JournalError, match="cannot be written"), full_at(size):
        boundary.apply(plan)
    assert done == [Placed(n + 1) for n in range(len(done))]
    undecided = [n for n, state in states(plan.journal).items() if state == "running"]
    assert len(undecided) <= 1
    before = list(done)
    applied = boundary.apply(plan, in_doubt="retry")
    assert applied.remaining == 0
    assert set(states(plan.journal).values()) == {"delivered"}
    twice = [one for one in before if done.count(one) > 1]
    assert len(twice) <= len(undecided)
    mails = [one for one in done if isinstance(one, Mail)]
    assert [mail.to[:2] for mail in mails] == [(str(n) * 2)[:2] for n in range(1, 60)]


APPLYING = """
import sys
from airlock import Boundary
from airlock.plan import Plan
from tests.plan.vocabulary import Notify

def notify(one):
    print(one, flush=True)
    sys.stdin.read()

print(Boundary({Notify: notify}).apply(Plan.load(sys.argv[1])))
"""


def test_another_process_at_work(
    boundary: Boundary, handled: list[Any], plan: Plan, path: Path
) -> None:
    """One at a time; what the other did counts."""
    process = subprocess.Popen(
        [sys.executable, "-c", APPLYING, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "Notify(order_id=1)\n"
        refused(plan, boundary, handled, "by another process")
        other.stdin.close()
        assert other.stdout.read().endswith("3 delivered\n")
    assert str(boundary.apply(plan)) == "3 done before"
    assert not handled


def test_another_application_in_this_process(plan: Plan) -> None:
    """The same."""
    found: list[Exception] = []

    def notify(_: Notify) -> None:
        with pytest.raises(JournalError) as refusal:
            Boundary({Notify: print}).apply(Plan.load(plan.path or ""))
        found.append(refusal.value)

    assert Boundary({Notify: notify}).apply(plan).counts == {"delivered": 3}
    assert len(found) == 3


# -- in flight ------------------------------------------------------------------------------------


def test_nothing_runs_before_it_is_decided(
    boundary: Boundary, handled: list[Any], plan: Plan
) -> None:
    """Whatever else is chosen."""
    interrupted(plan, at=Notify(2))
    choices: list[Any] = [{}, {"indices": [2]}, {"indices": []}]
    for choice in choices:
        with pytest.raises(InDoubtError) as refusal:
            boundary.apply(plan, **choice)
        assert refusal.value.effects == ("1  Notify(order_id=2)",)
        assert "1  Notify(order_id=2)" in str(refusal.value)
    assert not handled
    assert states(plan.journal) == {0: "delivered", 1: "running"}


@pytest.mark.parametrize(
    ("answer", "done"), [("done", [3]), ("retry", [2, 3])], ids=["done", "retry"]
)
@pytest.mark.parametrize("asked", [False, True])
def test_the_answer(
    answer: Any,
    done: list[int],
    asked: bool,
    *,
    boundary: Boundary,
    handled: list[Any],
    plan: Plan,
) -> None:
    """Once given, it is kept."""
    entries: list[PlanEntry] = []

    def decide(entry: PlanEntry) -> Any:
        entries.append(entry)
        return answer

    interrupted(plan, at=Notify(2))
    boundary.apply(plan, indices=[], in_doubt=decide if asked else answer)
    assert [(entry.index, entry.intent) for entry in entries] == [(1, Notify(2))] * asked
    boundary.apply(plan)
    assert handled == [Notify(n) for n in done]


@pytest.mark.parametrize("answer", [None, True, "yes", "", 1])
def test_another_answer_is_refused(
    answer: Any, boundary: Boundary, handled: list[Any], plan: Plan
) -> None:
    """And nothing was decided by it."""
    interrupted(plan, at=Notify(2))
    with pytest.raises(DeclarationError, match='"done" or "retry"'):
        boundary.apply(plan, in_doubt=lambda _: answer)
    assert states(plan.journal) == {0: "delivered", 1: "running"}
    assert not handled


@pytest.mark.parametrize("in_doubt", [True, "yes", "", 1, ["done"]])
def test_what_decides_nothing_is_refused_before_it_is_needed(
    in_doubt: Any, boundary: Boundary, handled: list[Any], plan: Plan
) -> None:
    with pytest.raises(DeclarationError, match="in_doubt="):
        boundary.apply(plan, in_doubt=in_doubt)
    assert not handled


def test_who_decides_may_fail(boundary: Boundary, handled: list[Any], plan: Plan) -> None:
    interrupted(plan, at=Notify(2))
    with pytest.raises(ZeroDivisionError):
        boundary.apply(plan, in_doubt=lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    assert states(plan.journal) == {0: "delivered", 1: "running"}
    assert not handled


def test_an_idempotent_handler_is_called_again(plan: Plan, handled: list[Any]) -> None:
    """Nobody is asked."""
    interrupted(plan, at=Notify(2))
    wiring = container(notify=airlock.Handles(Notify, handled.append, idempotent=True))
    Boundary(wiring).apply(plan, in_doubt=lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    assert handled == [Notify(2), Notify(3)]


def test_idempotent_handlers_and_others(path: Path, handled: list[Any]) -> None:
    """Only the others are asked about; a batch is in flight with all its members."""

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    plan = saved(plan_of(Audit("a"), Notify(1), Audit("b")), path)
    with pytest.raises(KeyboardInterrupt):
        Boundary({Audit: print, Notify: interrupt}).apply(plan, indices=[1])
    batches = HandlesBatch(Audit, interrupt)
    with pytest.raises(KeyboardInterrupt):
        Boundary(
            container(notify=airlock.Handles(Notify, print, idempotent=True), audit=batches)
        ).apply(plan)
    assert states(plan.journal) == {0: "running", 1: "delivered", 2: "running"}
    with pytest.raises(InDoubtError) as refusal:
        Boundary(noting(handled)).apply(plan)
    assert refusal.value.effects == ("0  Audit(text='a')", "2  Audit(text='b')")
    Boundary(noting(handled)).apply(
        plan, in_doubt=lambda entry: "done" if entry.index == 0 else "retry"
    )
    assert handled == [Audit("b")]


def test_a_follow_up_in_flight(path: Path, handled: list[Any]) -> None:
    def placed(_: Placed) -> None:
        airlock.emit_all([Mail("x"), Mail("y")])

    def mail(one: Mail) -> None:
        if one.to == "y":
            raise KeyboardInterrupt

    plan = saved(plan_of(Placed(1), Notify(1)), path)
    with pytest.raises(KeyboardInterrupt):
        Boundary({Placed: placed, Notify: print, Mail: mail}).apply(plan)
    boundary = Boundary(noting(handled))
    with pytest.raises(InDoubtError) as refusal:
        boundary.apply(plan)
    assert refusal.value.effects == ("3  Mail(to='y')",)
    applied = boundary.apply(plan, in_doubt="retry")
    assert handled == [Mail("y")]
    assert str(applied) == "1 delivered, 2 done before"


def test_a_hand_over_in_flight_is_asked_about(path: Path) -> None:
    """Whatever the handler here says of itself, it is not the one that is called."""

    class Queue(airlock.Dispatcher):
        options = frozenset({"id"})
        sent = 0

        def dispatch(self, _: airlock.Delivery, /) -> object:
            Queue.sent += 1
            if Queue.sent == 1:
                raise KeyboardInterrupt
            return None

    wiring = container(notify=airlock.Handles(Notify, print, idempotent=True))
    plan = saved(plan_of(Notify(1)), path)
    boundary = Boundary(wiring, dispatch=Queue())
    with pytest.raises(KeyboardInterrupt):
        boundary.apply(plan)
    with pytest.raises(InDoubtError):
        boundary.apply(plan)
    assert Queue.sent == 1


def test_secrets_in_flight_are_not_shown(path: Path) -> None:
    from airlock.wire import AesGcm, Wire

    plan = saved(plan_of(Charge(1, "4111"), wire=Wire(cipher=AesGcm(b"k" * 32))), path)

    def charge(_: Charge) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Boundary({Charge: charge}).apply(plan)
    with pytest.raises(InDoubtError) as refusal:
        Boundary({Charge: print}).apply(plan)
    assert "4111" not in str(refusal.value)


# -- follow-ups that cannot be written down -------------------------------------------------------


def test_a_follow_up_that_cannot_be_written(path: Path) -> None:
    """Its cause is in flight: what it emitted is lost, unless it is done again."""
    plan = saved(plan_of(Placed(1), Notify(1)), path)
    boundary = Boundary({Placed: lambda _: airlock.emit(Charge(1, "4111")), Notify: print})
    with pytest.raises(UnencodableError):
        boundary.apply(plan)
    assert states(plan.journal) == {0: "running"}
    with pytest.raises(InDoubtError):
        boundary.apply(plan)


def test_a_follow_up_without_a_handler_waits(path: Path, handled: list[Any]) -> None:
    """For a program that has one."""
    plan = saved(plan_of(Placed(1), Notify(1)), path)
    placed = {Placed: lambda _: airlock.emit(Mail("x")), Notify: handled.append}
    with pytest.raises(ApplyError, match="follow-ups of the plan") as caught:
        Boundary(placed).apply(plan)
    [error] = caught.value.exceptions
    assert isinstance(error, UnhandledIntentError)
    assert handled == [Notify(1)]
    assert states(plan.journal) == {0: "delivered", 1: "delivered", 2: "allowed"}
    applied = Boundary({**placed, Mail: handled.append}).apply(plan)
    assert handled == [Notify(1), Mail("x")]
    assert str(applied) == "1 delivered, 2 done before"


def test_a_follow_up_that_fails_runs_again(path: Path) -> None:
    """Its cause does not."""
    ran: list[Any] = []

    def placed(one: Placed) -> None:
        ran.append(one)
        airlock.emit(Mail("x"))

    def mail(one: Mail) -> None:
        ran.append(one)
        if ran.count(one) == 1:
            raise ConnectionError

    plan = saved(plan_of(Placed(1)), path)
    boundary = Boundary({Placed: placed, Mail: mail})
    with pytest.raises(AirlockError):
        boundary.apply(plan)
    assert str(boundary.apply(plan)) == "1 delivered, 1 done before"
    assert ran == [Placed(1), Mail("x"), Mail("x")]
    assert str(boundary.apply(plan)) == "1 done before"


def test_what_a_journal_counts(tmp_path: Path) -> None:
    with closing(JournalFile(tmp_path / "journal", "sha256:0", "the plan", 3)) as journal:
        journal.begin([0, 1])
        journal.end([(0, "delivered", None)])
        assert journal.running() == [(1, None)]
        assert journal.done(0, 9) == {0}
        assert journal.count_done(3) == 1
        assert journal.following == 3


def test_what_holds_an_effect_back_is_no_end_of_it(path: Path, handled: list[Any]) -> None:
    plan = saved(plan_of(Notify(1)), path)
    with airlock.enclose(Hold()):
        Boundary(noting(handled)).apply(plan)
    assert states(plan.journal) == {}
    assert Boundary(noting(handled)).apply(plan).counts == {"delivered": 1}
