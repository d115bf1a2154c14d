"""Verdicts of a policy about one intent."""

from __future__ import annotations

from typing import Final

__all__ = ["ALLOW", "DROP", "HOLD", "MERGED", "Verdict"]


class Verdict:
    """One of ``ALLOW``, ``DROP``, ``HOLD``, or ``MERGED(into=index)``.

    Where policies stack, DROP beats HOLD beats ALLOW, and MERGED is final.

    Attributes:
        name: of the verdict.
        into: for ``MERGED``, the index in the view of the intent that stands for this one too.
    """

    __slots__ = ("into", "name")

    def __init__(self, name: str, into: int | None = None) -> None:
        self.name: Final = name
        self.into: Final = into

    def __repr__(self) -> str:
        return self.name if self.into is None else f"{self.name}(into={self.into})"

    def __reduce__(self) -> str | tuple[object, ...]:
        return self.name if self.into is None else (_merged, (self.into,))


ALLOW: Final = Verdict("ALLOW")
"""It may escape, as far as this policy is concerned."""
DROP: Final = Verdict("DROP")
"""It does not escape."""
HOLD: Final = Verdict("HOLD")
"""It does not escape now; it is kept."""


def MERGED(*, into: int) -> Verdict:  # noqa: N802 - reads like the verdicts beside it
    """Merge the intent into the one at index ``into`` of the same view, which stands for both.

    Args:
        into: index of another intent of the view, one that this policy allows or holds.
    """
    return Verdict("MERGED", into)


def _merged(into: int) -> Verdict:
    return Verdict("MERGED", into)
