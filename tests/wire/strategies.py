"""Intent types made up by Hypothesis, with their values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from airlock import Json, intent
from airlock.testing.strategies import intents
from tests.wire import vocabulary as v

Typed = tuple[Any, SearchStrategy[Any]]
"""A type, and its values."""

zones = st.integers(-48, 56).map(lambda n: dt.timezone(n * dt.timedelta(minutes=15)))
moments = st.datetimes(
    dt.datetime(1, 1, 2),  # noqa: DTZ001 - Hypothesis gives it a zone
    dt.datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=zones,
)
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
).map(Json)

LEAVES: tuple[Typed, ...] = (
    (int, st.integers()),
    (str, st.text()),
    (bool, st.booleans()),
    (float, floats),
    (Decimal, decimals),
    (bytes, st.binary()),
    (UUID, st.uuids()),
    (dt.datetime, moments),
    (dt.date, st.dates()),
    (dt.time, st.times(timezones=st.none() | zones)),
    (dt.timedelta, st.timedeltas()),
    (Json, documents),
    (v.Colour, st.sampled_from(v.Colour)),
    (v.Priority, st.sampled_from(v.Priority)),
    (v.Shape, st.sampled_from(v.Shape)),
    (v.Rights, st.sampled_from([v.Rights(n) for n in range(4)])),
    (Literal["a", "b", 1], st.sampled_from(["a", "b", 1])),
    (v.Line, st.builds(v.Line, st.text(), st.integers(), decimals)),
    (v.Cash, st.builds(v.Cash, decimals)),
    (v.Point, st.builds(v.Point, st.integers(), st.integers())),
    (v.Size, st.builds(v.Size, st.integers(), st.integers())),
)


@st.composite
def _compounds(draw: DrawFn, inner: SearchStrategy[Typed]) -> Typed:
    one: tuple[Any, SearchStrategy[Any]] = draw(inner)
    two: tuple[Any, SearchStrategy[Any]] = draw(inner)
    (hint, values), (other, others) = one, two
    tuples: Any = tuple
    sets: Any = frozenset
    boxes: Any = v.Box
    name = draw(st.sampled_from(["optional", "tuple", "frozenset", "pair", "union", "box"]))
    if name == "optional":
        return hint | None, st.none() | values
    if name == "tuple":
        return tuples[hint, ...], st.lists(values, max_size=3).map(tuple)
    if name == "frozenset":
        return sets[hint], st.frozensets(values, max_size=3)
    if name == "pair":
        return tuples[hint, other], st.tuples(values, others)
    if name == "union" and hint != other and not _same_name(hint, other):
        return hint | other, values | others
    return boxes[hint], st.builds(v.Box, values, st.none() | values)


def _same_name(hint: Any, other: Any) -> bool:
    """Whether a tag could not tell them apart, which is refused; told by their texts."""
    return str(hint).split("[")[0] == str(other).split("[")[0]


types = st.recursive(st.sampled_from(LEAVES), _compounds, max_leaves=4)


@st.composite
def made_up(draw: DrawFn) -> Any:
    """A value of an intent class that was made for it."""
    fields = draw(st.lists(types, min_size=1, max_size=4))
    annotations = {f"field{i}": hint for i, (hint, _) in enumerate(fields)}
    namespace = {"__annotations__": annotations, "__module__": __name__}
    defaulted = draw(st.integers(0, len(fields)))
    for i in range(defaulted, len(fields)):
        namespace[f"field{i}"] = draw(fields[i][1])
    cls: Any = intent(kind="wire.made-up")(type("MadeUp", (), namespace))
    given = fields[: draw(st.integers(defaulted, len(fields)))]
    return cls(*(draw(values) for _, values in given))


everything = intents(
    v.Everything, at=moments, ratio=floats, number=st.integers() | floats
)  # the others as the kit makes them
others = intents(v.Order, v.Small, v.Renamed, v.MovedLine) | st.builds(
    v.Picky, st.integers(1), st.sampled_from(["a", "B"])
)
secret = intents(v.Charge, v.Pay)
