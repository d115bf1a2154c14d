"""``Envelope``: an intent with all that travels with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import attrs

from airlock.effects.causation import Causation
from airlock.effects.options import Options
from airlock.effects.registry import describe, spec_of
from airlock.errors import DeclarationError

if TYPE_CHECKING:
    from airlock.emissions.delivery import Delivery

__all__ = ["Envelope"]


def _with_id(options: Options | None) -> Options:
    if options is None:
        return Options(id=uuid4())
    if not isinstance(options, Options):
        raise DeclarationError(f"Envelope takes Options(...), not {describe(options)}.")
    return options if options.id is not None else attrs.evolve(options, id=uuid4())


@attrs.frozen
class Envelope:
    """An intent on its way to another process, with the options of its emission and its causes.

    Args:
        intent: the value.
        options: with which it was emitted, headers included; an id is made if they have none.
        causation: what led to it; nothing, if not given.

    Example:
        >>> envelope = Envelope(NotifyWarehouse(42), Options(headers={"tenant": "acme"}))
        >>> envelope.kind, envelope.version, dict(envelope.headers)
        ('docstrings.notify-warehouse', 1, {'tenant': 'acme'})
    """

    intent: Any
    options: Options = attrs.field(default=None, converter=_with_id)
    causation: Causation = attrs.field(factory=Causation)

    @classmethod
    def of(cls, delivery: Delivery) -> Envelope:
        """Return the envelope of a delivery: what a dispatcher sends.

        Example:
            >>> class Queue(Dispatcher):
            ...     options = frozenset({"id", "headers"})
            ...
            ...     def dispatch(self, delivery):
            ...         self.sent = wire.encode(Envelope.of(delivery))
        """
        options = attrs.evolve(delivery.options, id=delivery.id, headers=dict(delivery.headers))
        return cls(delivery.intent, options, delivery.causation)

    @property
    def id(self) -> UUID:
        """The id of the intent, everywhere it goes."""
        id_: Any = self.options.id  # made by now
        return id_  # type: ignore[no-any-return]

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the intent's scopes, its causes and its emission."""
        return self.options.headers

    @property
    def kind(self) -> str:
        """The kind of the intent."""
        return spec_of(type(self.intent)).kind

    @property
    def version(self) -> int:
        """The version of the intent's fields."""
        return spec_of(type(self.intent)).version
