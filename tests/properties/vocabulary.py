"""What the programs of these tests are made of: intents that carry a script, and named policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import attrs

from airlock import (
    ALLOW,
    DROP,
    HOLD,
    Allow,
    Dedupe,
    Drop,
    Hold,
    Limit,
    OncePerChain,
    PolicyLike,
    Refuse,
    Verdict,
    View,
    each,
    intent,
)

# -- intents --------------------------------------------------------------------------------------


@attrs.frozen
class Step:
    """One thing a handler does: emit, perhaps in a block of its own, which may fail.

    Attributes:
        intent: what to emit.
        block: in what; nothing by default.
        policy: of the block, by name.
        spoiled: whether an exception leaves the block.
        held: emit through the scope that is flushed, instead of ambiently.
    """

    intent: Work
    block: Literal["", "region", "scope", "enclose"] = ""
    policy: str = ""
    spoiled: bool = False
    held: bool = False


@intent
class Work:
    """Says by itself what its handler does.

    Attributes:
        key: tells it from others.
        steps: what its handler emits.
        fails: how many attempts fail, after the steps.
        whole: whether a batch fails with it, or it alone.
    """

    key: int = 0
    steps: tuple[Step, ...] = ()
    fails: int = 0
    whole: bool = False


@intent
class Mail(Work):
    pass


@intent
class Urgent(Mail):
    """Handled and chosen as a Mail."""


@intent
class Call(Work):
    pass


@intent
class Audit(Work):
    """Delivered in batches."""


@intent
class Orphan(Work):
    """Nothing handles it."""


CONCRETE: tuple[type[Work], ...] = (Mail, Urgent, Call, Audit, Orphan)


class Broken(Exception):  # noqa: N818 - it stands for any error
    """A handler failed, or a block."""


# -- policies, each with what it ought to decide ----------------------------------------------------

Ought = Literal["allow", "drop", "hold"] | int
"""A verdict; an int is the index of the survivor of a merge."""


@attrs.frozen
class Seen:
    """What a policy may know of one intent.

    Attributes:
        intent: the value.
        ancestors: the intents that caused it.
        apart: must be equal for a merge.
        wave: how many handlers stand between it and the block.
    """

    intent: Work
    ancestors: tuple[Work, ...] = ()
    apart: object = None
    wave: int = 0


Decide = Callable[[Sequence[Seen], Sequence[Work]], list[Ought]]
"""What to say of some intents, given what was allowed in earlier waves."""


@attrs.frozen(eq=False)
class Rule:
    """A policy of airlock, and what it ought to decide."""

    real: Any
    decide: Decide
    refuses: tuple[type[Work], ...] = ()

    def where(self, real: Any, selected: Callable[[Work], bool]) -> Rule:
        """This rule for some intents only."""

        def decide(seen: Sequence[Seen], earlier: Sequence[Work]) -> list[Ought]:
            chosen = [i for i, one in enumerate(seen) if selected(one.intent)]
            inner = self.decide([seen[i] for i in chosen], [w for w in earlier if selected(w)])
            answer: list[Ought] = ["allow"] * len(seen)
            for i, verdict in zip(chosen, inner, strict=True):
                answer[i] = chosen[verdict] if isinstance(verdict, int) else verdict
            return answer

        return Rule(real, decide)


def by_type(chosen: Ought, others: Ought, *types: type[Work]) -> Decide:
    """One verdict for these types, another for the rest."""
    wanted = types or (Work,)
    return lambda seen, _: [chosen if isinstance(s.intent, wanted) else others for s in seen]


def limit(n: int, per: Callable[[Work], object] = lambda _: None) -> Decide:
    def decide(seen: Sequence[Seen], earlier: Sequence[Work]) -> list[Ought]:
        allowed = [per(work) for work in earlier]
        answer = list[Ought]()
        for one in seen:
            fits = allowed.count(per(one.intent)) < n
            answer.append("allow" if fits else "drop")
            if fits:
                allowed.append(per(one.intent))
        return answer

    return decide


def dedupe(
    types: type[Work],
    same: Callable[[Work], object],
    choose: Callable[[Sequence[Work]], int],
) -> Decide:
    def decide(seen: Sequence[Seen], _: Sequence[Work]) -> list[Ought]:
        answer: list[Ought] = ["allow"] * len(seen)
        for i, one in enumerate(seen):
            group = [
                j
                for j, other in enumerate(seen)
                if isinstance(other.intent, types)
                and type(other.intent) is type(one.intent)
                and same(other.intent) == same(one.intent)
                and other.apart == one.apart
            ]
            if i in group:
                survivor = group[choose([seen[j].intent for j in group])]
                answer[i] = "allow" if survivor == i else survivor
        return answer

    return decide


def once(types: type[Work], same: Callable[[Work], object]) -> Decide:
    def repeats(one: Seen) -> bool:
        return isinstance(one.intent, types) and any(
            type(cause) is type(one.intent) and same(cause) == same(one.intent)
            for cause in one.ancestors
        )

    return lambda seen, _: ["drop" if repeats(one) else "allow" for one in seen]


def sick(seen: Sequence[Seen], _: Sequence[Work]) -> list[Ought]:
    """Fails if it sees a call."""
    if any(isinstance(one.intent, Call) for one in seen):
        raise Broken("the policy is sick")
    return ["allow"] * len(seen)


def key(work: Work) -> int:
    return work.key


def odd(work: Work) -> bool:
    return work.key % 2 == 1


def itself(work: Work) -> Work:
    return work


def greater(one: Work, other: Work) -> Work:
    """A chooser: the later one wins, unless it has fewer steps."""
    return other if len(other.steps) >= len(one.steps) else one


def greatest(works: Sequence[Work]) -> int:
    return max(range(len(works)), key=lambda i: (len(works[i].steps), i))


def judge_one(work: Any) -> Verdict:
    return HOLD if work.key == 2 else ALLOW


def blocks_only(view: View) -> Sequence[Verdict]:
    """A plain function as a policy: no follow-up of a follow-up."""
    return [DROP if view.wave >= 2 else ALLOW for _ in view.intents]


def ought_blocks_only(seen: Sequence[Seen], _: Sequence[Work]) -> list[Ought]:
    return ["drop" if one.wave >= 2 else "allow" for one in seen]


def sick_function(view: View) -> Sequence[Verdict]:
    if any(isinstance(work, Call) for work in view.intents):
        raise Broken("the policy is sick")
    return [ALLOW] * len(view)


def nonsense(view: View) -> Any:
    """One verdict too few, if it sees an orphan."""
    return [ALLOW] * (len(view) - any(isinstance(work, Orphan) for work in view.intents))


def ought_not(seen: Sequence[Seen], _: Sequence[Work]) -> list[Ought]:
    if any(isinstance(one.intent, Orphan) for one in seen):
        raise Broken("one verdict too few")
    return ["allow"] * len(seen)


def per_type(work: Work) -> object:
    return type(work)


# Judged one intent at a time: it makes no difference which intents such a policy is shown together.
SINGLE: dict[str, tuple[Rule, ...]] = {
    "Drop()": (Rule(Drop(), by_type("drop", "allow")),),
    "Drop(Mail)": (Rule(Drop(Mail), by_type("drop", "allow", Mail)),),
    "Drop(Urgent)": (Rule(Drop(Urgent), by_type("drop", "allow", Urgent)),),
    "Drop(Orphan)": (Rule(Drop(Orphan), by_type("drop", "allow", Orphan)),),
    "Hold(Call)": (Rule(Hold(Call), by_type("hold", "allow", Call)),),
    "Hold(Mail)": (Rule(Hold(Mail), by_type("hold", "allow", Mail)),),
    "Allow(Mail, Audit)": (Rule(Allow(Mail, Audit), by_type("allow", "drop", Mail, Audit)),),
    "Allow()": (Rule(Allow(), by_type("allow", "allow")),),
    "Refuse(Urgent)": (Rule(Refuse(Urgent), by_type("allow", "allow"), (Urgent,)),),
    "Drop().where(odd)": (Rule(Drop(), by_type("drop", "allow")).where(Drop().where(odd), odd),),
    "each": (
        Rule(
            each(judge_one),
            lambda seen, _: ["hold" if s.intent.key == 2 else "allow" for s in seen],
        ),
    ),
    "blocks_only": (Rule(blocks_only, ought_blocks_only),),
    "OncePerChain()": (Rule(OncePerChain(), once(Work, itself)),),
    "OncePerChain(Mail, key=type)": (Rule(OncePerChain(Mail, key=type), once(Mail, per_type)),),
}

_limit_1 = Rule(Limit(1), limit(1))
_limit_2 = Rule(Limit(2), limit(2))
_dedupe = Rule(Dedupe(), dedupe(Work, itself, lambda _: 0))
_last = Rule(Dedupe(Mail, key=key, keep="last"), dedupe(Mail, key, lambda works: len(works) - 1))
_chosen = Rule(Dedupe(key=type, keep=greater), dedupe(Work, per_type, greatest))

RULES: dict[str, tuple[Rule, ...]] = SINGLE | {
    "Limit(0)": (Rule(Limit(0), limit(0)),),
    "Limit(1)": (_limit_1,),
    "Limit(2)": (_limit_2,),
    "Limit(1, per=type)": (Rule(Limit(1, per=type), limit(1, per_type)),),
    "Limit(1).where(odd)": (_limit_1.where(Limit(1).where(odd), odd),),
    "Dedupe()": (_dedupe,),
    "Dedupe(Mail, last)": (_last,),
    "Dedupe(chooser)": (_chosen,),
    "Dedupe() & Limit(2)": (_dedupe, _limit_2),
    "Limit(2) & Dedupe(chooser)": (_limit_2, _chosen),
    "(Dedupe(Mail, last) & Limit(1)).where(odd)": (
        _last.where(_last.real.where(odd), odd),
        _limit_1.where(_limit_1.real.where(odd), odd),
    ),
    "Hold(Call) & Dedupe(chooser)": (SINGLE["Hold(Call)"][0], _chosen),
    "sick": (Rule(sick_function, sick),),
    "nonsense": (Rule(nonsense, ought_not),),
}


def policy(name: str) -> PolicyLike | None:
    """The policy of airlock with a name; of no name, none."""
    if not name:
        return None
    first, *others = [rule.real for rule in RULES[name]]
    for other in others:
        first &= other
    return first  # type: ignore[no-any-return]


def parts(work: Work) -> Iterator[Work]:
    """An intent and all that its handlers may emit."""
    yield work
    for step in work.steps:
        yield from parts(step.intent)
