"""Effects in Django's tests: recorded up to what a commit would deliver.

A ``TestCase`` wraps each test in a transaction that never commits. For a release that is not there:
the outermost ``atomic()`` of the code under test is the transaction, and its end the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from airlock.errors import MissingExtraError
from airlock.testing.expecting import expect_effects
from airlock.testing.preparing import preparing
from airlock.testing.recording import Recording

try:
    from django.db import DEFAULT_DB_ALIAS
    from django.test import TestCase
except ImportError:
    raise MissingExtraError(__name__, "Django", "django") from None

from airlock.integrations.django.transactions import on_commit

__all__ = ["EffectsTestMixin", "assert_effects", "capture_effects"]


@contextmanager
def capture_effects(*, using: str | None = None, execute: bool = True) -> Iterator[Recording]:
    """Record what the block emits, and deliver nothing of it.

    What a rollback discards is not in it; nor is what the policies of the code under test drop,
    hold or merge. It may be looked at in the block, and after it.

    Args:
        using: the alias of the database whose transactions decide about what is emitted in no scope
            of the code under test; None for the default one.
        execute: call the ``on_commit`` callbacks of the code under test at the end of the block, as
            ``captureOnCommitCallbacks(execute=True)`` does, because they may emit too.

    Yields:
        A recording, a buffer that equals the list of what was emitted.

    Raises:
        ReleaseError: there is no database of that alias.
    """
    with _capturing(expect_effects(exhaustive=False), using, execute=execute) as recording:
        yield recording


@contextmanager
def assert_effects(
    *expected: Any, using: str | None = None, execute: bool = True
) -> Iterator[Recording]:
    """``capture_effects``, and these are all of them; without any, that there is none.

    Args:
        *expected: intents, intent classes or expectations, in any order.
        using: as ``capture_effects`` takes it.
        execute: as ``capture_effects`` takes it.

    Yields:
        The recording.

    Raises:
        AssertionError: something is missing, or was not expected.
        ExpectationError: one of them cannot be expected.
        ReleaseError: there is no database of that alias.
    """
    __tracebackhide__ = True
    with _capturing(expect_effects(*expected), using, execute=execute) as recording:
        yield recording


@contextmanager
def _capturing(block: expect_effects, using: str | None, *, execute: bool) -> Iterator[Recording]:
    __tracebackhide__ = True
    block.recording.release = on_commit(using)
    with block as recording:
        alias = DEFAULT_DB_ALIAS if using is None else using
        with TestCase.captureOnCommitCallbacks(using=alias, execute=execute):
            yield recording


class EffectsTestMixin:
    """``captureEffects`` and ``assertEffects`` for Django's test classes.

    What ``setUpTestData``, ``setUpClass`` and ``tearDownClass`` emit is dropped, as it belongs to no
    test.

    Example:
        >>> from airlock.integrations.django.testing import EffectsTestMixin
        >>> from django.test import SimpleTestCase
        >>> class OrderTests(EffectsTestMixin, SimpleTestCase):
        ...     def test_placing(self) -> None:
        ...         with self.captureEffects() as effects:
        ...             emit(NotifyWarehouse(42))
        ...         self.assertEqual(effects, [NotifyWarehouse(42)])
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("setUpClass", "tearDownClass"):
            method = getattr(cls, name, None)
            if method is not None:
                setattr(cls, name, classmethod(_preparing(method.__func__)))

    captureEffects = staticmethod(capture_effects)  # noqa: N815 - named as Django's own
    assertEffects = staticmethod(assert_effects)  # noqa: N815 - as above


def _preparing(method: Callable[[Any], None]) -> Callable[[Any], None]:
    """Wrap a method of a class that prepares its tests."""
    if hasattr(method, "_prepares"):  # inherited
        return method

    @wraps(method)
    def prepares(cls: Any) -> None:
        with preparing():
            method(cls)

    vars(prepares)["_prepares"] = True
    return prepares
