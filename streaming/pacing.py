"""When a picture may be taken and sent: pure decisions over times in seconds, no clock and no I/O of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MAX_FRAMES: Final = 12
_LEAN_BYTES: Final = 48 * 1024
_HUNG_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What may be set about a stream."""

    fps: float = 60.0
    """Pictures a second at most while a human drives."""
    watch_fps: float = 15.0
    """Pictures a second at most while nobody but the agent acts."""
    quality: float = 28.0
    """x264's constant rate factor for what moves; lower is sharper. What rests becomes exact whatever it is."""
    burst: int = 250_000
    """Bytes of exact pixels that a fast network takes at once; more begins as video."""
    window: int = 3
    """Pictures a viewer may have unacknowledged on a short way."""
    coalesce_s: float = 0.001
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


class Settling:
    """Repeats the picture after a change until the encoder has nothing to add, then rests."""

    def __init__(self, *, tiny: int = 200, calm: int = 1, most: int = 40) -> None:
        self._tiny = tiny
        self._calm = calm
        self._most = most
        self._left = 0
        self._quiet = 0

    @property
    def resting(self) -> bool:
        """Whether nothing is to be gained by another repetition."""
        return self._left == 0

    def changed(self) -> None:
        """The picture changed."""
        self._left = self._most
        self._quiet = 0

    def repeated(self, size: int) -> None:
        """The same picture was encoded again, into `size` bytes."""
        self._left = max(0, self._left - 1)
        self._quiet = self._quiet + 1 if size < self._tiny else 0
        if self._quiet >= self._calm:
            self._left = 0


class Window:
    """What one viewer has been sent and has not shown yet; bounds the queue in front of its screen."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._flying: dict[int, tuple[float, int]] = {}
        self._bytes = 0
        self._rtt = 0.0
        self._fastest = 0.0
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
    def open(self) -> bool:
        """Whether another picture may be sent."""
        if self.flying < self._frames:
            return True
        # a long way holds more pictures without a queue, as long as they are small
        reach = min(_MAX_FRAMES, self._frames + int(self._fastest * 60))
        return self.flying < reach and self._bytes < _LEAN_BYTES

    def hung(self, now: float) -> bool:
        """Whether the viewer has acknowledged nothing for so long that others must not wait for it."""
        return self._stuck_since is not None and now - self._stuck_since > _HUNG_S

    def sent(self, frame: int, size: int, now: float) -> None:
        """A picture left for the viewer."""
        if not self._flying:
            self._stuck_since = now
        self._flying[frame] = (now, size)
        self._bytes += size

    def shown(self, frame: int, now: float) -> None:
        """The viewer has shown `frame`, and so everything before it; numbers never sent are ignored."""
        if frame not in self._flying:
            return
        rtt = now - self._flying[frame][0]
        self._rtt = rtt if not self._rtt else self._rtt + (rtt - self._rtt) / 8
        self._fastest = min(self._fastest, rtt) if self._fastest else rtt
        for earlier in [number for number in self._flying if number <= frame]:
            self._bytes -= self._flying.pop(earlier)[1]
        self._stuck_since = now if self._flying else None

    def clear(self) -> None:
        """Forget what was sent (the viewer starts anew)."""
        self._flying.clear()
        self._bytes = 0
        self._stuck_since = None
