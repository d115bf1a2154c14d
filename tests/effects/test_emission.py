"""Emissions one by one: whoever records is told of each, where it was made, and what became of it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import pytest

import airlock
from airlock import (
    ALLOW,
    Boundary,
    Drop,
    FlushError,
    Hold,
    Limit,
    Options,
    Outcome,
    Refuse,
    Verdict,
    View,
    effect,
    enclose,
    region,
)
from airlock.emissions.emission import Emission
from airlock.emissions.flat import Flat
from airlock.emissions.region import Region
from airlock.errors import NotAnIntentError, RefusedError
from airlock.policies.recorder import Recorder, recorders_of
from tests.effects.vocabulary import Charge, Mail, Notify, Urgent


class Camera(Recorder):
    """Remembers emissions, and lets everything pass."""

    __slots__ = ("emissions",)

    def __init__(self) -> None:
        self.emissions: list[Emission] = []

    def record(self, emission: Emission, /) -> None:
        self.emissions.append(emission)

    def decide(self, view: View, /) -> Sequence[Verdict]:
        return [ALLOW] * len(view)

    @property
    def intents(self) -> list[Any]:
        return [emission.intent for emission in self.emissions]


@effect
def audit(order_id: int) -> None: ...


def ignore(_: object) -> None: ...


boundary = Boundary({Notify: ignore, Mail: ignore, Charge: ignore, audit: audit})


def here() -> int:
    """The line of the caller."""
    frame: FrameType = sys._getframe(1)
    return frame.f_lineno


# -- who is told ----------------------------------------------------------------------------------


def test_a_recorder_is_told_of_every_emission_under_it() -> None:
    """In order, and in nested regions and scopes."""
    camera = Camera()
    with boundary.scope(policy=camera) as effects:
        effects.emit(Notify(1))
        with region(Drop()), boundary.scope() as nested:
            nested.emit_all([Mail("a"), Notify(2)])
        with boundary.scope(independent=True):
            airlock.emit(Notify(3))
        airlock.enqueue(audit, 4)
    assert camera.intents == [Notify(1), Mail("a"), Notify(2), Notify(3), audit.intent(4)]


def test_a_recorder_is_told_of_nothing_outside() -> None:
    camera = Camera()
    with boundary.scope() as effects:
        effects.emit(Notify(1))
        with region(camera):
            effects.emit(Notify(2))
        effects.emit(Notify(3))
        Boundary({}).scope()
    with boundary.scope() as effects:
        effects.emit(Notify(4))
    assert camera.intents == [Notify(2)]


def test_every_recorder_around_is_told() -> None:
    """The innermost first, of one and the same emission."""
    cameras = [Camera(), Camera(), Camera(), Camera()]
    recorded = Boundary({Notify: ignore}, policy=cameras[1])
    with enclose(cameras[3]), enclose(cameras[2]), recorded.scope(policy=cameras[0]) as effects:
        assert list(effects.region.recorders) == cameras
        effects.emit(Notify(1))
    assert len({id(camera.emissions[0]) for camera in cameras}) == 1


def test_a_recorder_is_told_of_follow_ups() -> None:
    camera = Camera()

    def charge(_: Charge) -> None:
        airlock.emit(Mail("receipt"))

    with Boundary({Charge: charge, Mail: ignore}, policy=camera).scope() as effects:
        effects.emit(Charge("4111"))
    assert camera.intents == [Charge("4111"), Mail("receipt")]


def test_a_recorder_beside_other_policies_judges_and_is_told() -> None:
    """Wherever it stands in ``a & b``."""
    camera = Camera()
    for policy in (camera & Limit(1), Limit(1) & camera):
        camera.emissions.clear()
        with boundary.scope(policy=policy) as effects:
            effects.emit_all([Notify(1), Notify(2)])
        assert camera.intents == [Notify(1), Notify(2)]
        assert effects.report.delivered == [Notify(1)]


def test_what_was_not_taken_is_not_recorded() -> None:
    camera = Camera()
    with boundary.scope(policy=Refuse(Mail) & camera) as effects:
        for what, error in ((Mail("a"), RefusedError), (3, NotAnIntentError)):
            with pytest.raises(error):
                effects.emit(what)  # type: ignore[arg-type]
            with pytest.raises(error):
                effects.emit_all([Notify(1), what])  # type: ignore[list-item]
    assert camera.emissions == []


def test_nobody_else_pays_for_it() -> None:
    """Where nobody records, nothing is kept beside the values."""
    with boundary.scope() as effects:
        effects.emit(Notify(1))
        assert effects.region.emissions is None
        assert type(effects.region) is Region


def test_recorders_are_found_among_policies() -> None:
    camera = Camera()
    assert recorders_of([Drop(), camera, lambda view: []]) == (camera,)
    assert recorders_of([]) == ()


def test_a_recorder_need_not_listen_for_places_to_be_known() -> None:
    class Lazy(Recorder):
        def decide(self, view: View, /) -> Sequence[Verdict]:
            return [ALLOW] * len(view)

    with boundary.scope(policy=Lazy()) as effects:
        effects.emit(Notify(1))
    (emission,) = effects.report.waves[0].emissions.values()
    assert emission.place[0] == __file__


# -- what an emission knows -----------------------------------------------------------------------


@pytest.fixture
def camera() -> Iterator[Camera]:
    recording = Camera()
    with enclose(recording):
        yield recording


def test_an_emission_knows_its_value_and_its_options(camera: Camera) -> None:
    options = Options(dedupe_key="one")
    with boundary.scope(policy=Drop()) as effects:
        effects.emit(Notify(1), options)
        effects.emit(Urgent(2))
    first, second = camera.emissions
    assert (first.intent, first.options) == (Notify(1), options)
    assert (second.intent, second.options) == (Urgent(2), None)
    assert (first.region, first.position) == (effects.region, 0)


def test_an_emission_knows_the_line_that_made_it(camera: Camera) -> None:
    """Of each kind of call, though airlock's own frames and ``contextlib``'s are in between."""

    @contextlib.contextmanager
    def emitting() -> Iterator[None]:
        airlock.emit(Notify(5))
        yield

    with boundary.scope() as effects:
        start = here()
        effects.emit(Notify(1))
        effects.emit_all([Notify(2), Notify(3)])
        airlock.enqueue(audit, 4)
        with emitting():
            pass
        list(map(effects.emit, [Notify(6)]))
    assert [emission.place[0] for emission in camera.emissions] == [__file__] * 6
    lines = [emission.place[1] - start for emission in camera.emissions]
    assert lines[:4] == [1, 2, 2, 3]
    assert lines[4] == emitting.__wrapped__.__code__.co_firstlineno + 2 - start  # type: ignore[attr-defined]
    assert lines[5] == 6


def test_an_emission_knows_its_wave_once_there_is_one(camera: Camera) -> None:
    """And its index in it, whatever regions were flattened before it."""
    with boundary.scope() as effects:
        effects.emit(Notify(1))
        with boundary.scope():
            airlock.emit(Mail("a"))
        effects.emit(Notify(2))
        assert [emission.wave for emission in camera.emissions] == [None] * 3
    wave = effects.report.waves[0]
    assert [(emission.wave, emission.index) for emission in camera.emissions] == [
        (wave, 0),
        (wave, 1),
        (wave, 2),
    ]


def test_an_emission_of_a_nested_region_keeps_its_place_in_the_flat_sequence(
    camera: Camera,
) -> None:
    """Where the region opened, though it was emitted later."""
    with boundary.scope() as outer:
        with region(Limit(9)):
            outer.region.append(Notify(2))  # the scope itself, as another thread would
            airlock.emit(Notify(1))
        flat = Flat(outer.region)
    assert flat.intents == [Notify(1), Notify(2)]
    assert [flat.emissions[i].intent for i in range(2)] == [Notify(1), Notify(2)]
    assert camera.intents == [Notify(2), Notify(1)]
    assert [emission.index for emission in camera.emissions] == [1, 0]


def test_an_emission_of_a_resumed_report_knows_the_new_wave(camera: Camera) -> None:
    errors = [ConnectionError("down")]

    def flaky(intent: Notify) -> None:
        if intent.order_id == 2 and errors:
            raise errors.pop()

    with pytest.raises(FlushError) as caught, Boundary({Notify: flaky}).scope() as effects:
        effects.emit_all([Notify(1), Notify(2)])
    assert caught.value.report is not None
    first, second = camera.emissions
    assert second.wave is not None
    assert second.wave.outcomes[second.index] == Outcome.FAILED
    again = caught.value.report.resume()
    assert (second.wave, second.index) == (again.waves[0], 0)
    assert second.wave.outcomes[second.index] == Outcome.DELIVERED
    assert first.wave is caught.value.report.waves[0]


def test_an_emission_that_was_thrown_away_has_no_wave(camera: Camera) -> None:
    with contextlib.suppress(KeyError), boundary.scope():
        airlock.emit(Notify(1))
        raise KeyError
    assert camera.emissions[0].wave is None
    assert camera.emissions[0].region.discarded is not None


def test_emissions_are_compared_by_identity(camera: Camera) -> None:
    """Two of the same value are two."""
    with boundary.scope() as effects:
        effects.emit_all([Notify(1), Notify(1)])
    assert len(set(camera.emissions)) == 2


def test_a_hold_records_what_it_holds() -> None:
    """For the plan; who emits other types does not pay for that."""
    with boundary.scope(policy=Hold(Notify)) as effects:
        effects.emit(Mail("ada"))
        effects.emit(Notify(1))
    assert list(effects.report.waves[0].emissions) == [1]
    assert effects.report.held == [Notify(1)]
