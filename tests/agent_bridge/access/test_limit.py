"""The limit on failures."""

from __future__ import annotations

import pytest

from agent_bridge.access.limit import FailureLimit
from agent_bridge.access.words import TooManyFailures


class Hand:
    """A clock turned by hand."""

    time = 1000.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self.time

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.time


def test_the_eleventh_failure_in_a_minute_is_one_too_many() -> None:
    """Ten failures are counted, the next is told how long to wait."""
    limit = FailureLimit(Hand(), 10)
    for _ in range(10):
        limit.failed("a")

    with pytest.raises(TooManyFailures, match="in 60 s") as refused:
        limit.failed("a")

    assert refused.value.fields["retry_after_s"] == 60


def test_addresses_are_counted_apart() -> None:
    """One address's failures are not another's."""
    limit = FailureLimit(Hand(), 1)
    limit.failed("a")

    limit.failed("b")


def test_failures_are_forgotten_after_a_minute() -> None:
    """What is older than a minute counts no more."""
    clock = Hand()
    limit = FailureLimit(clock, 1)
    limit.failed("a")
    clock.time += 60

    limit.failed("a")


def test_memory_is_bounded() -> None:
    """A flood of addresses pushes the oldest out instead of filling the memory."""
    limit = FailureLimit(Hand(), 1, addresses=3)
    for address in "abcd":
        limit.failed(address)

    assert len(limit._failures) == 3
