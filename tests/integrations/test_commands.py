"""``--effects=run|drop|plan:FILE`` of Click and Typer commands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import click
import click.testing
import pytest
import typer
import typer.testing

import airlock
from airlock import Boundary
from airlock.errors import DeclarationError, FlushError, NoScopeError, PlanError
from airlock.integrations.click import effects_option as click_option
from airlock.integrations.sqlite3 import connect, on_commit
from airlock.integrations.typer import effects_option as typer_option
from airlock.plan import Plan

Run = Callable[..., Any]
"""``(boundary, body, *arguments, **options)``: runs a command with the option; the result."""


@airlock.intent(kind="commands.note")
class Note:
    text: str


def clicked(given: Boundary | None, body: Run, *arguments: str, **options: Any) -> Any:
    @click.command()
    @click.argument("name")
    @click.option("--times", default=1)
    @click_option(given, **options)
    def remind(name: str, times: int) -> None:
        """Remind somebody."""
        body(name * times)

    return click.testing.CliRunner().invoke(remind, arguments)


def typed(given: Boundary | None, body: Run, *arguments: str, **options: Any) -> Any:
    app = typer.Typer()

    @app.command()
    @typer_option(given, **options)
    def remind(name: str, times: Annotated[int, typer.Option()] = 1) -> None:
        """Remind somebody."""
        body(name * times)

    return typer.testing.CliRunner().invoke(app, arguments)


@pytest.fixture(params=[clicked, typed], ids=["click", "typer"])
def run(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


@pytest.fixture
def done() -> list[Any]:
    return []


@pytest.fixture
def boundary(done: list[Any]) -> Boundary:
    return Boundary({Note: lambda intent: done.append(intent.text)})


def note(text: str) -> None:
    airlock.emit(Note(text))


def test_effects_happen_when_the_command_has_ended(
    run: Run, boundary: Boundary, done: list[Any]
) -> None:
    def body(text: str) -> None:
        note(text)
        assert done == []

    assert run(boundary, body, "a", "--times=2").exit_code == 0
    assert done == ["aa"]


def test_or_are_dropped(run: Run, boundary: Boundary, done: list[Any]) -> None:
    assert run(boundary, note, "a", "--effects=drop").exit_code == 0
    assert done == []


def test_or_become_a_plan(run: Run, boundary: Boundary, done: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "notes.plan"
    assert run(boundary, note, "a", f"--effects=plan:{path}").exit_code == 0
    assert done == []
    boundary.apply(Plan.load(path))
    assert done == ["a"]


def test_in_the_scopes_that_a_command_opens_itself_too(
    run: Run, boundary: Boundary, done: list[Any]
) -> None:
    def body(text: str) -> None:
        with boundary.scope() as effects:
            effects.emit(Note(text))

    assert run(None, body, "a").exit_code == 0
    assert run(None, body, "b", "--effects", "drop").exit_code == 0
    assert done == ["a"]


def test_a_command_that_fails_delivers_nothing(
    run: Run, boundary: Boundary, done: list[Any]
) -> None:
    def body(text: str) -> None:
        note(text)
        raise KeyError

    assert run(boundary, body, "a").exit_code == 1
    assert done == []


def test_a_handler_that_fails_fails_the_command(run: Run) -> None:
    def fail(_: Note) -> None:
        raise ConnectionError("no network")

    result = run(Boundary({Note: fail}), note, "a")
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)


def test_a_handler_that_fails_is_one_line_and_a_record_in_the_log(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Effects would happen again if the command ran again for its traceback."""

    def fail(_: Note) -> None:
        raise ConnectionError("no network")

    shown = " ".join(run(Boundary({Note: fail}), note, "a").output.replace("│", " ").split())
    assert "1 of 1 effects failed: Note(text='a'): ConnectionError('no network')" in shown
    assert "Traceback" not in shown
    [record] = caplog.records
    assert record.getMessage() == "effects of the command remind failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], FlushError)


def test_an_effect_without_a_handler_is_one_line_too(run: Run) -> None:
    shown = " ".join(run(Boundary({}), note, "a").output.replace("│", " ").split())
    assert "Note" in shown
    assert "--traceback shows where" in shown


def test_with_traceback_the_error_passes_as_it_is(run: Run) -> None:
    def fail(_: Note) -> None:
        raise ConnectionError("no network")

    result = run(Boundary({Note: fail}), note, "a", "--traceback")
    assert isinstance(result.exception, FlushError)


def test_a_scope_of_the_command_s_own_that_fails_is_one_line_too(run: Run) -> None:
    def fail(_: Note) -> None:
        raise ConnectionError("no network")

    def body(text: str) -> None:
        with Boundary({Note: fail}).scope():
            note(text)

    shown = " ".join(run(None, body, "a").output.replace("│", " ").split())
    assert "1 of 1 effects failed" in shown


