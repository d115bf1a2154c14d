"""``Plan.save`` and ``Plan.load``: a file that is whole, is what was saved, or is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airlock.errors import PlanError, PlanFormatError
from airlock.plan import Plan
from airlock.wire import Wire
from tests.plan.vocabulary import Mail, Notify, Placed, plan_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "effects.plan"


@pytest.fixture(scope="module")
def text() -> bytes:
    """A plan of three effects, as it is written."""
    return b"".join(plan_of(Notify(1), Mail("ä"), Placed(3))._lines)


def sealed(*lines: bytes) -> bytes:
    """A document with a digest that fits, as who forges one would write it."""
    *body, foot = lines
    before = b"".join(body) + foot
    return before + b',"digest":"sha256:' + sha256(before).hexdigest().encode() + b'"}\n'


HEAD = b'{"airlock_plan":1,"created":"2026-05-04T09:30:00+00:00","expires":null}\n'
FOOT = b'{"effects":0,"kinds":[]'


def load(path: Path, text: bytes) -> Plan:
    path.write_bytes(text)
    return Plan.load(path)


# -- there and back -------------------------------------------------------------------------------


def test_what_is_loaded_is_what_was_saved(path: Path) -> None:
    plan = plan_of(Notify(1), Mail("x"), Notify(2))
    entries, before = list(plan), (plan.digest, plan.created, plan.expires, len(plan), str(plan))
    plan.save(path)
    assert plan.path == path
    loaded = Plan.load(path)
    for one in (plan, loaded):
        assert list(one) == entries
        assert (one.digest, one.created, one.expires, len(one), str(one)) == before
        assert dict(one.kinds) == {("plans.notify", 1): 2, ("plans.mail", 1): 1}
        assert one.journal == path.with_name("effects.plan.journal")


def test_a_loaded_plan_is_saved_as_it_is(path: Path) -> None:
    """Byte for byte, over itself too."""
    plan_of(Notify(1), Mail("x")).save(path)
    text = path.read_bytes()
    loaded = Plan.load(path)
    loaded.save(path)
    loaded.save(path.with_name("copy.json"))
    assert path.read_bytes() == text
    assert path.with_name("copy.json").read_bytes() == text


@pytest.mark.parametrize("given", [str, Path])
def test_a_path_is_any_path(path: Path, given: Any) -> None:
    plan_of(Notify(1)).save(given(path))
    assert len(Plan.load(given(path))) == 1


def test_a_forged_document_would_pass(path: Path) -> None:
    """So that what is refused below is not refused for another reason."""
    assert len(load(path, sealed(HEAD, FOOT))) == 0


# -- saving is all or nothing ---------------------------------------------------------------------


class _Breaks:
    """Lines that end in an error."""

    def __init__(self, *lines: bytes) -> None:
        self.lines = lines

    def __iter__(self) -> Iterator[bytes]:
        yield from self.lines
        raise OSError("the disk is gone")


def test_the_old_file_stays_when_the_new_one_cannot_be_written(path: Path) -> None:
    """And no half-written one stays beside it."""
    plan = plan_of(Notify(1))
    plan.save(path)
    old = path.read_bytes()
    other = plan_of(Notify(2))
    other._lines = _Breaks(HEAD)
    with pytest.raises(OSError, match="gone"):
        other.save(path)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]
    assert other.path is None


def test_no_folder(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        plan_of(Notify(1)).save(path / "nowhere")
    with pytest.raises(FileNotFoundError):
        Plan.load(path)
    with pytest.raises(IsADirectoryError):
        Plan.load(path.parent)


# -- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"\n\n\n",
        b"\x00" * 100,
        b"\xff\xfe binary \x00",
        b"{}",
        b"[]\n[]\n",
        b"null\n",
        b"1\n2\n3\n",
        b"hello\n",
        b"[" * 100_000,
        b'{"airlock_plan":' * 5_000,
        b'{"airlock_plan":1}\n',
        b'{"airlock_plan":1}\n' + FOOT + b"}\n",
        HEAD,
        HEAD.rstrip(),
        HEAD * 2,
        HEAD + FOOT + b"}\n",
        HEAD + FOOT + b',"digest":1}\n',
        HEAD + FOOT + b',"digest":null}\n',
        FOOT + b',"digest":"sha256:0"}\n',
        b"x" * 5_000_000,
        HEAD + b"x" * 5_000_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_plan(path: Path, text: bytes) -> None:
    with pytest.raises(PlanFormatError) as refused:
        load(path, text)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"null", b'"2026-05-04T09:30:00"'),  # it has no zone
        HEAD.replace(b"+00:00", b""),
        HEAD.replace(b"null", b"5"),
        HEAD.replace(b"null", b'"tomorrow"'),
        HEAD.replace(b',"expires":null', b""),
        HEAD.replace(b'"created"', b'"made"'),
        HEAD.replace(b"1,", b"null,"),
        HEAD.replace(b"1,", b'"1",'),
    ],
)
def test_a_header_that_says_nothing(path: Path, head: bytes) -> None:
    """Even with a digest that fits."""
    with pytest.raises(PlanFormatError):
        load(path, sealed(head, FOOT))


@pytest.mark.parametrize(
    "foot",
    [
        b'{"kinds":[]',
        b'{"effects":0',
        b'{"effects":1,"kinds":[]',
        b'{"effects":-1,"kinds":[]',
        b'{"effects":0,"kinds":5',
        b'{"effects":0,"kinds":[5]',
        b'{"effects":0,"kinds":[["a",1]]',
        b'{"effects":0,"kinds":[["a","x",1]]',
        b'{"effects":0,"kinds":null',
        b'{"effects":"0","kinds":[]',
    ],
)
def test_a_footer_that_says_nothing(path: Path, foot: bytes) -> None:
    """Even with a digest that fits."""
    with pytest.raises(PlanFormatError):
        load(path, sealed(HEAD, foot))


def test_a_newer_format(path: Path) -> None:
    """It says so: it is no damage."""
    with pytest.raises(PlanFormatError, match="format 2, and this release reads format 1"):
        load(path, sealed(HEAD.replace(b"1,", b"2,"), FOOT))


def test_lines_that_are_no_effects(path: Path) -> None:
    """With a digest that fits, they are refused when they are read."""
    plan = load(path, sealed(HEAD, b'{"index":0}\n', b'{"effects":1,"kinds":[]'))
    with pytest.raises(PlanFormatError, match="no effect"):
        list(plan)


# -- cut off, edited ------------------------------------------------------------------------------


def test_cut_off_anywhere(path: Path, text: bytes) -> None:
    """At the end of every line, and in the middle of each: at every byte."""
    assert len(load(path, text)) == 3
    for end in range(len(text)):
        with pytest.raises(PlanFormatError):
            load(path, text[:end])


def test_lines_left_out_moved_and_doubled(path: Path, text: bytes) -> None:
    lines = text.splitlines(keepends=True)
    for i in range(len(lines)):
        for other in ([], [lines[i]] * 2):
            with pytest.raises(PlanFormatError):
                load(path, b"".join([*lines[:i], *other, *lines[i + 1 :]]))
    moved = [*lines[:1], lines[2], lines[1], *lines[3:]]
    with pytest.raises(PlanFormatError):
        load(path, b"".join(moved))


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_any_byte_changed(text: bytes, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    """Header, effects or footer: it is noticed."""
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[at]))
    _refused_with(text[:at] + bytes([byte]) + text[at + 1 :], tmp_path_factory)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.binary(min_size=1, max_size=3))
def test_any_byte_put_in(
    text: bytes, tmp_path_factory: pytest.TempPathFactory, data: Any, put: bytes
) -> None:
    at = data.draw(st.integers(0, len(text)))
    _refused_with(text[:at] + put + text[at:], tmp_path_factory)


@settings(max_examples=300, deadline=None)
@given(st.binary())
@example(HEAD)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, given: bytes) -> None:
    _refused_with(given, tmp_path_factory)


def _refused_with(text: bytes, factory: pytest.TempPathFactory) -> None:
    path = factory.getbasetemp() / "edited.json"
    with pytest.raises(PlanFormatError):
        load(path, text)


def test_the_whole_file_of_spaces(path: Path, text: bytes) -> None:
    """Other JSON of the same meaning is another file."""
    with pytest.raises(PlanFormatError):
        load(path, text.replace(b",", b", "))


# -- limits ---------------------------------------------------------------------------------------


def test_effects_of_any_size_that_the_wire_takes(path: Path) -> None:
    plan = plan_of(Mail("x" * 1_000_000), Notify(1))
    plan.save(path)
    assert [
        len(entry.intent.to) for entry in Plan.load(path) if isinstance(entry.intent, Mail)
    ] == [1_000_000]


def test_a_place_of_any_length(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = compile("effects.emit(Notify(1))", "x" * 3_000 + ".py", "exec")
    from airlock import Boundary, Hold

    with Boundary({Notify: print}).scope(policy=Hold()) as effects:
        exec(code, {"effects": effects, "Notify": Notify})
    effects.plan().save(path)
    (entry,) = Plan.load(path)
    assert (entry.place or "").endswith("x.py:1")


def test_a_plan_of_a_wire_is_read_with_it(path: Path) -> None:
    plan_of(Notify(1)).save(path)
    only_mails = Plan.load(path, wire=Wire([Mail]))
    assert only_mails.counts == {"plans.notify": 1}
    with pytest.raises(PlanError, match=r"plans\.notify"):
        list(only_mails)


@pytest.mark.skipif(sys.platform == "win32", reason="replacing an open file")
def test_it_is_read_as_it_is_iterated(path: Path) -> None:
    """The file can be gone only between two iterations."""
    plan = plan_of(*map(Notify, range(3)))
    plan.save(path)
    entries = iter(plan)
    assert next(entries).intent == Notify(0)
    path.unlink()
    assert [entry.intent for entry in entries] == [Notify(1), Notify(2)]
    with pytest.raises(FileNotFoundError):
        list(plan)
