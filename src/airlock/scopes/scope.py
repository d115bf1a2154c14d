"""``Scope``: a buffer with policies and a lifetime, a unit of work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from airlock.effects.intent import Intent
from airlock.effects.options import Options
from airlock.emissions.buffer import extend, put
from airlock.emissions.flat import Flat
from airlock.emissions.region import Mark, Region, is_over
from airlock.emissions.segments import against
from airlock.emissions.wave import chain
from airlock.errors import NoScopeError, OpenElsewhereError
from airlock.scopes.current import JUDGING, here, outwards, region_here
from airlock.scopes.enclose import RegionBlock, is_shared, landed
from airlock.scopes.lifetime import Lifetime
from airlock.scopes.stages import State

__all__ = ["Scope", "current"]


class Scope(Lifetime):
    """An ``EffectBuffer`` with policies and a lifetime. Made by ``boundary.scope(...)``.

    Use it as a context manager, sync or async. It is flushed when its block ends well and discarded
    when an exception leaves it; a nested scope of the same boundary hands its intents to the
    outermost instead. Frameworks may call ``enter``, ``exit`` and ``settle``, or ``flush`` and
    ``discard``, themselves.
    """

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]  # a unit of work, compared by content

    # -- emitting and reading ---------------------------------------------------------------------

    def emit(self, intent: Intent, /, options: Options | None = None) -> None:
        """Emit into the innermost region of this scope that is current here, or the scope itself.

        Raises:
            ScopeStateError: the scope has not been entered.
            OpenElsewhereError: nothing of the scope is current here (in a plain thread), while a
                region, nested scope, override or enclosure is open in it elsewhere.
            EmissionError: as ``airlock.emit`` does.
        """
        region = region_here()
        if region.scope is not self:
            put(self._target("emit {!r}", intent), intent, options)
        elif options is not None or type(intent) not in region.seen:
            put(region, intent, options)
        else:
            region.append(intent)

    def emit_all(self, intents: Iterable[Intent], /) -> None:
        """Emit several, after checking all of them; those of a buffer keep their options."""
        extend(self._target("emit intents"), intents)

    def flat(self, *, since: Mark | None = None) -> Flat:
        """The scope as one sequence, without what was discarded or rolled back."""
        return Flat(self.region, since=since, keeps=against)

    @property
    def own(self) -> list[Any]:
        """The intents emitted in this scope itself, in its regions too."""
        return list(Flat(self.region, keeps=against, belongs=self._is_own).intents)

    @property
    def captured(self) -> list[Any]:
        """The intents that nested scopes handed to this one."""
        flat = Flat(self.region, keeps=against, belongs=lambda r: not self._is_own(r))
        return list(flat.intents)

    def override(self, handlers: Mapping[Any, Any]) -> RegionBlock:
        """A region of this scope in which other handlers stand for those of the boundary.

        They hold for what is emitted in the block, follow-ups included, however late it runs.

        Args:
            handlers: by intent class, effect function or base class: a handler, one that takes
                ``(intent, call_next)`` and may call on to what it replaces, or None to drop it.

        Example:
            >>> with boundary.scope() as effects, effects.override({NotifyWarehouse: None}):
            ...     effects.emit(NotifyWarehouse(42))
        """
        overrides = self.engine.checked_overrides(handlers)
        around = partial(self._target, "open an override")
        return RegionBlock("override", around, overrides=overrides, value=self)

    def _target(self, what: str, intent: object = None) -> Region:
        """Return the region that an emission through this scope goes to.

        It is the innermost region of this scope that is current here, below the enclosures that
        were opened after it. A nested scope that has ended takes nothing more, in handlers
        either: they emit for the outermost scope.
        """
        if self.state is State.NEW:
            self._wrong(State.NEW.value, "Emit inside its block: `with scope: ...`.")
        now = here.get()
        if now is JUDGING:
            return now
        if self.region.is_closed and self._captor is not None:
            return self.region
        passed: list[Region] = []
        for region in outwards(now):
            if region.scope is not None and self._holds(region):
                return landed(passed, region) if passed and not region.is_closed else region
            if region.encloses and not region.is_closed:
                passed.append(region)
        return self._from_elsewhere(what, intent)

    def _from_elsewhere(self, what: str, intent: object) -> Region:
        """Return the region for an emission from where nothing of this scope is current.

        Enclosures of the whole process hold there as well. Whether others do, nobody can know.

        Raises:
            OpenElsewhereError: a region that is open in this scope may be meant to hold.
        """
        target = self.region
        if target.is_closed:
            return target
        while opened := self._open_below(target):
            target = opened[0]
            if len(opened) > 1 or not is_shared(target):
                raise OpenElsewhereError(
                    what.format(intent), self.region.described(), target.described()
                )
        return target

    def _open_below(self, region: Region) -> list[Region]:
        """Return the open regions right below one, in the order in which they opened."""
        children = region.children or ()
        first = 0
        if region is self.region:  # what is over stays so, and is looked at once
            while self._over < len(children) and is_over(children[self._over][1]):
                self._over += 1
            first = self._over
        return [child for _, child in children[first:] if not is_over(child)]

    def _is_own(self, region: Region) -> bool:
        return region is self.region or region.scope is self

    def _holds(self, region: Region) -> bool:
        """Whether a region's intents are part of this scope."""
        return region.scope is self or (
            region.scope.outermost is self.outermost and self.region in chain(region)
        )


def current() -> Scope:
    """The innermost open scope of this thread or task.

    Raises:
        NoScopeError: there is none.
    """
    scope: Scope | None = here.get().scope
    if scope is None:
        raise NoScopeError("there is no current scope")
    return scope
