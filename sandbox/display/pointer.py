"""Wheel deltas as X's wheel clicks. Pure."""

from __future__ import annotations

import math
from typing import Final

PIXELS_PER_TICK: Final = 120.0
"""What Chromium scrolls for one click of X's wheel (measured on 156)."""
_UP, _DOWN, _LEFT, _RIGHT = 4, 5, 6, 7
_MANY: Final = 20

BUTTONS: Final = {"left": 1, "middle": 2, "right": 3, "back": 8, "forward": 9}


class WheelTicks:
    """Turns pixels into clicks and keeps the rest, so that a trackpad's small steps add up."""

    def __init__(self) -> None:
        self._x = 0.0
        self._y = 0.0

    def __repr__(self) -> str:
        return f"<WheelTicks rest=({self._x:.0f}, {self._y:.0f})>"

    def turn(self, dx: float, dy: float) -> list[int]:
        """Add a delta and return the X buttons to click, one for each tick."""
        self._x, across = self._step(self._x, dx)
        self._y, down = self._step(self._y, dy)
        return [_DOWN if down > 0 else _UP] * abs(down) + [_RIGHT if across > 0 else _LEFT] * abs(across)

    def reset(self) -> None:
        """Forget the rest."""
        self._x = self._y = 0.0

    @staticmethod
    def _step(rest: float, delta: float) -> tuple[float, int]:
        if not math.isfinite(delta):
            return rest, 0
        # A turn the other way starts afresh: the old rest would swallow its first pixels.
        total = delta if rest * delta < 0 else rest + delta
        ticks = int(total / PIXELS_PER_TICK)
        return total - ticks * PIXELS_PER_TICK, max(-_MANY, min(_MANY, ticks))
