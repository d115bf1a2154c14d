"""Intents on the wire: JSON with a kind and a version, strict and bounded, without code.

``Wire`` encodes and decodes; an ``Envelope`` is what travels.
"""

from airlock.effects.causation import Ancestor, Causation
from airlock.wire.ciphers import AesGcm, Cipher
from airlock.wire.codec import Wire
from airlock.wire.compatibility import Incompatibility, incompatibilities
from airlock.wire.envelope import Envelope
from airlock.wire.leaves import TypeForm
from airlock.wire.message import envelope_schema
from airlock.wire.text import Limits
from airlock.wire.versions import Upcaster

__all__ = [
    "AesGcm",
    "Ancestor",
    "Causation",
    "Cipher",
    "Envelope",
    "Incompatibility",
    "Limits",
    "TypeForm",
    "Upcaster",
    "Wire",
    "envelope_schema",
    "incompatibilities",
]
