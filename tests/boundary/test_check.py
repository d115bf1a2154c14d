"""``boundary.check()``: what does not fit, found in a test or at start-up."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import containers, providers
from dependency_injector.errors import Error as InjectorError

import airlock
from airlock import Boundary, Dispatcher, Handles, Route
from airlock.errors import AsyncHandlerError, DependencyError, WiringError
from tests.boundary.vocabulary import (
    AuditEntry,
    NotifyWarehouse,
    SendEmail,
    SendInvoice,
    ignore,
    next_line,
)


class Effects(containers.DeclarativeContainer):
    notify = Handles(NotifyWarehouse, ignore)
    email = Handles(SendEmail, ignore)


class Anywhere(Dispatcher):
    """Hands over to nobody: only its place in the routes matters here."""


def test_a_complete_wiring_has_no_problems() -> None:
    """It says so."""
    check = Boundary(Effects()).check([NotifyWarehouse, SendEmail, SendInvoice])
    assert check.ok
    assert check.problems == ()
    assert str(check) == "the wiring is complete"
    check.raise_for_problems()


def test_an_intent_without_a_handler_is_found() -> None:
    """With the place where it is declared."""
    place = next_line(skipping=1)

    @airlock.intent
    class Forgotten:
        pass

    check = Boundary(Effects()).check([NotifyWarehouse, SendEmail, Forgotten])
    assert not check.ok
    (problem,) = check.unhandled
    assert "no handler for" in problem
    assert "Forgotten" in problem
    assert place in problem


def test_by_default_every_declared_intent_is_wanted() -> None:
    """All that was imported so far."""
    unhandled = "\n".join(Boundary(Effects()).check().unhandled)
    assert "AuditEntry (declared at tests/boundary/vocabulary.py:" in unhandled
    assert "NotifyWarehouse (declared at tests/boundary/vocabulary.py:" not in unhandled


def test_a_handler_that_nothing_reaches_is_found() -> None:
    """It is dead, or its intent is not among those that matter here."""
    check = Boundary(Effects()).check([NotifyWarehouse])
    (problem,) = check.unused
    assert "email (" in problem
    assert "tests/boundary/test_check.py:" in problem
    assert "SendEmail (declared at tests/boundary/vocabulary.py:" in problem
    assert "not among the intents" in problem


def test_a_handler_of_a_base_class_is_used_by_its_subclasses() -> None:
    """Reached along the MRO."""
    assert Boundary(Effects()).check([NotifyWarehouse, SendInvoice]).ok


def test_an_async_handler_does_not_fit_where_flushes_are_sync() -> None:
    """``check(sync=True)`` says which, and what to do."""

    async def send(subject: SendEmail) -> None: ...

    boundary = Boundary({SendEmail: send})
    assert boundary.check([SendEmail]).ok
    (problem,) = boundary.check([SendEmail], sync=True).misfits
    assert "send" in problem
    assert "the handler of SendEmail" in problem
    assert "flush with `async with`, or register a plain function" in problem


# -- what lies below handlers ---------------------------------------------------------------------


def takes(subject: Any, **_: Any) -> None:
    """A handler with whatever dependencies."""


async def connect() -> AsyncIterator[str]:
    yield "connection"


async def answer() -> int:
    return 42


def plainly() -> Iterator[str]:
    yield "connection"


class Waits:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


class Awaited(containers.DeclarativeContainer):
    """Dependencies that only an async flush can await."""

    plain = providers.Resource(plainly)
    generator = providers.Resource(connect)
    function = providers.Resource(answer)
    manager = providers.Resource(Waits)
    decorated = providers.Resource(contextlib.asynccontextmanager(connect))
    coroutine = providers.Coroutine(answer)
    factory = providers.Factory(answer)
    singleton = providers.ThreadLocalSingleton(answer)
    below: Any = providers.Singleton(dict, db=generator)
    item = below.provided["db"]
    listed = providers.List(plain, generator)
    chosen = providers.Selector(lambda: "b", a=plain, b=generator)
    default: Any = providers.Dependency(default=generator)


@pytest.mark.parametrize(
    ("dependency", "named"),
    [
        *((name, f"`{name}`") for name in ("generator", "function", "manager", "decorated")),
        *((name, f"`{name}`") for name in ("coroutine", "factory", "singleton")),
        *((name, "`generator`") for name in ("below", "item", "listed", "chosen", "default")),
    ],
)
def test_an_async_dependency_does_not_fit_where_flushes_are_sync(
    dependency: str, named: str
) -> None:
    """However deep it is; the problem names it. Nothing is called to find out."""

    class Wired(Awaited):
        notify = Handles(NotifyWarehouse, takes, it=getattr(Awaited, dependency))

    boundary = Boundary(Wired())
    assert boundary.check([NotifyWarehouse]).ok
    (problem,) = boundary.check([NotifyWarehouse], sync=True).misfits
    assert f"needs {named} (" in problem
    with pytest.raises(AsyncHandlerError, match="must be awaited for"), boundary.scope() as effects:
        effects.emit(NotifyWarehouse())


@pytest.mark.parametrize("dependency", ["plain", "handed_on"])
def test_what_is_not_awaited_fits(dependency: str) -> None:
    """A sync resource; an async one that is handed on as a provider."""

    class Wired(Awaited):
        handed_on = Awaited.generator.provider
        notify = Handles(
            NotifyWarehouse,
            takes,
            it=Awaited.plain if dependency == "plain" else handed_on,
        )

    assert Boundary(Wired()).check([NotifyWarehouse], sync=True).ok


def test_what_stands_for_a_provider_now_is_checked() -> None:
    """An async dependency that is replaced fits; an async handler that replaces does not."""

    class Wired(Awaited):
        notify = Handles(NotifyWarehouse, takes, it=Awaited.generator)
        email = Handles(SendEmail, ignore)

    async def fake(subject: Any) -> None: ...

    container = Wired()
    boundary = Boundary(container)

    def misfits() -> tuple[str, ...]:
        return boundary.check([NotifyWarehouse, SendEmail], sync=True).misfits

    with container.generator.override("connection"):
        assert misfits() == ()
        with container.email.override(fake):
            (problem,) = misfits()
            assert "email (" in problem
        with container.email.override(Handles(SendEmail, fake)):
            assert len(misfits()) == 1
    with container.plain.override(providers.Resource(connect)):
        assert len(misfits()) == 1


def test_an_async_interceptor_does_not_fit_where_flushes_are_sync() -> None:
    async def timed(subject: Any, call_next: Any) -> None: ...

    boundary = Boundary({SendEmail: ignore}, interceptors=[timed])
    assert boundary.check([SendEmail]).ok
    (problem,) = boundary.check([SendEmail], sync=True).misfits
    assert "timed" in problem
    assert "an interceptor, is async" in problem


class Unset(containers.DeclarativeContainer):
    """Dependencies that nothing supplies."""

    config = providers.Configuration()
    strict = providers.Configuration(strict=True)
    dependency: Any = providers.Dependency()
    others = providers.DependenciesContainer()
    abstract: Any = providers.AbstractFactory(dict)
    option = config.url.required()
    chosen = providers.Selector(config.mode, a=providers.Object(1))
    below: Any = providers.Singleton(dict, x=providers.List(dependency))


@pytest.mark.parametrize(
    ("dependency", "text"),
    [
        (Unset.dependency, "`dependency` is not defined"),
        (Unset.below, "`dependency` is not defined"),
        (Unset.others.client, "`others.client` is not defined"),
        (Unset.abstract, "`abstract` is abstract, and nothing overrides it"),
        (Unset.option, "`option` is not configured"),
        (Unset.strict.url, "`config.url` is not configured"),
        (Unset.chosen, "`chosen` selects by a value that is not set"),
    ],
    ids=["dependency", "below", "container", "abstract", "required", "strict", "selector"],
)
def test_a_dependency_that_nothing_supplies_is_found(dependency: Any, text: str) -> None:
    """And a flush is refused for it before anything is made."""

    class Wired(Unset):
        notify = Handles(NotifyWarehouse, takes, it=dependency)

    boundary = Boundary(Wired())
    (problem,) = boundary.check([NotifyWarehouse]).undefined
    assert "notify (" in problem
    assert text in problem
    with pytest.raises((DependencyError, InjectorError)), boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert effects.report.pending == [NotifyWarehouse()]


def test_a_dependency_that_is_supplied_is_not() -> None:
    """By the container around, by a default, by overriding, by configuration."""

    class Part(containers.DeclarativeContainer):
        config = providers.Configuration()
        client: Any = providers.Dependency()
        others = providers.DependenciesContainer()
        notify = Handles(
            NotifyWarehouse,
            takes,
            a=client,
            b=others.db,
            c=providers.Dependency(default=1),
            d=providers.Selector(config.mode, x=providers.Object(1), y=client),
        )

    class Others(containers.DeclarativeContainer):
        db = providers.Object("db")

    class Whole(containers.DeclarativeContainer):
        config = providers.Configuration()
        part = providers.Container(
            Part,
            config=config.part,
            client=providers.Object("client"),
            others=providers.Container(Others),
        )

    container = Whole()
    boundary = Boundary(container)
    (problem,) = boundary.check([NotifyWarehouse]).undefined
    assert "selects by a value that is not set" in problem
    container.config.from_dict({"part": {"mode": "z"}})
    (problem,) = boundary.check([NotifyWarehouse]).undefined
    assert "selects 'z', and has only 'x', 'y'" in problem
    container.config.from_dict({"part": {"mode": "y"}})
    assert boundary.check([NotifyWarehouse]).ok
    with boundary.scope() as effects:
        effects.emit(NotifyWarehouse())
    assert effects.report.ok


def test_what_is_dispatched_elsewhere_needs_no_handler_here() -> None:
    """And may have one: the worker may use the same boundary."""
    boundary = Boundary(Effects(), dispatch=Route({AuditEntry: Anywhere(), SendEmail: Anywhere()}))
    check = boundary.check([NotifyWarehouse, SendEmail, AuditEntry])
    assert check.unhandled == ()
    assert check.unused == ()
    assert Boundary({}, dispatch=Anywhere()).check([NotifyWarehouse, SendEmail]).ok


def test_a_handler_of_a_class_that_was_declared_again_is_found() -> None:
    """A reload made a new class; what is emitted is that one, and the handler is for the old."""

    def declare() -> Any:
        @airlock.intent
        class Reloaded:
            pass

        return Reloaded

    old, new = declare(), declare()
    check = Boundary({old: lambda subject: None}).check([new])
    assert any("Reloaded" in problem for problem in check.unhandled)
    assert any("was declared again since" in problem for problem in check.unused)


def test_the_other_airlock_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two distributions that install the same import name: one of them hides the other."""
    info = tmp_path / "airlock_py-0.1.0a3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: airlock-py\nVersion: 0.1.0a3\n")
    boundary = Boundary(Effects())
    assert boundary.check([NotifyWarehouse, SendEmail]).conflicts == ()
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem,) = boundary.check([NotifyWarehouse, SendEmail]).conflicts
    assert "airlock-py installs the import name `airlock` too" in problem
    assert "pip uninstall airlock-py, then reinstall airlock-effects" in problem


def test_problems_can_be_raised() -> None:
    """As one error that lists all of them."""
    check = Boundary(Effects()).check([AuditEntry])
    with pytest.raises(WiringError) as raised:
        check.raise_for_problems()
    text = str(raised.value)
    assert text.startswith("3 problem(s) with the wiring:")
    assert text.count("\n  - ") == 3
    assert all(problem in text for problem in check.problems)
    assert len(check.problems) == 3
