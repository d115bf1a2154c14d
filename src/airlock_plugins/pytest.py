"""The pytest plugin: fixture ``effects``, marker ``effects``, ini ``airlock_effects``.

Inert until one of these is used: a test that asks for nothing runs as it would without it, and
airlock is not imported.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from airlock.effects.place import Place
    from airlock.emissions.region import Region
    from airlock.testing.recording import Recording
    from airlock.testing.tape import Mode

__all__ = ["effects"]

MARKER = """effects(mode, *, strict=None): what the test does with effects: "record" \
them and deliver nothing, "allow" them to happen, "drop" them without a word, or "refuse" them with \
an error at the line that emits; by default the ini option airlock_effects, else "record". strict: fail \
for what is not asserted."""

TOO_LATE = """The fixture `effects` was requested by request.getfixturevalue(), which is too late: \
recording starts before the first fixture of a test. Name `effects` among the arguments of the test \
or of a fixture, or mark the test with @pytest.mark.effects."""

RECORDED = pytest.StashKey["Recorded"]()
EXPLANATIONS = pytest.StashKey["dict[Place, tuple[str, list[str]]]"]()
"""Explanations of failed comparisons, by the place of their assertion."""


# -- settings -------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two ini settings."""
    parser.addini(
        "airlock_effects",
        "what every test does with effects, unless it is marked: record, allow, drop or refuse",
        default="",
    )
    parser.addini(
        "airlock_strict",
        "folders whose tests fail for effects that they emit and do not assert",
        type="paths",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and check the settings."""
    config.stash[EXPLANATIONS] = {}
    config.addinivalue_line("markers", MARKER)
    if mode := config.getini("airlock_effects"):
        _check_mode(mode, f"airlock_effects = {mode}")
    for folder in config.getini("airlock_strict"):
        if not folder.exists():
            raise pytest.UsageError(f"airlock_strict names {folder}, which does not exist.")


def _check_mode(mode: object, where: str) -> Mode:
    from airlock.testing.tape import MODES  # noqa: PLC0415 - inert until used

    for known in MODES:
        if mode == known:
            return known
    near = _near(str(mode), MODES)
    guess = f" Did you mean {near!r}?" if near else ""
    raise pytest.UsageError(f"{where}: choose one of {', '.join(map(repr, MODES))}.{guess}")


def _near(written: str, known: Sequence[str]) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 - inert until used

    return next(iter(get_close_matches(written, known, 1)), None)


class Choice:
    """The options of a test, a class or a module: by its marker, else by the settings."""

    def __init__(self, item: Any) -> None:
        marker = item.get_closest_marker("effects")
        where = f"@pytest.mark.effects(...) of {item.nodeid}"
        options = {} if marker is None else _options(marker, where)
        by_default = item.config.getini("airlock_effects") or "record"
        self.mode: Mode = _check_mode(options.get("mode", by_default), where)
        strict: bool | None = options.get("strict")
        self.minds = self.mode in ("record", "allow")
        self.strict = self.minds and _in_strict_folder(item) if strict is None else strict


def _options(marker: pytest.Mark, where: str) -> dict[str, Any]:
    """Return the arguments of a marker, by name."""
    options = dict(marker.kwargs)
    modes = [*marker.args, *([options.pop("mode")] if "mode" in options else ())]
    if len(modes) > 1:
        given = ", ".join(map(repr, modes))
        raise pytest.UsageError(
            f"{where} takes one mode, and was given {given}. Did you mean strict=?"
        )
    for name, value in options.items():
        if name != "strict":
            near = _near(name, ("mode", "strict"))
            guess = f" Did you mean {near}=?" if near else ""
            raise pytest.UsageError(f"{where} takes mode= and strict=, not {name}=.{guess}")
        if not isinstance(value, bool | None):
            raise pytest.UsageError(f"{where}: {name}={value!r} must be True or False.")
    return {**options, "mode": modes[0]} if modes else options


def _in_strict_folder(item: Any) -> bool:
    folders: list[Path] = item.config.getini("airlock_strict")
    return any(item.path.is_relative_to(folder) for folder in folders)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a marker that makes no sense before the first test runs."""
    if hasattr(session.config, "workerinput"):  # xdist would not pass it on; the test will fail
        return
    for item in session.items:
        if item.get_closest_marker("effects") is not None:
            Choice(item)


# -- fixtures -------------------------------------------------------------------------------------


class Recorded:
    """A test that is recorded.

    Attributes:
        choice: what it wants.
        recording: of what it emits.
        region: current where the recording is in force.
    """

    def __init__(self, item: pytest.Item) -> None:
        from airlock.scopes.current import here  # noqa: PLC0415 - inert until used
        from airlock.testing.recording import Recording  # noqa: PLC0415 - inert until used

        self.choice = Choice(item)
        self.recording = Recording(mode=self.choice.mode)
        self.recording.start((str(item.path), (item.location[1] or 0) + 1))
        self.region = here.get()

    def enter(self) -> None:
        """Be in force in this context too."""
        from airlock.scopes.current import here  # noqa: PLC0415 - inert until used

        here.set(self.region)


@pytest.fixture(autouse=True)
def _airlock_recording(request: pytest.FixtureRequest) -> Iterator[None]:
    """Record, if the test wants it: before the fixtures of the test, until after them."""
    item = request.node
    if not _wanted(item, request):
        yield
        return
    recorded = item.stash[RECORDED] = Recorded(item)
    context = getattr(request.instance, "_asyncioTestContext", None)
    if context is not None:  # of an IsolatedAsyncioTestCase, copied when pytest made the instance
        context.run(recorded.enter)
    try:
        yield
    finally:
        del item.stash[RECORDED]
        recorded.recording.stop()


def _wanted(item: Any, request: pytest.FixtureRequest) -> bool:
    return (
        ("effects" in request.fixturenames and _asks_for_ours(item))
        or item.get_closest_marker("effects") is not None
        or bool(request.config.getini("airlock_effects"))
    )


def _asks_for_ours(item: Any) -> bool:
    """Return True if the fixture that a test asks for is ours, or extends ours."""
    for definition in reversed(item._fixtureinfo.name2fixturedefs.get("effects", ())):  # noqa: SLF001 - pytest has no public way to tell
        if getattr(definition.func, "__module__", "") == __name__:
            return True
        if "effects" not in definition.argnames:
            return False
    return False


@pytest.fixture
def effects(request: pytest.FixtureRequest, _airlock_recording: None) -> Recording:
    """Record everything that the test emits, wherever; deliver nothing of it.

    A buffer and the ambient scope; see ``airlock.testing.Recording``.
    """
    recorded: Recorded | None = request.node.stash.get(RECORDED, None)
    if recorded is None:
        pytest.fail(TOO_LATE, pytrace=False)
    return recorded.recording


# -- running --------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Check what a test that passes did not assert."""
    recorded = item.stash.get(RECORDED, None)
    if recorded is None:
        return (yield)
    with _reaching(item, recorded.region):
        result = yield
    complaint = _complaint(recorded)
    if complaint:
        pytest.fail(complaint, pytrace=False)
    return result


def _complaint(recorded: Recorded) -> str:
    try:
        if recorded.choice.strict:
            recorded.recording.nothing_else()
        recorded.recording.check_expectations()
    except Exception as error:  # noqa: BLE001 - an assertion, or an expectation never used
        return str(error)
    return ""


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Explain a failure, or show what was emitted. Here unittest's failures are known too."""
    explanations = item.config.stash[EXPLANATIONS]
    error = None if call.excinfo is None else call.excinfo.value
    explained = [_explain(each, explanations) for each in _single(error)]
    explanations.clear()
    recorded = item.stash.get(RECORDED, None)
    if "airlock" in sys.modules:
        for each in _chained(error):
            _hide_frames(each)
            _name_the_fixture(each, recorded)
    if recorded is not None and not any(explained):
        _show(item, call.when, recorded, error)


def _show(item: pytest.Item, when: str, recorded: Recorded, error: BaseException | None) -> None:
    """Add a section to the report: all emissions, or those that a passing test did not look at."""
    from airlock.testing.explain import listed, log  # noqa: PLC0415 - inert until used

    recording = recorded.recording
    if error is not None:
        text = "\n".join(log(recording.tape))
        if recording.tape.emissions and text not in str(error):
            item.add_report_section(when, "effects", text)
    elif when == "call" and recorded.choice.minds and (left := recording.leftovers()):
        item.add_report_section(when, "effects not asserted", "\n".join(listed(left)))


# -- what pytest shows of errors -------------------------------------------------------------------

IN_A_TEST = """In a test, the fixture `effects` opens a scope, records what is emitted and delivers \
nothing: name it among the arguments of the test, or mark the test with @pytest.mark.effects. For \
all tests, set `airlock_effects = record` in the ini file."""


def _chained(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, those that it was raised from, and those in groups."""
    waiting, seen = [error], set[int]()
    for each in waiting:  # it grows while it is read
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]
            waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else ()


def _hide_frames(error: BaseException) -> None:
    """Leave airlock's own frames out of tracebacks, so that the last one shown is the test's."""
    trace = error.__traceback__
    while trace is not None:
        names = trace.tb_frame.f_globals
        if _is_airlock(names):
            names.setdefault("__tracebackhide__", _is_no_fault_of_airlock)
        trace = trace.tb_next


def _is_no_fault_of_airlock(excinfo: pytest.ExceptionInfo[BaseException] | None) -> bool:
    from airlock.errors import AirlockError  # noqa: PLC0415 - inert until used

    if excinfo is None:
        return True
    raised = excinfo.traceback[-1].frame.f_globals
    return isinstance(excinfo.value, AirlockError | AssertionError) or not _is_airlock(raised)


def _is_airlock(names: dict[str, Any]) -> bool:
    return str(names.get("__name__")).partition(".")[0] == "airlock"


def _name_the_fixture(error: BaseException, recorded: Recorded | None) -> None:
    from airlock.errors import NoScopeError  # noqa: PLC0415 - inert until used

    if recorded is None and isinstance(error, NoScopeError):
        error.add_note(IN_A_TEST)


# -- contexts: async tests and fixtures may run in another one than this fixture -------------------


@contextmanager
def _reaching(item: Any, region: Region) -> Iterator[None]:
    """While an async test runs, its recording is in force in its context too."""
    owner, name = item, "obj"
    if hasattr(getattr(item, "obj", None), "hypothesis"):
        owner, name = item.obj.hypothesis, "inner_test"
    test = getattr(owner, name, None)
    reached = _resumed(test, region)
    if reached is None:
        yield
        return
    setattr(owner, name, reached)
    try:
        yield
    finally:
        setattr(owner, name, test)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Async fixtures of a recorded test are recorded, in whatever context they run.

    Those of a wider scope belong to no test; ``setUpClass`` and ``setup_module`` are such fixtures.
    """
    if fixturedef.scope != "function":
        return (yield from _prepared(fixturedef, request.node))
    recorded = request.node.stash.get(RECORDED, None)
    function = fixturedef.func
    reached = None if recorded is None else _resumed(function, recorded.region)
    if reached is None:
        return (yield)
    fixturedef.func = reached
    try:
        return (yield)
    finally:
        fixturedef.func = function


def _prepared(fixturedef: Any, node: Any) -> Iterator[None]:
    """While a fixture is set up and torn down, do with effects what its tests do."""
    if not (node.get_closest_marker("effects") or node.config.getini("airlock_effects")):
        return (yield)
    from airlock.testing.preparing import preparing  # noqa: PLC0415 - inert until used

    mode = Choice(node).mode
    code = getattr(fixturedef.func, "__code__", None)
    place = None if code is None else (code.co_filename, code.co_firstlineno)
    tearing_down = preparing(mode, place=place)
    # Finalizers run last in, first out: these two are around those that the fixture adds.
    fixturedef.addfinalizer(partial(tearing_down.__exit__, None, None, None))
    try:
        with preparing(mode, place=place):
            return (yield)
    finally:
        fixturedef.addfinalizer(tearing_down.__enter__)


def _resumed(function: Any, region: Region) -> Any:
    from airlock.testing.contexts import resumed  # noqa: PLC0415 - inert until used

    return resumed(function, region)


# -- explaining -----------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_assertrepr_compare(
    config: pytest.Config, op: str, left: object, right: object
) -> Generator[None, list[Any], list[Any]]:
    """Explain comparisons of intents and of sequences of them, sensitive values hidden."""
    # Who has not imported airlock has no intents.
    if "airlock" not in sys.modules or op not in ("==", "in"):
        return (yield)
    if not (_about_intents(left) or _about_intents(right)):
        return (yield)
    from airlock.testing.comparison import explained, unchanging  # noqa: PLC0415 - inert until used

    with unchanging(left, right):
        explanation = explained(op, left, right)
        others = yield  # pytest's own, which asks for one element after the other
    if explanation is None:
        return others
    head, lines = config.stash[EXPLANATIONS][_asserting()] = explanation
    return [[head], *others] if lines else others


def _about_intents(value: object) -> bool:
    from airlock.effects.registry import KNOWN  # noqa: PLC0415 - inert until used
    from airlock.emissions.buffer import EffectBuffer  # noqa: PLC0415 - inert until used

    if isinstance(value, list | tuple):
        return any(type(element) in KNOWN for element in value)
    return isinstance(value, EffectBuffer) or type(value) in KNOWN


def _asserting() -> Place:
    """Return where the assertion stands that pytest is explaining."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _inner(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _inner(module: str) -> bool:
    return module.partition(".")[0] in ("airlock_plugins", "_pytest", "airlock", "pluggy")


def _single(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the errors of a group, of several tasks perhaps."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _single(inner)
    elif error is not None:
        yield error


def _explain(error: BaseException, explanations: dict[Place, tuple[str, list[str]]]) -> bool:
    """Add the whole explanation of a comparison, which pytest would cut short."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ("", 0) if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
    head, lines = explanations.get(place, ("", []))
    # In the same place another comparison may have failed, and pytest shortens a long text.
    if not lines or head[:80] not in str(error):
        return False
    error.add_note("\n".join(lines if head in str(error) else [head, "", *lines]))
    return True
