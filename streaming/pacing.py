"""When a picture may be taken and sent: pure decisions over times in seconds, no clock and no I/O of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HUNG_S: Final = 1.0
_TELLING_BYTES: Final = 12_000
"""A picture smaller than this says nothing about the rate of the way."""
_LEAST_S: Final = 0.004
_SAMPLES_S: Final = 10.0
_LONGEST_RUN_S: Final = 1.0
_LAG_BYTES: Final = 1_000_000
_LAG_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Way:
    """The way to a viewer as measured. `rate` in bits a second, 0 when unknown; `rtt` and `queue` in seconds."""

    kind: str = "socket"
    rate: float = 0.0
    rtt: float = 0.0
    loss: float = 0.0
    queue: float = 0.0


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What may be set about a stream."""

    fps: float = 60.0
    """Pictures a second at most while a human drives."""
    watch_fps: float = 15.0
    """Pictures a second at most while nobody but the agent acts."""
    quality: float = 28.0
    """x264's constant rate factor for what moves; lower is sharper. What rests becomes exact whatever it is."""
    burst: int = 200_000
    """Bytes of exact pixels that a fast network takes at once; what is larger begins as video."""
    window: int = 4
    """Pictures a viewer may have unacknowledged on a short way."""
    coalesce_s: float = 0.0002
    """How long to let a burst of paint finish before the picture is taken."""
    mask_hold_s: float = 0.1
    """How long a watcher's picture waits while something secret is on screen, for a mask that is about to move."""
    activity_s: float = 1.0
    """At most one report of the operator's activity in this time."""
    bad_messages: int = 20
    """Malformed messages after which a viewer is closed."""


class Pace:
    """At most so many pictures a second, on average: one that comes late may be followed a little sooner."""

    def __init__(self, fps: float) -> None:
        self._step = 1.0 / fps
        self._next = 0.0

    def set_rate(self, fps: float) -> None:
        """Change the rate from the next picture on."""
        self._step = 1.0 / fps

    def delay(self, now: float) -> float:
        """Return how long to wait before the next picture; 0 when it may be taken."""
        # a slower pace set in the past must not hold back a faster one
        return max(0.0, min(self._next - now, self._step))

    def took(self, now: float) -> None:
        """A picture was taken."""
        self._next = max(self._next, now - self._step / 2) + self._step


class Window:
    """What one viewer has been sent and has not shown yet: bounds the queue in front of its screen, measures the way.

    The rate comes from runs of pictures that followed each other without a gap: from the moment the first was sent
    until the last must have arrived, an answer being under way for no less than the shortest round trip.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._limit = _LAG_BYTES
        self._flying: dict[int, tuple[float, int, int]] = {}
        self._bytes = 0
        self._rtt = self._fastest = 0.0
        self._samples: list[tuple[float, float]] = []
        self._run_began = self._arrived = float("-inf")
        self._run_bytes = 0
        self._stuck_since: float | None = None

    @property
    def flying(self) -> int:
        """Pictures sent and not acknowledged."""
        return len(self._flying)

    @property
    def rtt(self) -> float:
        """Seconds from sending a picture to hearing that it is shown, smoothed; 0 before the first."""
        return self._rtt

    @property
    def way(self) -> Way:
        """What the pictures say about the way."""
        return Way("socket", max((rate for _, rate in self._samples), default=0.0), self._fastest)

    def expect(self, rtt: float) -> None:
        """Take the way for so long until a picture has shown how long it is, in seconds."""
        if not self._rtt:
            self._rtt = self._fastest = rtt

    def limit(self, frames: int, size: int) -> None:
        """Allow so many pictures and bytes under way."""
        self._frames, self._limit = frames, size

    @property
    def open(self) -> bool:
        """Whether another picture may be sent."""
        return self.flying < self._frames and self._bytes < self._limit

    def lags(self, now: float) -> bool:
        """Whether so much is under way that this viewer had better get pictures of its own pace."""
        return self._bytes > _LAG_BYTES or (self._stuck_since is not None and now - self._stuck_since > _LAG_S)

    def hung(self, now: float) -> bool:
        """Whether the viewer has acknowledged nothing for so long that others must not wait for it."""
        return self._stuck_since is not None and now - self._stuck_since > _HUNG_S

    def sent(self, frame: int, size: int, now: float) -> None:
        """A picture left for the viewer."""
        if not self._flying:
            self._stuck_since = now
        self._bytes += size
        self._flying[frame] = (now, size, self._bytes)

    def shown(self, frame: int, now: float, decode_s: float = 0.0) -> None:
        """The viewer has shown `frame`, and so everything before it; numbers never sent are ignored."""
        if frame not in self._flying:
            return
        sent_at, _, ahead = self._flying[frame]
        rtt = max(0.0, now - sent_at - decode_s)
        self._rtt = rtt if not self._rtt else self._rtt + (rtt - self._rtt) / 8
        if ahead < _TELLING_BYTES:
            self._fastest = min(self._fastest, rtt) if self._fastest else rtt
        shown = [self._flying.pop(number) for number in list(self._flying) if number <= frame]
        size = sum(size for _, size, _ in shown)
        self._bytes -= size
        self._stuck_since = now if self._flying else None
        if self._fastest:
            self._measure(shown[0][0], size, now - decode_s - self._fastest, now)

    def _measure(self, sent_at: float, size: int, arrived: float, now: float) -> None:
        if sent_at > self._arrived or arrived - self._run_began > _LONGEST_RUN_S:
            self._run_began, self._run_bytes = max(sent_at, self._arrived), 0
        self._run_bytes += size
        self._arrived = max(self._arrived, arrived)
        if self._run_bytes >= _TELLING_BYTES:
            rate = self._run_bytes * 8 / max(_LEAST_S, self._arrived - self._run_began)
            self._samples = [sample for sample in self._samples if now - sample[0] < _SAMPLES_S] + [(now, rate)]

    def clear(self) -> None:
        """Forget what was sent (the viewer starts anew)."""
        self._flying.clear()
        self._bytes = 0
        self._stuck_since = None
