"""How often one address may fail before it is told to wait.

Tokens are 256 random bits, so nobody guesses one. The limit is there so that a broken or curious client is told
once a minute instead of filling the log, and it never locks out a right token from the same address.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from agent_bridge.access.words import TooManyFailures
from sandbox.words import Clock

WINDOW_S: Final = 60.0


@dataclass(slots=True)
class FailureLimit:
    """Counts failures by address over a sliding minute; remembers at most `addresses` of them."""

    clock: Clock
    per_minute: int
    addresses: int = 10_000
    _failures: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def failed(self, address: str) -> None:
        """Count one failure. Raises `TooManyFailures`, which says how long to wait, when it is one too many."""
        now = self.clock.monotonic()
        times = self._failures.setdefault(address, deque(maxlen=self.per_minute))
        self._failures.move_to_end(address)
        while len(self._failures) > self.addresses:
            self._failures.popitem(last=False)
        while times and now - times[0] >= WINDOW_S:
            times.popleft()
        if len(times) >= self.per_minute:
            wait = max(1, round(WINDOW_S - (now - times[0])))
            raise TooManyFailures(
                f"too many wrong tokens or links from here; check the token and try again in {wait} s",
                retry_after_s=wait,
            )
        times.append(now)