def test_a_mistake_in_a_command_is_no_failed_effect(run: Run) -> None:
    """Nothing is open: the traceback says where."""
    assert isinstance(run(None, note, "a").exception, NoScopeError)


@pytest.mark.parametrize("library", ["click", "typer"])
def test_on_a_terminal_a_failing_handler_is_a_few_lines(library: str, tmp_path: Path) -> None:
    """Without logging, nothing but the summary is printed."""
    command = {
        "click": "import click\ncommand = click.command()\nmain = lambda: remind()",
        "typer": "import typer\napp = typer.Typer()\ncommand = app.command()\nmain = lambda: app()",
    }[library]
    program = tmp_path / "remind.py"
    program.write_text(
        "import airlock\n"
        f"from airlock.integrations.{library} import effects_option\n{command}\n"
        "@airlock.intent\n"
        "class Remind:\n    customer: int\n"
        "def fail(intent): raise ConnectionError('no network')\n"
        "@command\n@effects_option(airlock.Boundary({Remind: fail}))\n"
        "def remind(): airlock.emit(Remind(7))\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "ConnectionError('no network')" in ended.stderr
    assert len(ended.stderr.splitlines()) <= 4


def test_or_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Note) -> None:
        raise ConnectionError

    assert run(Boundary({Note: fail}), note, "a", on_flush_error="report").exit_code == 0
    assert "effects of the command remind failed" in caplog.text


def test_a_transaction_may_decide(run: Run, boundary: Boundary, done: list[Any]) -> None:
    database = connect(":memory:", isolation_level=None)

    def body(text: str) -> None:
        database.execute("BEGIN")
        note(text)
        database.execute("ROLLBACK")
        database.execute("BEGIN")
        note(text + "!")
        database.execute("COMMIT")

    assert run(boundary, body, "a", release=lambda: on_commit(database)).exit_code == 0
    database.close()
    assert done == ["a!"]


# -- early ends -----------------------------------------------------------------------------------


def exits_of_click(code: int) -> None:
    click.get_current_context().exit(code)


def exits_of_typer(code: int) -> None:
    raise typer.Exit(code)


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize(
    ("run_", "leave"), [(clicked, exits_of_click), (typed, exits_of_typer), (clicked, sys.exit)]
)
def test_a_command_that_ends_early_has_ended_well_if_its_exit_code_is_0(
    run_: Run, leave: Any, code: int, boundary: Boundary, done: list[Any]
) -> None:
    def body(text: str) -> None:
        note(text)
        leave(code)

    assert run_(boundary, body, "a").exit_code == code
    assert done == ([] if code else ["a"])


