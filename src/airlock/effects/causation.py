"""The causes of an intent, in a form that can leave the process: kinds and digests, no values."""

from __future__ import annotations

import enum
import json
import operator
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import attrs

from airlock.effects.json import Json
from airlock.errors import DeclarationError

__all__ = ["NO_CAUSE", "Ancestor", "Causation", "digest", "name_of_key"]

Key = Callable[[Any], Hashable]


@attrs.frozen
class Ancestor:
    """A cause in another process.

    Args:
        kind: of the intent.
        digests: digests of its value, by the name of a key (see ``name_of_key``).
    """

    kind: str
    digests: Mapping[str, str] = attrs.field(factory=dict, hash=False)

    def matches(self, key: Key | None, intent: Any) -> bool:
        """Return True if the ancestor is of the same kind, with the same digest for this key.

        False too where that cannot be known: no digest was sent, or none can be made.
        """
        name = name_of_key(key)
        sent = None if name is None else self.digests.get(name)
        return sent is not None and sent == digest(intent if key is None else key(intent))


def _from_zero(_: object, __: object, depth: int) -> None:
    if depth < 0:
        raise DeclarationError(f"Causation(depth={depth!r}): an int from 0.")


@attrs.frozen
class Causation:
    """The causes of an intent in other processes.

    Args:
        depth: how many handlers stand between the first block and it.
        ancestors: its causes, the nearest first.
    """

    depth: int = attrs.field(default=0, validator=_from_zero)
    ancestors: tuple[Ancestor, ...] = ()


NO_CAUSE = Causation()
"""Nothing led to it."""


def name_of_key(key: Key | None) -> str | None:
    """Return the name of a key in every process that runs the same code; None if it has none.

    ``""`` is the whole value. A lambda and a local function have no name of their own.

    Example:
        >>> (
        ...     name_of_key(type),
        ...     name_of_key(None),
        ...     name_of_key(lambda intent: intent.order_id),
        ... )
        ('builtins:type', '', None)
    """
    if key is None:
        return ""
    if isinstance(key, operator.attrgetter | operator.itemgetter):
        return repr(key)
    module, name = getattr(key, "__module__", None), getattr(key, "__qualname__", "<")
    return None if module is None or "<" in name else f"{module}:{name}"


def digest(value: object) -> str | None:
    """Return a stable hash of a value: equal values have equal ones, in every process.

    None for what has no such hash: a value of an unknown type, or with something sensitive in it,
    since a short secret can be found by trying.

    Example:
        >>> digest((1, "a")) == digest((1.0, "a"))
        True
    """
    try:
        text = json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"))
    except (_Undigestible, ValueError, OverflowError, RecursionError):
        return None
    from hashlib import blake2b  # noqa: PLC0415 - an import that most programs do without

    return blake2b(text.encode(), digest_size=16).hexdigest()


class _Undigestible(Exception):  # noqa: N818 - internal; becomes None
    """A value that is the same in no two processes, or must not be revealed."""


def _canonical(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return ["str", str.__str__(value)]
    if hasattr(value, "as_integer_ratio"):
        return ["number", *_ratio(value)]
    if isinstance(value, tuple | list):
        return ["list" if isinstance(value, list) else "tuple", *map(_canonical, value)]
    if isinstance(value, frozenset | set):
        return ["set", *sorted(map(json.dumps, map(_canonical, value)))]
    return _made_of_fields(value) if _has_fields(value) else _format_constant(value)


def _ratio(number: Any) -> tuple[str, str]:
    """1, 1.0, True and Decimal(1) are equal, and so are their digests."""
    adjusted = getattr(number, "adjusted", None)
    if adjusted is not None and number.is_finite() and abs(adjusted()) > 400:
        return str(number.normalize()), ""  # its integer would fill the memory
    above, below = number.as_integer_ratio()
    return hex(above), hex(below)


def _has_fields(value: Any) -> bool:
    return attrs.has(type(value)) or hasattr(value, "__dataclass_fields__")


def _made_of_fields(value: Any) -> Any:
    if attrs.has(type(value)):
        compared = [a for a in attrs.fields(type(value)) if a.eq]
        if any(a.metadata.get("airlock.sensitive") for a in compared):
            raise _Undigestible
        values = {a.name: (a.eq_key or _itself)(getattr(value, a.name)) for a in compared}
    else:
        fields = value.__dataclass_fields__.values()
        values = {f.name: getattr(value, f.name) for f in fields if f.compare}
    return [_format_class(type(value)), {name: _canonical(item) for name, item in values.items()}]


def _itself(value: Any) -> Any:
    return value


def _format_class(cls: type[Any]) -> str:
    spec = vars(cls).get("__intent__")
    return str(spec.kind) if spec is not None else cls.__name__


def _format_constant(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return ["enum", type(value).__name__, value.name]
    if isinstance(value, type):
        return ["type", _format_class(value)]
    if isinstance(value, Json):
        return ["json", value.text]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    return _time_or_id(value)


def _time_or_id(value: Any) -> Any:
    # Those who have one have imported its module.
    from datetime import UTC, date, datetime, time, timedelta  # noqa: PLC0415
    from uuid import UUID  # noqa: PLC0415

    if isinstance(value, datetime):
        known = value.utcoffset() is not None
        return ["datetime", (value.astimezone(UTC) if known else value).isoformat()]
    if isinstance(value, timedelta):
        return ["timedelta", value.days, value.seconds, value.microseconds]
    if isinstance(value, UUID | date | time):
        return [type(value).__name__, str(value)]
    raise _Undigestible
