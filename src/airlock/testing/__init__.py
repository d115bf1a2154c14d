"""Test doubles and assertions for effects: for pytest, unittest and plain scripts.

What needs Hypothesis is in ``airlock.testing.strategies``, ``.laws`` and ``.contracts``.
"""

from airlock.testing.algebra import any_order, in_order, like, never, one_of
from airlock.testing.expectations import Expectation
from airlock.testing.expecting import expect_effects
from airlock.testing.fakes import FakeHandler, fake_boundary
from airlock.testing.matchers import any_value, contains, gt, lt, matching
from airlock.testing.recording import Recording
from airlock.testing.releases import ReleaseContract, ReleaseHarness

__all__ = [
    "Expectation",
    "FakeHandler",
    "Recording",
    "ReleaseContract",
    "ReleaseHarness",
    "any_order",
    "any_value",
    "contains",
    "expect_effects",
    "fake_boundary",
    "gt",
    "in_order",
    "like",
    "lt",
    "matching",
    "never",
    "one_of",
]
