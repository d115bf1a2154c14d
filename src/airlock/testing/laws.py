"""Laws that every policy keeps, tried by Hypothesis.

``policy_laws(MyPolicy())`` is called in a test of any kind, or in a script. What it finds is an
``AssertionError``, with the smallest example that shows it.
"""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import attrs

from airlock.boundary.boundary import Boundary
from airlock.effects.options import Options
from airlock.effects.registry import describe
from airlock.emissions.report import Report
from airlock.errors import (
    DeclarationError,
    EmittedInPolicyError,
    PolicyError,
    RefusedError,
)
from airlock.policies.builtin import Allow, Drop
from airlock.policies.judge import BadVerdictsError, ask
from airlock.policies.policy import PolicyLike, View, guard_of, seats, shown_policy
from airlock.policies.verdict import ALLOW, Verdict
from airlock.scopes.current import judge
from airlock.testing.strategies import intents  # it says how to get Hypothesis

import hypothesis  # isort: skip
from hypothesis import strategies as st  # isort: skip
from hypothesis.errors import Flaky  # isort: skip

from airlock.testing.trials import Broken, apart, look

__all__ = ["policy_laws"]


_ANSWERS = "answers one verdict for each intent that it is shown, in order"
_SILENT = "neither emits nor opens a scope"
_SAME = "gives the same answer to the same view, whatever it is shown in between"
_LEAVES = "leaves the view and the intents as they are"
_VALUES = "judges values: for equal intents it makes no difference which objects they are"
_MERGES = "never merges intents that were emitted with different options"
_BESIDE = "decides as ever beside Allow()"
_OUTER = "lets nothing escape a Drop() around it"
_INNER = "has nothing to decide where a Drop() inside it leaves nothing"
_ORDER = "lets through what was emitted, in order, and nothing else"
_REFUSES = "refuses with RefusedError and nothing else, equal intents alike"


def policy_laws(
    policy: PolicyLike,
    values: st.SearchStrategy[Any] | None = None,
    *,
    settings: hypothesis.settings | None = None,
) -> None:
    """Try whether a policy keeps the laws of policies.

    It answers one verdict for each intent, depends on the view alone and on values alone, changes
    and emits nothing, merges nothing that differs in its options, composes with ``&``, and an
    intent that it lets through is one that was emitted, in its place. A ``refuse`` of its own
    raises ``RefusedError`` or nothing, for equal intents alike.

    Args:
        policy: an object with ``decide``, or a function of a view.
        values: a strategy of the intents to try it with; ``intents()`` if not given.
        settings: how to look; by default as in the current profile of Hypothesis, without a
            deadline, a database or explanations.

    Raises:
        AssertionError: it breaks a law; the text names it, and shows the smallest example.
        DeclarationError: ``policy`` is not a policy, or ``values`` no strategy.

    Example:
        >>> from airlock.testing.laws import policy_laws
        >>> from airlock.testing.strategies import intents
        >>> policy_laws(Limit(2) & Drop(SendEmail), intents(NotifyWarehouse, SendEmail))
    """
    __tracebackhide__ = True
    laws = _Laws(policy)
    if values is not None and not isinstance(values, st.SearchStrategy):
        raise DeclarationError(
            f"policy_laws(values=...) takes a strategy of intents, not {describe(values)}. "
            "Give intents(SendEmail), or leave it out for every declared intent."
        )
    scenes = _scenes(intents() if values is None else values)
    try:
        look(scenes, partial(apart, laws.check), settings)
    except Flaky as flaky:
        if not isinstance(flaky, BaseExceptionGroup):  # the strategy's fault
            raise
        seen = f"It once broke another law, and not when asked again. {flaky.exceptions[0]}"
        raise AssertionError(laws.text(_SAME, seen)) from None


@attrs.frozen(eq=False)
class _Seen:
    """One intent of a view, and what a policy may know of it."""

    intent: Any
    causes: tuple[Any, ...]
    mark: str | None
    held: bool


