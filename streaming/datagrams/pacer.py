"""When the next datagram may leave: bursts of 5 ms, a little faster than the way, never far ahead of it."""

from __future__ import annotations

from typing import Final

BURST: Final = 0.005
_AHEAD: Final = 0.015
_BEGINNING: Final = 1.25
_STEADY: Final = 1.05
_PROBE_EVERY: Final = 0.8
_PROBE: Final = 0.03


class Pacer:
    """Keeps two times: when the next datagram may leave, and when the bottleneck will have carried what has left."""

    def __init__(self, now: float) -> None:
        self._next = now
        self._carried = now
        self._probe_at = now

    @property
    def ready_at(self) -> float:
        """When a datagram may leave."""
        return self._next

    def sent(self, now: float, bits: float, rate: float, eager: float, damping: float) -> None:
        """Account for a datagram.

        Args:
            now: seconds.
            bits: its size with everything below it.
            rate: what the bottleneck carries, bits/s.
            eager: how much faster than that a burst may begin (1.25; 2 while the rate is being searched).
            damping: below 1 while a queue stands.
        """
        ahead = self._carried - now
        probing = self._probe_at <= now < self._probe_at + _PROBE
        if now >= self._probe_at + _PROBE:
            self._probe_at = now + _PROBE_EVERY
        searching = eager > _BEGINNING
        gain = eager if searching or ahead < _AHEAD else _BEGINNING if probing else _STEADY
        self._carried = max(self._carried, now) + bits / rate
        self._next = max(self._next, now - BURST) + bits / (rate * (gain if damping >= 1 else damping))
