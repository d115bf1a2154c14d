"""Management commands: a scope for each, and what may escape of it."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

import airlock
from airlock.errors import NoScopeError
from airlock.integrations.django import EffectsMixin, counts
from airlock.integrations.django.commands import HOSTS, checked, joined, name_of
from airlock.plan import Plan
from airlock.scopes.current import NOWHERE, here
from tests.integrations.django.pages import Note, boundary, done
from tests.integrations.django.shop.models import Row
from tests.integrations.django.test_app_middleware import serving

Work = Callable[[], object]


class Ours(EffectsMixin, BaseCommand):
    """A command that was written with airlock in mind."""

    __module__ = "shop.management.commands.refund"

    def __init__(self, work: Work = lambda: airlock.emit(Note("a"))) -> None:
        super().__init__(stderr=StringIO())
        self.work = work

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("orders", nargs="*")
        parser.add_argument("--all", action="store_true")

    def handle(self, *args: Any, **options: Any) -> str:
        self.options = options
        self.work()
        return f"done {done}"


class Theirs(BaseCommand):
    """A command that cannot be edited."""

    __module__ = "vendor.management.commands.sync"

    def __init__(self, work: Work = lambda: airlock.emit(Note("a"))) -> None:
        super().__init__()
        self.work = work

    def handle(self, *args: Any, **options: Any) -> None:
        self.work()


class Host(Theirs):
    """A command that runs for ever."""

    __module__ = "django.core.management.commands.runserver"


def run(command: BaseCommand, *args: str, **options: Any) -> str:
    return str(call_command(command, *args, stdout=StringIO(), **options))


def from_the_command_line(command: BaseCommand, *args: str) -> None:
    command.run_from_argv(["manage.py", name_of(command), "--skip-checks", *args])


@pytest.fixture(autouse=True)
def _served() -> Iterator[None]:
    done.clear()
    with serving():
        yield
    assert here.get() is NOWHERE
    Row.objects.all().delete()


# -- the mixin ------------------------------------------------------------------------------------


def test_effects_happen_when_the_command_is_done() -> None:
    assert run(Ours()) == "done []"
    assert done == ["a"]


@pytest.mark.parametrize("how", [{"effects": "drop"}, {}])
def test_or_not_at_all(how: dict[str, str]) -> None:
    run(Ours(), *([] if how else ["--effects=drop"]), **how)
    assert done == []


def test_a_command_that_fails_does_nothing() -> None:
    def work() -> None:
        airlock.emit(Note("a"))
        raise CommandError("out of stock")

    with pytest.raises(CommandError, match="out of stock"):
        run(Ours(work))
    assert done == []


def save_and(fail: bool) -> None:
    with transaction.atomic():
        Row.objects.create(text="a")
        airlock.emit(Note("a"))
    try:
        with transaction.atomic():
            airlock.emit(Note("b"))
            raise KeyError
    except KeyError:
        pass
    airlock.emit(Note("c"))
    if fail:
        raise CommandError("later")


def test_transactions_decide() -> None:
    with pytest.raises(CommandError, match="later"):
        run(Ours(lambda: save_and(fail=True)))
    assert done == ["a"]


def test_a_plan_is_written_and_can_be_applied(tmp_path: Path) -> None:
    file = tmp_path / "refunds.plan"
    run(Ours(lambda: save_and(fail=False)), f"--effects=plan:{file}")
    assert done == []
    assert Plan.load(file).counts == {"django-app.note": 2}
    boundary.apply(Plan.load(file), progress=False)
    assert done == ["a", "c"]


def test_the_plan_of_a_command_that_failed_is_of_what_it_had_committed(tmp_path: Path) -> None:
    file = tmp_path / "refunds.plan"
    with pytest.raises(CommandError, match="later"):
        run(Ours(lambda: save_and(fail=True)), f"--effects=plan:{file}")
    assert [entry.intent for entry in Plan.load(file)] == [Note("a")]


def test_there_is_none_if_that_is_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        airlock.emit(Note("a"))
        raise CommandError("at once")

    file = tmp_path / "refunds.plan"
    with pytest.raises(CommandError, match="at once"):
        run(Ours(fail), f"--effects=plan:{file}")
    assert not file.exists()


@pytest.mark.parametrize(
    "words", [["--effects=plan", "{}"], ["--effects", "plan", "{}"], ["--effects", "plan:{}"]]
)
def test_on_the_command_line_the_file_may_be_a_word_of_its_own(
    tmp_path: Path, words: list[str]
) -> None:
    file = tmp_path / "refunds.plan"
    command = Ours()
    from_the_command_line(command, *(word.format(file) for word in words), "7", "--all")
    assert Plan.load(file).counts == {"django-app.note": 1}
    assert (command.options["orders"], command.options["all"]) == (["7"], True)
    told: Any = command.stderr
    assert f"a plan of the effects is in {file}" in told.getvalue()


def test_only_a_plan_takes_the_next_word() -> None:
    line = ["manage.py", "refund", "--effects=drop", "7"]
    assert joined(line) == line
    assert joined(["x", "--effects=plan", "--all"]) == ["x", "--effects=plan", "--all"]


@pytest.mark.parametrize("mode", ["dorp", "plan", "plan:", "run:now"])
def test_another_mode_is_refused_before_anything_is_done(
    mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match=r"--effects.*is no mode\. Give run, drop, or plan:FILE"):
        run(Ours(), f"--effects={mode}")
    with pytest.raises(SystemExit):
        from_the_command_line(Ours(), f"--effects={mode}")
    assert "is no mode" in capsys.readouterr().err
    assert done == []
    with pytest.raises(argparse.ArgumentTypeError):
        checked(mode)


def test_or_when_it_is_called_with_it() -> None:
    with pytest.raises(CommandError, match="is no mode"):
        run(Ours(), effects="dorp")
    assert done == []


def test_wrong_settings_are_told_as_commands_tell_of_errors() -> None:
    with serving(DATABASE="nowhere"), pytest.raises(CommandError, match="not in DATABASES"):
        run(Ours())


def test_errors_of_handlers_are_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    run(Ours(lambda: airlock.emit(Note("fails"))))
    assert "effects of manage.py refund failed" in caplog.text
    assert counts().flush_errors == 1
    with transaction.atomic():
        run(Ours(lambda: airlock.emit(Note("fails"))))
    assert counts().flush_errors == 2


def test_or_raised() -> None:
    with serving(ON_FLUSH_ERROR="raise"), pytest.raises(airlock.FlushError):
        run(Ours(lambda: airlock.emit(Note("fails"))))


def test_a_slow_handler_of_a_command_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    run(Ours(lambda: airlock.emit(Note("slow"))))
    assert "took" not in caplog.text


def test_a_command_may_be_executed_again() -> None:
    command = Ours()
    run(command)
    run(command, "--effects=drop")
    run(command)
    assert done == ["a", "a"]


# -- COMMANDS -------------------------------------------------------------------------------------


def test_a_command_that_cannot_be_edited_has_no_scope() -> None:
    with pytest.raises(NoScopeError):
        run(Theirs())


@pytest.mark.parametrize(
    ("commands", "delivered"),
    [
        ({"*": "run"}, ["a"]),
        ({"sync": "run"}, ["a"]),
        ({"*": "drop"}, []),
        ({"*": "run", "sync": "drop"}, []),
        ({"*": "drop", "sync": "run"}, ["a"]),
    ],
)
def test_unless_the_settings_say_so(commands: dict[str, str], delivered: list[str]) -> None:
    with serving(COMMANDS=commands):
        run(Theirs())
        from_the_command_line(Theirs())
    assert done == delivered * 2


@pytest.mark.parametrize("commands", [{"*": "run", "sync": None}, {"migrate": "run"}])
def test_or_they_leave_it_out(commands: dict[str, str | None]) -> None:
    with serving(COMMANDS=commands), pytest.raises(NoScopeError):
        run(Theirs())


def test_the_settings_are_the_default_of_commands_with_the_mixin() -> None:
    with serving(COMMANDS={"refund": "drop"}):
        run(Ours())
        assert done == []
        run(Ours(), "--effects=run")
    assert done == ["a"]


def test_loaddata_drops_what_signals_emit(tmp_path: Path) -> None:
    from django.db.models.signals import post_save

    def saved(instance: Row, **_: Any) -> None:
        airlock.emit(Note(instance.text))

    fixture = tmp_path / "rows.json"
    fixture.write_text('[{"model": "shop.row", "pk": 1, "fields": {"text": "loaded"}}]')
    post_save.connect(saved, sender=Row)
    try:
        with serving(COMMANDS={"*": "run", "loaddata": "drop"}):
            call_command("loaddata", str(fixture), verbosity=0)
            assert done == []
            run(Ours(lambda: Row.objects.create(text="made")))
    finally:
        post_save.disconnect(saved, sender=Row)
    assert done == ["made"]
    assert Row.objects.count() == 2


def test_commands_that_host_others_get_no_scope() -> None:
    with serving(COMMANDS={"*": "run", "runserver": "run"}), pytest.raises(NoScopeError):
        run(Host())
    with serving(COMMANDS={"*": "drop"}):
        run(Host(serve))
    assert done == ["served"]


def serve() -> None:
    """As a request does, which has a scope of its own."""
    with boundary.scope() as effects:
        effects.emit(Note("served"))


def test_but_may_have_all_their_effects_dropped() -> None:
    with serving(COMMANDS={"runserver": "drop"}):
        run(Host(serve))
    assert done == []


def test_those_of_django_are_known() -> None:
    assert {"runserver", "shell", "test", "dbshell"} <= HOSTS


def test_a_command_that_is_called_by_another_is_a_part_of_it() -> None:
    def work() -> None:
        airlock.emit(Note("before"))
        run(Theirs())
        run(Ours(lambda: airlock.emit(Note("inner"))))
        assert done == []

    with serving(COMMANDS={"*": "run"}):
        run(Ours(work))
    assert done == ["before", "a", "inner"]


def test_one_that_fails_takes_back_what_is_its_own() -> None:
    def fail() -> None:
        airlock.emit(Note("inner"))
        raise CommandError("no")

    def work() -> None:
        airlock.emit(Note("before"))
        with pytest.raises(CommandError):
            run(Ours(fail))

    run(Ours(work))
    assert done == ["before"]


@pytest.mark.parametrize("mode", ["drop", "plan"])
def test_it_may_drop_or_plan_on_its_own(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "inner.plan"
    mode = f"plan:{file}" if mode == "plan" else mode

    def work() -> None:
        airlock.emit(Note("before"))
        run(Ours(), f"--effects={mode}")
        airlock.emit(Note("after"))

    run(Ours(work))
    assert done == ["before", "after"]
    if mode != "drop":
        assert Plan.load(file).counts == {"django-app.note": 1}


def test_the_one_around_it_decides_too() -> None:
    run(Ours(lambda: run(Ours(), "--effects=run")), "--effects=drop")
    assert done == []


def test_a_dropping_command_that_a_request_calls_leaves_other_requests_alone() -> None:
    ready, over = threading.Event(), threading.Event()

    def work() -> None:
        ready.set()
        over.wait(10)

    with serving(COMMANDS={"sync": "drop"}):
        thread = threading.Thread(target=lambda: run(Theirs(work)))
        thread.start()
        ready.wait(10)
        try:
            serve()
        finally:
            over.set()
            thread.join()
    assert done == ["served"]


def test_from_the_command_line_it_reaches_all_threads() -> None:
    def work() -> None:
        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()

    with serving(COMMANDS={"sync": "drop"}):
        from_the_command_line(Theirs(work))
    assert done == []


def test_wrong_settings_do_not_keep_others_from_being_told() -> None:
    with serving(COMMANDS=["sync"]), pytest.raises(NoScopeError):
        run(Theirs())


@pytest.mark.parametrize("command", [Ours, Theirs])
def test_what_runs_because_of_a_commit_is_kept_though_the_command_fails(command: Any) -> None:
    """As any commit is; what comes after it in no transaction is not."""

    def work() -> None:
        with transaction.atomic():
            transaction.on_commit(lambda: airlock.emit(Note("committed")))
        airlock.emit(Note("after it"))
        raise CommandError("a later line")

    with serving(COMMANDS={"*": "run"}), pytest.raises(CommandError):
        run(command(work))
    assert done == ["committed"]