@attrs.frozen(eq=False)
class _Scene:
    """The parts that a view is made of."""

    seen: tuple[_Seen, ...]
    wave: int
    earlier: tuple[Any, ...]

    def view(self, *, copied: bool = False, marked: bool = True) -> View:
        """Return the view: of the same objects or of copies, with or without different options."""
        of: Callable[[Any], Any] = copy.copy if copied else _itself
        families = [tuple(map(of, seen.causes)) for seen in self.seen]
        return View(
            [of(seen.intent) for seen in self.seen],
            self.wave,
            tuple(map(of, self.earlier)),
            lambda index: iter(families[index]),
            (lambda index: self.seen[index].mark) if marked else None,
            lambda index: self.seen[index].held,
        )

    def only(self, admits: Callable[[Any], bool]) -> _Scene:
        """Without some intents."""
        seen = tuple(
            attrs.evolve(seen, causes=tuple(filter(admits, seen.causes)))
            for seen in self.seen
            if admits(seen.intent)
        )
        return _Scene(seen, self.wave, tuple(filter(admits, self.earlier)))

    def turned(self) -> _Scene:
        """Another one, of the same intents."""
        return _Scene(self.seen[::-1], self.wave + 1, tuple(seen.intent for seen in self.seen))

    def __str__(self) -> str:
        lines = [f"Shown in wave {self.wave}:"]
        for i, seen in enumerate(self.seen):
            causes = "".join(f", caused by {cause!r}" for cause in seen.causes)
            mark = f", with options {seen.mark!r}" if seen.mark else ""
            lines.append(f"  {i}: {seen.intent!r}{causes}{mark}{', held' if seen.held else ''}")
        lines += [f"  earlier: {intent!r}" for intent in self.earlier]
        return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing"])


def _itself(value: Any) -> Any:
    return value


@st.composite
def _scenes(draw: Any, values: st.SearchStrategy[Any]) -> _Scene:
    """Draw views in which equal intents are frequent."""
    pool = draw(st.lists(values, min_size=1, max_size=4))
    one = st.sampled_from(pool)
    wave = draw(st.integers(0, 2))
    seen = st.builds(
        _Seen,
        one,
        st.tuples(*[one] * wave),
        st.sampled_from((None, "a", "b")),
        st.booleans(),
    )
    earlier = draw(st.lists(one, max_size=3)) if wave else ()
    return _Scene(tuple(draw(st.lists(seen, max_size=6))), wave, tuple(earlier))


