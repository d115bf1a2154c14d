"""Hypothesis strategies for intents.

``intents(SendEmail)`` makes values of one class, ``intents()`` of every one that is declared. Each
value equals its copies, is hashable and pickles: no NaN, however deep, and no infinite ``Decimal``.

``st.from_type`` knows ``airlock.Json``, ``airlock.Options`` and ``airlock.Intent`` as soon as
Hypothesis is imported. An intent class it reads by itself, as any other: floats may be NaN there,
and a generic class is beyond it. What you register for a class of yours, ``intents`` uses.
"""

from airlock.errors import MissingExtraError

try:
    from airlock.testing.strategies.values import intents
except ImportError as error:
    if (error.name or "").partition(".")[0] != "hypothesis":
        raise
    raise MissingExtraError("airlock.testing.strategies", "hypothesis", "testing") from None

__all__ = ["intents"]
