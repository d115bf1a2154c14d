"""``expect_effects``: a block, and what should be emitted in it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal

from airlock.errors import ScopeOrderError
from airlock.testing.algebra import expectation_of
from airlock.testing.recording import Recording

__all__ = ["expect_effects"]


class expect_effects:  # noqa: N801 - used like a function, `with expect_effects(...) as fx`
    """A block whose effects are recorded, not delivered, and have to be as expected.

    Everything that is emitted in it must be asserted: by an expectation given here, or by a look at
    it in the block. What is left over fails, at the place that emitted it.

    Args:
        *expected: intents, intent classes or expectations, all of which must be met when the
            block ends, in any order.
        exhaustive: whether everything must be asserted; if not, ``fx.unasserted`` says what was
            left out.
        allow: let the scopes of the code under test deliver their effects, and record them.

    Attributes:
        recording: what the block gives.

    Example:
        >>> from airlock.testing import expect_effects
        >>> with expect_effects(NotifyWarehouse(42)):
        ...     emit(NotifyWarehouse(42))
        >>> with expect_effects() as fx:
        ...     emit(NotifyWarehouse(42))
        ...     fx.saw(NotifyWarehouse(42))
    """

    def __init__(
        self,
        *expected: Any,
        exhaustive: bool = True,
        allow: bool = False,
    ) -> None:
        self._expected = [expectation_of(one, "expect_effects") for one in expected]
        self._exhaustive = exhaustive
        self.recording = Recording(mode="allow" if allow else "record")

    def __enter__(self) -> Recording:
        self.recording.start()
        return self.recording

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        __tracebackhide__ = True
        try:
            self.recording.stop()
        except ScopeOrderError as order:  # which is not to hide what the block raised
            if error is None:
                raise
            error.add_note(str(order))
        if error is None:
            self._check()
        return False

    async def __aenter__(self) -> Recording:
        return self.__enter__()

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> Literal[False]:
        __tracebackhide__ = True
        return self.__exit__(None, error, None)

    def _check(self) -> None:
        __tracebackhide__ = True
        recording = self.recording
        if self._expected:
            recording.saw(*self._expected)
        if self._exhaustive:
            recording.nothing_else()
        recording.check_expectations()