def test_and_its_plan_is_written(
    run: Run, boundary: Boundary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notes.plan"

    def body(text: str) -> None:
        note(text)
        raise SystemExit(0)

    assert run(boundary, body, "a", f"--effects=plan:{path}").exit_code == 0
    assert len(Plan.load(path)) == 1
    assert "failed" not in caplog.text


# -- groups ---------------------------------------------------------------------------------------


def clicked_group(given: Boundary | None, body: Run, *arguments: str) -> Any:
    @click.group()
    @click_option(given)
    def group() -> None:
        """Some commands."""

    @group.command()
    @click.argument("name")
    def remind(name: str) -> None:
        body(name)

    return click.testing.CliRunner().invoke(group, arguments)


def typed_group(given: Boundary | None, body: Run, *arguments: str) -> Any:
    app = typer.Typer()

    @app.callback()
    @typer_option(given)
    def group() -> None:
        """Some commands."""

    @app.command()
    def remind(name: str) -> None:
        body(name)

    return typer.testing.CliRunner().invoke(app, arguments)


def typed_group_with_context(given: Boundary | None, body: Run, *arguments: str) -> Any:
    app = typer.Typer()

    @app.callback()
    @typer_option(given)
    def group(ctx: typer.Context) -> None:
        assert ctx.invoked_subcommand == "remind"

    @app.command()
    def remind(name: str) -> None:
        body(name)

    return typer.testing.CliRunner().invoke(app, arguments)


@pytest.fixture(params=[clicked_group, typed_group, typed_group_with_context])
def run_group(request: pytest.FixtureRequest) -> Run:
    found: Run = request.param
    return found


def test_the_option_of_a_group_holds_for_its_commands(
    run_group: Run, boundary: Boundary, done: list[Any], tmp_path: Path
) -> None:
    def body(text: str) -> None:
        with boundary.scope(independent=True) as effects:
            effects.emit(Note(text))

    path = tmp_path / "notes.plan"
    assert run_group(None, body, "--effects=drop", "remind", "a").exit_code == 0
    assert run_group(None, body, f"--effects=plan:{path}", "remind", "b").exit_code == 0
    assert done == []
    boundary.apply(Plan.load(path))
    assert run_group(None, body, "remind", "c").exit_code == 0
    assert done == ["b", "c"]


def test_a_scope_of_a_group_is_around_its_commands(
    run_group: Run, boundary: Boundary, done: list[Any]
) -> None:
    def failing(text: str) -> None:
        note(text)
        raise KeyError

    assert run_group(boundary, note, "remind", "a").exit_code == 0
    assert run_group(boundary, failing, "remind", "b").exit_code == 1
    assert run_group(boundary, note, "--effects=drop", "remind", "c").exit_code == 0
    assert done == ["a"]


def test_also_where_an_error_is_being_handled(
    run_group: Run, boundary: Boundary, done: list[Any]
) -> None:
    try:
        raise LookupError
    except LookupError:
        assert run_group(boundary, note, "remind", "a").exit_code == 0
    assert done == ["a"]


# -- functions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [click_option, typer_option])
def test_a_decorated_function_is_still_a_function(
    option: Any, boundary: Boundary, done: list[Any]
) -> None:
    def remind(name: str) -> str:
        note(name)
        return name

    assert option(boundary)(remind)("a") == "a"
    assert done == ["a"]


@pytest.mark.parametrize("option", [click_option, typer_option])
def test_a_coroutine_function_is_refused(option: Any) -> None:
    async def remind() -> None: ...

    with pytest.raises(DeclarationError, match=r"async: it would end before it has run"):
        option()(remind)


# -- plans of commands that fail ------------------------------------------------------------------


def test_what_a_command_committed_before_it_failed_is_in_the_plan(
    run: Run, boundary: Boundary, done: list[Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "notes.plan"
    database = connect(":memory:", isolation_level=None)

    def body(text: str) -> None:
        with boundary.scope(release=on_commit(database)):
            database.execute("BEGIN")
            note(text)
            database.execute("COMMIT")
        with boundary.scope(release=on_commit(database)), database:
            database.execute("BEGIN")
            note(text)
            raise KeyError

    result = run(None, body, "a", f"--effects=plan:{path}")
    assert isinstance(result.exception, KeyError)
    assert result.exception.__notes__ == [f"the effects that it had kept are in the plan {path}"]
    assert str(path) in caplog.text
    assert Plan.load(path).counts == {"commands.note": 1}
    assert done == []
    database.close()


def test_a_plan_of_nothing_is_not_written_for_a_command_that_fails(
    run: Run, boundary: Boundary, tmp_path: Path
) -> None:
    def body(text: str) -> None:
        note(text)
        raise KeyError

    path = tmp_path / "notes.plan"
    assert run(boundary, body, "a", f"--effects=plan:{path}").exit_code == 1
    assert not path.exists()


def test_a_place_that_cannot_be_written_to_is_refused_before_the_command_runs(
    run: Run, boundary: Boundary, tmp_path: Path
) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "notes.plan"):
        result = run(boundary, pytest.fail, "a", f"--effects=plan:{place}")
        assert result.exit_code == 2
        assert "may write to" in " ".join(result.output.replace("│", " ").split())


def test_a_plan_that_cannot_be_written_in_the_end_is_written_elsewhere(
    run: Run, boundary: Boundary, tmp_path: Path
) -> None:
    def body(text: str) -> None:
        note(text)
        tmp_path.joinpath("plans").rename(tmp_path / "gone")

    tmp_path.joinpath("plans").mkdir()
    arguments = ["a", f"--effects=plan:{tmp_path}/plans/a.plan", "--traceback"]
    error: Any = run(boundary, body, *arguments).exception
    assert isinstance(error, PlanError)
    assert len(Plan.load(error.hint.split()[3])) == 1


@pytest.mark.parametrize("mode", ["plan", "hold", ""])
def test_other_modes_are_refused_before_the_command_runs(
    run: Run, boundary: Boundary, mode: str
) -> None:
    result = run(boundary, pytest.fail, "a", f"--effects={mode}")
    assert result.exit_code == 2
    told = " ".join(result.output.replace("│", " ").split())
    assert "Give run, drop, or plan:FILE" in told


def test_the_help_tells_of_it(run: Run, boundary: Boundary) -> None:
    told = run(boundary, note, "--help").output
    assert "Remind somebody." in told
    assert "--effects" in told
    assert "run|drop|plan:FILE" in told


@pytest.mark.parametrize("option", [click_option, typer_option])
def test_what_is_no_boundary_is_refused(option: Any) -> None:
    with pytest.raises(DeclarationError, match="takes a Boundary"):
        option("shop.boundary")
