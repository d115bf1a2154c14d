"""The contract of queues finds what is wrong with a queue, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

import pytest

from airlock.errors import DeclarationError
from airlock.testing.queues import LACKS, QueueContract, QueueHarness
from tests.integrations.queues.toy import FAULTS, OPTIONS, ToyHarness

ALL = QueueContract.checks()


class Patient(QueueContract):
    """For checks that pass: however slow this machine is, they do not fail for it."""

    __test__ = False
    patience: ClassVar[float] = 60
    quiet: ClassVar[float] = 0.15
    together = False  # a queue serves one check
    bound: ClassVar[float] = 30
    delay: ClassVar[timedelta] = timedelta(seconds=0.2)


class Watchful(QueueContract):
    """For checks that fail: they do not wait for ever, and see what comes late."""

    __test__ = False
    patience: ClassVar[float] = 4
    quiet: ClassVar[float] = 1.5
    together = False
    bound: ClassVar[float] = 0.4
    delay: ClassVar[timedelta] = timedelta(seconds=2)
    slow: ClassVar[float] = 1


class TestToy(Patient):
    """A queue that keeps the contract passes it, one queue for all checks too."""

    __test__ = True
    together = True

    @pytest.fixture(scope="class")
    @classmethod
    def harness(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueHarness]:
        harness = ToyHarness(tmp_path_factory.mktemp("toy"))
        yield harness
        harness.end()


def tried(
    contract: QueueContract, folder: Path, failing: Collection[str] = (), **how: Any
) -> tuple[set[str], list[str]]:
    """The checks that fail, some of them as expected, and what is said of those that were skipped."""
    skipped = list[str]()

    def fails(check: str) -> bool:
        place = folder / check
        place.mkdir()
        harness = ToyHarness(place, **how)
        try:
            getattr(Watchful() if check in failing else contract, check)(harness)
        except SkipTest as lack:
            skipped.append(str(lack))
        except Exception:  # noqa: BLE001 - a check fails with AssertionError, or as the queue does
            return True
        finally:
            harness.end()
        return False

    with ThreadPoolExecutor(10) as pool:
        failed = {check for check, bad in zip(ALL, pool.map(fails, ALL), strict=True) if bad}
    return failed, skipped


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_rule_is_found_by_its_checks(fault: str, tmp_path: Path) -> None:
    """And by no others."""
    found = tried(Patient(), tmp_path, FAULTS[fault], fault=fault)
    assert found == (FAULTS[fault], [])


def test_every_check_finds_something() -> None:
    """A check that no fault sets off would check nothing."""
    assert set().union(*FAULTS.values()) == set(ALL)


def test_what_a_queue_lacks_is_named_with_its_reason() -> None:
    """And a word that means nothing is refused."""
    for lacks in ({"redelivrey": "because"}, {"redelivery": ""}):
        with pytest.raises(DeclarationError, match="give the reason for one of"):
            type("TestQueue", (QueueContract,), {"lacks": lacks})


@pytest.mark.parametrize("lack", LACKS)
def test_what_a_queue_lacks_is_shown(lack: str, tmp_path: Path) -> None:
    """The checks for it are skipped with the reason, and are not passed in silence."""
    lacking = type("TestQueue", (Patient,), {"lacks": {lack: "It is a toy."}})()
    failed, skipped = tried(lacking, tmp_path, options=OPTIONS - {lack})
    assert not failed
    assert skipped
    assert all(f"TestQueue lacks {lack!r}" in text and "It is a toy." in text for text in skipped)


def test_a_lack_of_delays_has_to_be_true(tmp_path: Path) -> None:
    """A queue without delays must not take intents that have one."""
    lacking = type("TestQueue", (Patient,), {"lacks": {"delay": "It is a toy."}})()
    harness = ToyHarness(tmp_path)
    with pytest.raises(AssertionError, match="its options should leave out delay"):
        lacking.test_a_delay_is_kept(harness)
    harness.end()
