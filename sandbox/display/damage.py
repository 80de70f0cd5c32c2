"""What was painted since the encoder last looked."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sandbox.screen import Rect
from sandbox.words import Gone

_MANY = 64


def bounds(rects: Sequence[Rect]) -> Rect:
    """Return the smallest rectangle that covers all of `rects` (at least one)."""
    left, top = min(r.x for r in rects), min(r.y for r in rects)
    right, bottom = max(r.x + r.width for r in rects), max(r.y + r.height for r in rects)
    return Rect(left, top, right - left, bottom - top)


class DamageQueue:
    """Painted rectangles, filled by one thread and emptied by another."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rects: list[Rect] = []
        self._woken = False
        self._ended = False

    def __repr__(self) -> str:
        return f"<DamageQueue {len(self._rects)} rectangles{' ended' if self._ended else ''}>"

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    def add(self, rect: Rect) -> None:
        """Something was painted; callable from any thread."""
        with self._changed:
            self._rects.append(rect)
            if len(self._rects) > _MANY:
                self._rects = [bounds(self._rects)]
            self._changed.notify_all()

    def wake(self) -> None:
        """Make `wait` return at once."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def end(self) -> None:
        """Make this and every later `wait` raise `Gone`."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self, timeout: float) -> Sequence[Rect] | None:
        """Implement `sandbox.screen.Screen.wait`."""
        with self._changed:
            self._changed.wait_for(lambda: self._rects or self._woken or self._ended, timeout)
            if self._ended:
                raise Gone("the display of this sandbox has ended")
            if not self._rects and not self._woken:
                return None
            rects, self._rects, self._woken = self._rects, [], False
            return rects
