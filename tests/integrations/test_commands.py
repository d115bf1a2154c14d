"""``--effects=run|drop|plan:FILE`` of Click and Typer commands."""

from __future__ import annotations

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
from airlock.errors import DeclarationError, FlushError
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
        raise ConnectionError

    result = run(Boundary({Note: fail}), note, "a")
    assert result.exit_code == 1
    assert isinstance(result.exception, FlushError)


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
