"""``Recording``: what code emits while a test looks on, wherever it emits it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from airlock.boundary.boundary import Boundary
from airlock.effects.describe import name_of
from airlock.effects.intent import Intent
from airlock.effects.options import Options
from airlock.effects.place import Place, caller
from airlock.emissions.buffer import BufferMark, EffectBuffer
from airlock.emissions.emission import Emission
from airlock.emissions.flat import Flat
from airlock.emissions.region import Mark, Region
from airlock.errors import DeclarationError, ExpectationError, ScopeStateError
from airlock.release import Release, ambient
from airlock.scopes.current import here
from airlock.scopes.enclose import enclose
from airlock.scopes.scope import Scope
from airlock.testing import explain
from airlock.testing.algebra import expectation_of, like, never_used, several
from airlock.testing.excerpt import Excerpt
from airlock.testing.expectations import AnyOrder, Like
from airlock.testing.greedy import Matching
from airlock.testing.tape import MODES, Mode, Tape, policy_of
from airlock.testing.unmet import unmet

__all__ = ["Recording"]

IntentT = TypeVar("IntentT", bound=Intent)


class Recording(EffectBuffer):
    """A recording of what was emitted: by ambient code, in scopes of any boundary, into itself.

    It is a buffer, and the ambient scope of code that opens none. Unless it *allows* effects,
    nothing is delivered. It holds what would have escaped: not what the policies of the code under
    test drop, hold or merge, and not what a failed block or a rollback discarded. Its order is
    that of the emissions.

    Made by ``expect_effects()`` and by the pytest fixture ``effects``. Every look at a value in it,
    by ``==``, ``in``, ``saw``, ``one``, ``of`` or a loop, counts as asserting it.

    Args:
        mode: ``"record"`` and ``"drop"`` deliver nothing; ``"allow"`` lets the scopes of the code
            under test deliver; ``"refuse"`` makes each emission an error.
        release: decides about what is emitted in no scope of the code under test; by default that of
            the scopes which a framework opens in production, where an integration knows it.
    """

    __slots__ = ("_block", "_scope", "mode", "release", "tape")

    def __init__(self, *, mode: Mode = "record", release: Release | None = None) -> None:
        if mode not in MODES:
            raise DeclarationError(f"mode={mode!r}: choose one of {', '.join(map(repr, MODES))}.")
        self.region = Region("recording")
        self.mode = mode
        self.release = release
        self.tape = Tape(allows=mode == "allow")
        # Threads begin without a context: a scope that opens in one is recorded all the same.
        self._block = enclose(policy_of(mode, self.tape), process=True)
        self._scope: Scope | None = None if mode == "allow" else Boundary({}).scope()

    # -- recording --------------------------------------------------------------------------------

    def start(self, place: Place | None = None) -> None:
        """Record everything from here on, in this context and in tasks that it starts.

        Args:
            place: where it started; by default where this is called.
        """
        self._block.__enter__()
        if self._scope is not None:
            self._scope.enter()
            if self.release is None and ambient:
                self.release = ambient[-1]()
            if self.release is not None:
                self._scope.release_with(self.release)
        region = here.get()
        region.kind = "recording"
        self.tape.place = place or caller()
        region.place = self.tape.place

    def stop(self) -> None:
        """End the recording. What was recorded stays."""
        try:
            if self._scope is not None:
                self._scope.__exit__(None, None, None)
        finally:
            self._block.__exit__(None, None, None)

    def emit(self, intent: Intent, /, options: Options | None = None) -> None:
        """Emit, as the code under test does into a buffer that it is given.

        Raises:
            ScopeStateError: this recording lets effects happen, and could not deliver this one.
            Exception: as ``EffectBuffer.emit`` does.
        """
        self._into().emit(intent, options)

    def emit_all(self, intents: Iterable[Intent], /) -> None:
        """Emit several."""
        self._into().emit_all(intents)

    def _into(self) -> Scope:
        if self._scope is None:
            raise ScopeStateError(
                "a recording that allows effects",
                "cannot be emitted into, because it has no handlers to deliver with",
                "Open a scope of your boundary in the test, and emit into that.",
            )
        return self._scope

    # -- reading ----------------------------------------------------------------------------------

    @property
    def emissions(self) -> Sequence[Emission]:
        """Each intent with its ``options`` and the ``place`` of the emission, in order."""
        return self._look_at(self.tape.escaping).emissions

    @property
    def unasserted(self) -> list[Any]:
        """The intents that were emitted, and not looked at so far."""
        return [emission.intent for emission in self.leftovers()]

    def leftovers(self) -> list[Emission]:
        """Return the emissions that were not looked at so far."""
        return [e for e in self.tape.escaping if e not in self.tape.asserted]

    def flat(self, *, since: Mark | None = None) -> Flat:
        flat = Flat(Region("recording"))
        emissions = self._after(since)
        flat.intents = [emission.intent for emission in emissions]
        flat.options = {i: e.options for i, e in enumerate(emissions) if e.options is not None}
        return flat

    def mark(self) -> BufferMark:
        return BufferMark(self, {self.region: len(self.tape.emissions)})

    def since(self, mark: BufferMark) -> list[Any]:
        super().since(mark)  # which knows whose mark it is
        return self._look_at(self._after(mark.sizes))

    def before(self, mark: BufferMark) -> list[Any]:
        """Return what was emitted before ``mark``.

        Raises:
            ValueError: the mark is of another buffer.
        """
        super().since(mark)  # as above
        after = set(self._after(mark.sizes))
        return self._look_at([e for e in self.tape.escaping if e not in after])

    def _after(self, sizes: Mark | None) -> list[Emission]:
        skipped = set(self.tape.emissions[: 0 if sizes is None else sizes[self.region]])
        return [emission for emission in self.tape.escaping if emission not in skipped]

    def of(self, cls: type[IntentT]) -> list[IntentT]:
        wanted = _wanted(cls, {}, "of")
        return self._look_at([e for e in self.tape.escaping if wanted.accepts(e.intent)])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._look_at(self.tape.escaping))

    def __getitem__(self, index: Any) -> Any:
        emissions = self.tape.escaping
        if isinstance(index, slice):
            return self._look_at(emissions[index])
        return self._look_at([emissions[index]])[0]

    def to_json(self, *, indent: int | None = None) -> str:
        self._look_at(self.tape.escaping)
        return super().to_json(indent=indent)

    def __contains__(self, intent: object) -> bool:
        return bool(self._look_at([e for e in self.tape.escaping if e.intent == intent]))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EffectBuffer | list | tuple):
            return NotImplemented
        emissions = self.tape.escaping
        equal = [emission.intent for emission in emissions] == list(other)
        if equal:
            self._look_at(emissions)
        return equal

    __hash__ = None

    def __repr__(self) -> str:
        return f"Recording({self.flat().intents!r})"

    def _look_at(self, emissions: Sequence[Emission]) -> Excerpt:
        """Count these as asserted, here and in the recordings around this one."""
        for emission in emissions:
            for recorder in emission.region.recorders:
                if isinstance(recorder, Tape):
                    recorder.asserted.add(emission)
        return Excerpt(emissions)

    # -- asserting --------------------------------------------------------------------------------

    def one(self, intent: type[IntentT], /, **fields: Any) -> IntentT:
        """Return the only emission of a class, with these fields.

        Args:
            intent: an intent class (subclasses too).
            **fields: values or matchers, as ``like`` takes them.

        Raises:
            AssertionError: there is none, or there are several.
            ExpectationError: it is no intent, or has no such field.
        """
        __tracebackhide__ = True
        wanted = _wanted(intent, fields, "one")
        found = [e for e in self.tape.escaping if wanted.accepts(e.intent)]
        if len(found) != 1:
            raise AssertionError(explain.not_one(self.tape, wanted, found))
        only: IntentT = self._look_at(found)[0]
        return only

    def none(self, intent: type[Any], /, **fields: Any) -> None:
        """Assert that there is no emission of a class, with these fields.

        Raises:
            AssertionError: there is one.
            ExpectationError: it is no intent, or has no such field.
        """
        __tracebackhide__ = True
        wanted = _wanted(intent, fields, "none")
        found = [e for e in self.tape.escaping if wanted.accepts(e.intent)]
        if found:
            raise AssertionError(explain.not_none(self.tape, wanted, found))

    def saw(self, *expected: Any) -> None:
        """Assert that these were emitted, in any order, each by an emission of its own.

        Emissions that were named by an earlier call are not looked at again.

        Args:
            *expected: intents, intent classes, or expectations such as ``in_order(...)``.

        Raises:
            AssertionError: one of them was not.
            ExpectationError: one of them cannot be expected, or there are none.
        """
        __tracebackhide__ = True
        wanted = AnyOrder(*several("effects.saw", expected))
        wanted.used = True
        emissions = [e for e in self.tape.escaping if e not in self.tape.taken]
        matching = Matching([emission.intent for emission in emissions])
        taken = matching.meet(wanted)
        if taken is None:
            raise AssertionError(unmet(self.tape, wanted, matching, emissions))
        met = [emissions[i] for i in taken]
        self.tape.taken.update(met)
        self._look_at(met)

    def nothing_else(self) -> None:
        """Assert that everything emitted was asserted before.

        Raises:
            AssertionError: something was not; the text says what, and where it was emitted.
        """
        __tracebackhide__ = True
        leftovers = self.leftovers()
        if leftovers:
            raise AssertionError(explain.unasserted(self.tape, leftovers))

    def check_expectations(self) -> None:
        """Complain about expectations that were written here, and never looked for.

        Raises:
            ExpectationError: there is one.
        """
        __tracebackhide__ = True
        error = never_used(self.tape)
        if error is not None:
            raise error


def _wanted(intent: Any, fields: dict[str, Any], by: str) -> Like:
    wanted = like(intent, **fields)
    expectation_of(wanted, by)
    if not isinstance(wanted, Like):
        hint = f"Give the class: {by}({name_of(type(intent))}, ...), or use saw(...) for a value."
        raise ExpectationError(f"{by}({intent!r})", "is about a value", hint)
    return wanted
