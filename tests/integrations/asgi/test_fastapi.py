"""``Effects`` and ``Emits``: the scope of a request as a dependency of FastAPI."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from itertools import product
from typing import Annotated, Any, assert_type

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from starlette.middleware import Middleware

import airlock
from airlock import AirlockError, Drop, EffectBuffer, Scope
from airlock.errors import ScopeOrderError, SettingError
from airlock.integrations.asgi import EffectsMiddleware
from airlock.integrations.fastapi import Effects, Emits, effects_of
from tests.integrations.asgi.vocabulary import Note, Notes, Receipt, get

pytestmark = pytest.mark.anyio


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def app(notes: Notes) -> FastAPI:
    return FastAPI(middleware=[Middleware(EffectsMiddleware, boundary=notes.boundary)])


async def test_an_async_route(app: FastAPI, notes: Notes) -> None:
    @app.get("/")
    async def view(effects: Effects) -> bool:
        assert_type(effects, Scope)
        effects.emit(Note("x"))
        return effects is airlock.current()

    assert (await get(app, "/", raises=True)).json() is True
    assert notes.log == ["x"]


async def test_a_sync_route(app: FastAPI, notes: Notes) -> None:
    @app.get("/")
    def view(effects: Effects) -> bool:
        effects.emit(Note("injected"))
        airlock.emit(Note("ambient"))
        return effects is airlock.current()

    assert (await get(app, "/", raises=True)).json() is True
    assert notes.log == ["injected", "ambient"]


async def test_a_route_says_what_it_may_emit(app: FastAPI, notes: Notes) -> None:
    @app.get("/")
    async def view(effects: Emits[Note]) -> None:
        effects.emit(Note("x"))
        effects.emit(Receipt(1))  # type: ignore[arg-type]  # type checkers hold the body to it
        assert_type(effects, airlock.Emits[Note])

    assert (await get(app, "/", raises=True)).status_code == 200
    assert notes.log == ["x", "receipt 1"]


async def test_dependencies_and_routers_have_the_same_scope(app: FastAPI, notes: Notes) -> None:
    app.include_router(routes, prefix="/shop")
    assert (await get(app, "/shop/checkout", raises=True)).json() == "you"
    assert notes.log == ["logged", "user of a thread", "view", "in the background", "done"]


routes = APIRouter()


def user(effects: Effects) -> str:
    effects.emit(Note("user of a thread"))
    return "you"


async def logged(effects: Effects) -> AsyncIterator[None]:
    effects.emit(Note("logged"))
    yield
    effects.emit(Note("done"))


@routes.get("/checkout", dependencies=[Depends(logged)])
async def checkout(
    user: Annotated[str, Depends(user)], effects: Emits[Note | Receipt], tasks: BackgroundTasks
) -> str:
    effects.emit(Note("view"))
    tasks.add_task(effects.emit, Note("in the background"))
    return user


async def test_a_generator_of_a_thread_emits_into_the_request(app: FastAPI, notes: Notes) -> None:
    @app.get("/")
    def view(effects: Effects) -> StreamingResponse:
        def body() -> Iterator[str]:
            for n in range(2):
                effects.emit(Note(str(n)))
                airlock.emit(Note(f"{n} too"))
                yield str(n)

        return StreamingResponse(body())

    assert (await get(app, "/", raises=True)).text == "01"
    assert notes.log == ["0", "0 too", "1", "1 too"]


BLOCKS: dict[str, Callable[[Scope, Notes], Any]] = {
    "region": lambda effects, notes: airlock.region(Drop()),
    "scope": lambda effects, notes: notes.boundary.scope(policy=Drop()),
    "enclose": lambda effects, notes: airlock.enclose(Drop()),
    "override": lambda effects, notes: effects.override({Note: None}),
}


@pytest.mark.parametrize(
    "case",
    [
        *product(
            ("async def", "def"),
            BLOCKS,
            ("function", "request"),
            ("async def", "def"),
            ("ambient", "passed"),
        )
    ],
    ids="-".join,
)
async def test_a_dependency_that_opens_a_block(
    app: FastAPI, notes: Notes, case: tuple[str, str, Any, str, str]
) -> None:
    """An ``async`` one holds for the route; one of the threadpool is refused, not passed by."""
    dependency, block, place, route, how = case

    def muted(effects: Effects) -> Iterator[None]:
        with BLOCKS[block](effects, notes):
            yield

    async def amuted(effects: Effects) -> AsyncIterator[None]:
        with BLOCKS[block](effects, notes):
            yield

    depends = Depends(muted if dependency == "def" else amuted, scope=place)

    def view(effects: Effects, _: None = depends) -> None:
        (airlock if how == "ambient" else effects).emit(Note("muted"))

    async def aview(effects: Effects, _: None = depends) -> None:
        view(effects)

    app.get("/")(view if route == "def" else aview)
    with pytest.raises(AirlockError) if dependency == "def" else nullcontext():
        assert (await get(app, "/", raises=True)).status_code == 200
    assert notes.log == []


async def test_invalid_input_discards(app: FastAPI, notes: Notes) -> None:
    @app.get("/")
    def view(user: Annotated[str, Depends(user)], number: int) -> None:
        raise AssertionError("not called")

    assert (await get(app, "/?number=one", raises=True)).status_code == 422
    assert notes.log == []
    assert notes.report.discarded == [Note("user of a thread")]


async def test_a_test_may_put_a_buffer_in_its_place(app: FastAPI, notes: Notes) -> None:
    @app.get("/")
    def view(effects: Effects) -> None:
        effects.emit(Note("x"))

    buffer = EffectBuffer()
    app.dependency_overrides[effects_of] = lambda: buffer
    await get(app, "/", raises=True)
    assert notes.log == []
    assert buffer == [Note("x")]


async def test_without_the_middleware_the_error_names_it() -> None:
    app = FastAPI()

    @app.get("/")
    def view(effects: Effects) -> None:
        raise AssertionError("not called")

    with pytest.raises(SettingError, match=r"app\.add_middleware\(EffectsMiddleware, boundary="):
        await get(app, "/", raises=True)


async def test_the_scope_shows_in_no_schema(app: FastAPI) -> None:
    @app.get("/")
    def view(effects: Effects, narrow: Emits[Note]) -> None: ...

    schema = (await get(app, "/openapi.json", raises=True)).json()
    assert "parameters" not in schema["paths"]["/"]["get"]


@pytest.mark.parametrize("extra", ["fastapi", "starlette"])
def test_where_the_framework_is_missing_the_error_names_the_extra(extra: str) -> None:
    program = f"""
