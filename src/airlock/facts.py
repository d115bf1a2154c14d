"""Errors that hold their facts: annotated attributes that are their arguments."""

from __future__ import annotations

from typing import Any, TypeVar, dataclass_transform

__all__ = ["Explained", "facts"]

T = TypeVar("T")


@dataclass_transform(eq_default=False)
def facts(cls: type[T]) -> type[T]:
    """Make the annotated attributes of an error its arguments; its text is composed in ``__str__``.

    They are its ``args`` too, so that it pickles. (An attrs class would do; thirty of them would
    take longer to import than the rest of airlock.)
    """
    names = tuple(
        name for base in reversed(cls.__mro__) for name in vars(base).get("__annotations__", ())
    )

    def __init__(self: Any, *facts: Any) -> None:  # noqa: N807 - becomes the method
        if not len(names) - defaults <= len(facts) <= len(names):
            raise TypeError(f"{cls.__name__} takes {', '.join(names)}, not {facts!r}")
        BaseException.__init__(self, *facts)
        vars(self).update(zip(names, facts, strict=False))

    defaults = sum(hasattr(cls, name) for name in names)
    cls.__init__ = __init__  # type: ignore[method-assign]  # that is what this decorator is for
    return cls


@facts
class Explained:
    """Errors whose text is ``WHAT PROBLEM. HINT``.

    Attributes:
        what: the subject: a scope, a plan, a call.
        problem: what is wrong with it, as a verb and the rest.
        hint: what to do, in sentences.
    """

    what: str
    problem: str
    hint: str

    def __str__(self) -> str:
        return f"{self.what} {self.problem}. {self.hint}"
