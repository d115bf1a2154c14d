"""Strategies for intents that carry scripts, for policies and for what boundaries are told."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.properties import model
from tests.properties.vocabulary import CONCRETE, RULES, SINGLE, Orphan, Step, Work

__all__ = ["boundaries", "fakes", "idle_works", "policies", "single_policies", "steps_of", "works"]

_HANDLED = tuple(cls for cls in CONCRETE if cls is not Orphan)
_often = (*_HANDLED, *_HANDLED, *_HANDLED, Orphan)
_keys = st.integers(0, 3)
_fails = st.sampled_from((0, 0, 0, 0, 1, 2))

policies: SearchStrategy[str] = st.sampled_from(sorted(RULES))
"""Names of policies."""
single_policies: SearchStrategy[str] = st.sampled_from(sorted(SINGLE))
"""Names of policies that judge each intent by itself."""


def steps_of(works: SearchStrategy[Work]) -> SearchStrategy[Step]:
    """What a handler does with such intents."""
    plain = st.builds(Step, works, held=st.booleans())
    block = st.sampled_from(("region", "scope", "enclose"))
    return plain | st.builds(Step, works, block, policies, st.booleans(), st.booleans())


def _emitting(inner: SearchStrategy[Work]) -> SearchStrategy[Work]:
    """Intents whose handlers emit one or two of these."""
    steps = st.lists(steps_of(inner), min_size=1, max_size=2).map(tuple)
    return st.sampled_from(_HANDLED).flatmap(
        lambda cls: st.builds(cls, key=_keys, steps=steps, fails=_fails, whole=st.booleans())
    )


def _idle(cls: type[Work]) -> SearchStrategy[Work]:
    return st.builds(cls, key=_keys) | st.builds(cls, _keys, fails=_fails, whole=st.booleans())


def _chained(links: list[tuple[type[Work], int]]) -> Work:
    """Intents that each emit the next one."""
    last: Work | None = None
    for cls, key in reversed(links):
        last = cls(key, () if last is None else (Step(last),))
    assert last is not None
    return last


idle_works: SearchStrategy[Work] = st.sampled_from(_often).flatmap(_idle)
"""Intents whose handlers emit nothing."""

_chains = st.lists(
    st.tuples(st.sampled_from(_HANDLED), st.integers(0, 1)), min_size=2, max_size=5
).map(_chained)

works: SearchStrategy[Work] = st.one_of(
    idle_works,
    _emitting(idle_works),
    _emitting(idle_works | _emitting(idle_works)),
    _chains,
)
"""Intents, with whatever follows from them."""


def fakes() -> SearchStrategy[dict[type[Work], model.Fake | None]]:
    """Overrides: nothing, a handler instead, or one that calls on."""
    made = st.builds(model.Fake, st.sampled_from("fgh"), st.sampled_from((True, True, False)))
    chosen: SearchStrategy[type[Work]] = st.sampled_from((Work, Work, *CONCRETE))
    return st.dictionaries(chosen, made | made | st.none(), min_size=1, max_size=2)


def boundaries(name: str) -> SearchStrategy[tuple[str, model.Boundary]]:
    """A default policy by name, or none, and a boundary that has it."""

    def told(default: str) -> SearchStrategy[tuple[str, model.Boundary]]:
        made = st.builds(
            model.Boundary,
            st.just(name),
            st.just(RULES[default] if default else ()),
            st.booleans(),
            st.integers(1, 3),
            st.sampled_from((None, 1, 2, 3)),
        )
        return st.tuples(st.just(default), made)

    return (st.just("") | policies).flatmap(told)
