"""``Delivery``: one intent on its way to its handler."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airlock.effects.causation import Ancestor, Causation, digest
from airlock.effects.options import Options
from airlock.effects.registry import spec_of
from airlock.emissions.wave import Outcome, Wave, chain
from airlock.errors import DeliveryError
from airlock.policies.builtin import OncePerChain, chain_policies
from airlock.policies.policy import PolicyLike

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID

__all__ = ["ACKNOWLEDGE", "Delivery"]

ACKNOWLEDGE: ContextVar[Callable[[UUID, object], None] | None] = ContextVar(
    "airlock_acknowledge", default=None
)
"""Deletes the row of an intent by its id, on a connection; set by a relay while it delivers."""

_NO_OPTIONS = Options()

FARTHEST = 256
"""How many causes an envelope tells of: a batch has as many as members."""


class Delivery:
    """One intent on its way: what a handler may ask about it, and what a dispatcher is given."""

    __slots__ = ("_position", "_wave", "attempt", "inline")

    def __init__(self, wave: Wave, position: int, attempt: int, inline: bool = True) -> None:  # noqa: FBT001, FBT002 - keywords cost a tenth of a microsecond, for each attempt that is watched
        self._wave = wave
        self._position = position
        self.attempt = attempt
        """Which try this is, from 1."""
        self.inline = inline
        """Whether its handler runs here; False if it is handed over."""

    @property
    def intent(self) -> Any:
        """The intent."""
        return self._wave.intents[self._position]

    @property
    def id(self) -> UUID:
        """The id it was emitted with, or one made for it: the same in every attempt and report."""
        return self._wave.id_of(self._position)

    @property
    def kind(self) -> str:
        """The kind of the intent."""
        return spec_of(type(self.intent)).kind

    @property
    def cause(self) -> Delivery | None:
        """The delivery whose handler emitted it; None if the block did."""
        parent = self._wave.parent
        if parent is None:
            return None
        position = self._wave.causes[self._position]
        failed = parent.outcomes[position] == Outcome.FAILED
        return Delivery(parent, position, parent.tries.get(position, 0) + (not failed))

    @property
    def ancestors(self) -> Iterator[Any]:
        """The intents that caused it, its direct cause first."""
        return self._wave.ancestors(self._position)

    @property
    def arrived(self) -> bool:
        """True if a dispatch handed it over to this process, where it is delivered now."""
        return self._wave.arrived

    @property
    def causation(self) -> Causation:
        """Its causes for other processes: kinds and digests of at most 256 of them, the nearest."""
        origin = self._wave.origin_of(self._position)
        if self._wave.parent is None and self._wave.within is None:
            return origin
        causes = islice(self.ancestors, FARTHEST)
        policies = tuple(chain_policies(self._policies()))
        here_ = (_ancestor(cause, policies) for cause in causes)
        known = dict.fromkeys((*here_, *origin.ancestors))
        return Causation(self._wave.depth_after(origin), tuple(known)[:FARTHEST])

    def _policies(self) -> Iterator[PolicyLike]:
        for region in chain(self._wave.home(self._position)):
            yield from region.policies
            yield from region.enclosures

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of its scopes, of its causes, and its own."""
        return MappingProxyType(self._wave.headers(self._position))

    @property
    def options(self) -> Options:
        """The options it was emitted with."""
        return self._wave.options.get(self._position, _NO_OPTIONS)

    @property
    def delay(self) -> timedelta | None:
        """The time after the release at which to deliver, at the earliest."""
        return self.options.delay

    def acknowledge(self, session: Any) -> None:
        """Acknowledge this delivery in a transaction of the handler, in which its work is done too.

        The row of the intent is deleted on that session's connection: if the transaction commits,
        the work is done and never delivered again; if it is rolled back, or the process is killed,
        neither has happened. That is *effectively once*. What the handler emits to the outbox
        belongs into that transaction too: emit it in a scope of its own,
        ``boundary.scope(release=on_commit(session), independent=True)``.

        Args:
            session: a SQLAlchemy ``Session`` or ``Connection``, a ``sqlite3.Connection``, or a
                Django connection, of the outbox's database.

        Raises:
            LeaseLostError: the row is no longer this relay's: let the transaction be rolled back.
            DeliveryError: no relay delivers this.
            SettingError: the session is of another database.

        Example:
            >>> def reward(intent, session):
            ...     with session.begin():
            ...         session.add(Reward(intent.customer_id))
            ...         airlock.delivery().acknowledge(session)
        """
        acknowledge = ACKNOWLEDGE.get()
        if acknowledge is None or not self.arrived:
            raise DeliveryError(
                "no relay of an outbox delivers this, so there is nothing to acknowledge: it was "
                "emitted in this process, or has arrived by a queue. Send its intent to an outbox."
            )
        acknowledge(self.id, _connection_of(session))

    async def aacknowledge(self, session: Any) -> None:
        """Do what ``acknowledge`` does, for an ``AsyncSession`` or ``AsyncConnection``."""
        await session.run_sync(self.acknowledge)

    def __repr__(self) -> str:
        return f"<Delivery of {self.intent!r}, attempt {self.attempt}>"


def _connection_of(session: Any) -> object:
    """Return the connection of a SQLAlchemy session; a connection is one already."""
    connection = getattr(session, "connection", None)
    return connection() if callable(connection) and hasattr(session, "get_bind") else session


def _ancestor(cause: Any, policies: Iterable[OncePerChain]) -> Ancestor:
    whole = digest(cause)
    digests = {} if whole is None else {"": whole}
    for policy in policies:
        digests.update(policy.ancestor(cause))
    return Ancestor(spec_of(type(cause)).kind, digests)