import sys
sys.modules |= dict.fromkeys(["fastapi", "starlette", "anyio"])
import airlock.integrations.asgi
try:
    import airlock.integrations.{extra}
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=True
    )
    assert done.stdout.endswith(f"Run: pip install 'airlock-effects[{extra}]'\n")


def whole_region(effects: Effects) -> Iterator[Scope]:
    with airlock.region(airlock.Drop()):
        yield effects


def nested_scope_with_a_region(effects: Effects) -> Iterator[Scope]:
    assert effects is airlock.current()
    with KEEPING.scope() as own, airlock.region(airlock.Drop()):
        yield own


KEEPING = airlock.Boundary({Note: lambda _: pytest.fail("nothing may escape")})


@pytest.mark.parametrize("dependency", [whole_region, nested_scope_with_a_region])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_nothing_escapes_the_policy_of_a_dependency_that_is_a_plain_generator(
    app: FastAPI, notes: Notes, dependency: Any, asynchronous: bool
) -> None:
    """Its block is not open where the route runs; the error says that it has to be async."""

    def view(effects: Any = Depends(dependency)) -> None:  # noqa: B008 - local, as no annotation can be
        effects.emit(Note("past the policy"))

    async def aview(effects: Any = Depends(dependency)) -> None:  # noqa: B008 - as above
        effects.emit(Note("past the policy"))

    app.get("/")(aview if asynchronous else view)
    with pytest.raises(ScopeOrderError, match="async def"):
        await get(app, "/", raises=True)
    assert notes.log == []