class _Laws:
    """The laws, tried on one policy."""

    def __init__(self, policy: PolicyLike) -> None:
        self._policy = policy
        self._guards = [guard for guard in map(guard_of, seats(policy)) if guard is not None]

    def text(self, law: str, *facts: object) -> str:
        """Format what is wrong."""
        named = f"{shown_policy(self._policy)} breaks a law. A policy {law}."
        return "\n".join([named, *map(str, facts)])

    def check(self, scene: _Scene) -> None:
        """Try every law on a scene."""
        for seen in scene.seen:
            self._refuses_alike(seen.intent)
        scene = scene.only(self._admits)
        try:
            self._only_looks(scene)
            self._ask(scene, scene.view(marked=False))
            self._looks_at_values(scene)
            self._composes(scene)
            self._lets_through(scene)
        except Broken as broken:  # a policy with moods breaks any law, and that is the reason
            moods = {broken.law} if broken.law == _SAME else {self._mood(scene) for _ in range(9)}
            if len(moods) > 1:
                facts = [f"It answered {mood}" for mood in sorted(moods)]
                raise self._broken(_SAME, scene, *facts) from None
            raise

    def _mood(self, scene: _Scene) -> str:
        try:
            return str(self._ask(scene, scene.view()))
        except Broken as broken:
            return str(broken)

    def _broken(self, law: str, *facts: object) -> Broken:
        return Broken(self.text(law, *facts), law)

    def _ask(self, scene: _Scene, view: View, policy: PolicyLike | None = None) -> list[Verdict]:
        """Return the verdicts, as the boundary would ask for them."""
        found: list[Any] = []
        asked = self._policy if policy is None else policy
        try:
            judge(lambda: found.append(ask(asked, view)))
        except EmittedInPolicyError as error:
            raise self._broken(_SILENT, scene, error) from error
        except BadVerdictsError as bad:
            law = _MERGES if "View.merge_key" in str(bad) else _ANSWERS
            raise self._broken(law, scene, f"It {bad}.") from None
        except Exception as error:
            raise self._broken(_ANSWERS, scene, f"It raised {error!r}.") from error
        return [ALLOW] * len(view) if found[0] is None else list(found[0])

    def _only_looks(self, scene: _Scene) -> None:
        """Check first that a policy changes nothing, as it may change or remember only once."""
        view, described, other = scene.view(), str(scene), scene.turned()
        before, values = list(view.intents), _copied(view.intents)
        first = self._ask(scene, view)
        after = list(view.intents)
        if list(map(id, after)) != list(map(id, before)) or after != values:
            raise self._broken(_LEAVES, described, f"Afterwards the view holds {after!r}.")
        again = self._ask(scene, scene.view())
        self._ask(other, other.view())
        for answer in (again, self._ask(scene, scene.view())):
            if str(answer) != str(first):
                facts = f"It answered {first}, and later {answer}."
                raise self._broken(_SAME, scene, facts)

    def _looks_at_values(self, scene: _Scene) -> None:
        one, copies = scene.view(), scene.view(copied=True)
        answers = self._ask(scene, one), self._ask(scene, copies)
        if _judged(scene, answers[0]) != _judged(scene, answers[1]):
            facts = f"It answered {answers[0]}, and {answers[1]} for copies of the same values."
            raise self._broken(_VALUES, scene, facts)

    def _composes(self, scene: _Scene) -> None:
        alone = self._ask(scene, scene.view())
        for both in (operator.and_(self._policy, Allow()), operator.and_(Allow(), self._policy)):
            answer = self._ask(scene, scene.view(), both)
            if str(answer) != str(alone):
                facts = f"It answered {alone}, and {answer} as {shown_policy(both)}."
                raise self._broken(_BESIDE, scene, facts)

    def _lets_through(self, scene: _Scene) -> None:
        emitted = [id(seen.intent) for seen in scene.seen]
        places = iter(emitted)
        report = self._flushed(scene, self._policy, _ORDER)
        if len(report) != len(emitted) or not all(id(i) in places for i in report.delivered):
            raise self._broken(_ORDER, scene, f"This came of it:\n{report}")
        outer = self._flushed(scene, operator.and_(self._policy, Drop()), _OUTER)
        if outer.delivered or outer.held:
            raise self._broken(_OUTER, scene, f"This came of it:\n{outer}")
        inner = self._flushed(scene, operator.and_(Drop(), self._policy), _INNER)
        if len(inner.dropped) != len(emitted):
            raise self._broken(_INNER, scene, f"This came of it:\n{inner}")

    def _flushed(self, scene: _Scene, policy: PolicyLike, law: str) -> Report:
        """Return what becomes of the intents in a real flush."""
        boundary = Boundary({type(seen.intent): _ignore for seen in scene.seen})
        try:
            with boundary.scope(policy=policy) as scope:
                for seen in scene.seen:
                    options = None if seen.mark is None else Options(ordering_key=seen.mark)
                    scope.emit(seen.intent, options)
        except PolicyError as error:
            raise self._broken(law, scene, error) from error
        scope.report.attend()
        return scope.report

    # -- at the emit site -------------------------------------------------------------------------

    def _refuses_alike(self, intent: Any) -> None:
        answers = [self._refused(intent), self._refused(intent), self._refused(copy.copy(intent))]
        if len(set(answers)) > 1:
            raise self._broken(_REFUSES, f"Of {intent!r} it returned both yes and no.")

    def _admits(self, intent: Any) -> bool:
        return not self._refused(intent)

    def _refused(self, intent: Any) -> bool:
        for guard in self._guards:
            try:
                judge(partial(guard, intent))
            except RefusedError:
                return True
            except EmittedInPolicyError as error:
                raise self._broken(_SILENT, f"Asked to refuse {intent!r}: {error}") from error
            except Exception as error:
                raised = f"Asked to refuse {intent!r}, it raised {error!r}."
                raise self._broken(_REFUSES, raised) from error
        return False


def _copied(intents: Sequence[Any]) -> list[Any]:
    """Copy intents, to detect changes of the originals; keep those that cannot be copied."""
    copied = list(intents)
    for i, intent in enumerate(copied):
        with suppress(Exception):
            copied[i] = copy.deepcopy(intent)
    return copied


def _judged(scene: _Scene, verdicts: list[Verdict]) -> Counter[Any]:
    """Count the verdicts on each value. Of equal values any may stand for the others."""

    def value(index: int) -> Any:
        seen = scene.seen[index]
        return seen.intent, seen.mark

    return Counter(
        (value(i), verdict.name, None if verdict.into is None else value(verdict.into))
        for i, verdict in enumerate(verdicts)
    )


def _ignore(_: object) -> None:
    """Handle everything that is let through."""
