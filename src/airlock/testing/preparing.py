"""``preparing``: around code that prepares tests, before the recording of any of them."""

from __future__ import annotations

from contextvars import Context
from types import TracebackType
from typing import Any, Literal, Self

from airlock.effects.options import Options
from airlock.effects.place import Place
from airlock.scopes.current import fallbacks, here
from airlock.scopes.enclose import enclose
from airlock.testing.tape import Mode, Refusal, Tape, policy_of

__all__ = ["preparing"]


class preparing:  # noqa: N801 - used like a function, `with preparing()`
    """A block in which nothing is delivered: the set-up of a class, a module or a session of tests.

    What the code emits needs no scope there, and belongs to no test. It is so in the whole process,
    and in no region of the current context: set-up code may leave regions of its own open, for its
    tests. In a recording, which does all that, the block does nothing.

    Args:
        mode: ``"record"`` and ``"drop"`` drop what is emitted; ``"refuse"`` makes each emission an
            error; ``"allow"`` does nothing.
        place: of the code, for messages.
    """

    def __init__(self, mode: Mode = "record", *, place: Place | None = None) -> None:
        self._mode = mode
        self._tape = Tape(allows=False)
        self._tape.place = place
        self._enclosure = enclose(policy_of(mode, self._tape), process=True)
        self._context = Context()  # nothing else runs in it
        self._active = False

    def __enter__(self) -> Self:
        self._active = self._mode != "allow" and not here.get().recorders
        if self._active:
            self._context.run(self._enclosure.__enter__)
            fallbacks.append(self._take)
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> Literal[False]:
        if self._active:
            self._active = False
            fallbacks.remove(self._take)
            self._context.run(self._enclosure.__exit__, None, None, None)
        return False

    def _take(self, intent: Any, _: Options | None) -> None:
        if self._mode == "refuse":
            Refusal(self._tape).refuse(intent)
