"""The algebra of verdicts: policies stack, DROP beats HOLD beats ALLOW, MERGED is final."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airlock.policies.policy import PolicyLike, View, decision
from airlock.policies.verdict import ALLOW, DROP, HOLD, Verdict

__all__ = ["BadVerdictsError", "ask"]


class BadVerdictsError(Exception):  # internal; the boundary turns it into a PolicyError
    """A policy returned invalid verdicts; the text says how."""


def ask(policy: PolicyLike, view: View) -> Sequence[Verdict] | None:
    """Return the verdicts of one policy, checked.

    Returns:
        One verdict for each intent of the view, or None if all of them are ALLOW.

    Raises:
        BadVerdictsError: it answered anything else.
        Exception: whatever the policy raised.
    """
    answer: Any = decision(policy)(view)
    size = len(view)
    if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
        raise BadVerdictsError(
            f"answered {type(answer).__qualname__} instead of a sequence of verdicts"
        )
    if len(answer) != size:
        raise BadVerdictsError(f"answered {len(answer)} verdicts for {size} intents")
    if list(answer).count(ALLOW) == size:
        return None
    for i, verdict in enumerate(answer):
        if verdict is ALLOW or verdict is DROP or verdict is HOLD:
            continue
        if not isinstance(verdict, Verdict):
            raise BadVerdictsError(f"answered {verdict!r} for intent {i} instead of a verdict")
        _check_merge(answer, i, verdict, view)
    return answer


def _check_merge(answer: Sequence[Verdict], i: int, verdict: Verdict, view: View) -> None:
    into: Any = verdict.into
    if not isinstance(into, int) or not 0 <= into < len(answer) or into == i:
        raise BadVerdictsError(
            f"merged intent {i} into {into!r}, which is not another intent it was shown"
        )
    if answer[into] is not ALLOW and answer[into] is not HOLD:
        raise BadVerdictsError(
            f"merged intent {i} into {into}, whose own verdict is {answer[into]!r}, so nothing "
            "would stand for it"
        )
    if view.merge_key(i) != view.merge_key(into):
        raise BadVerdictsError(
            f"merged intent {i} into {into}, which was emitted with other options, headers or "
            "overrides, or is held where this one is not (see View.merge_key)"
        )
