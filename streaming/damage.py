"""What was painted and not looked at yet: a few rectangles, or the whole picture once they are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sandbox.screen import Rect, Size

_MANY: Final = 32


class Damage:
    """Begins with the whole picture of `size`."""

    def __init__(self, size: Size) -> None:
        self._whole = Rect(0, 0, size.width, size.height)
        self._rects = [self._whole]

    def __repr__(self) -> str:
        return f"<Damage {len(self._rects)} rectangles>"

    def __bool__(self) -> bool:
        return bool(self._rects)

    def add(self, rects: Sequence[Rect]) -> None:
        """Remember what was painted."""
        self._rects += rects
        if len(self._rects) > _MANY:
            self.all()

    def all(self) -> None:
        """Everything may look different."""
        self._rects = [self._whole]

    def take(self) -> tuple[Rect, ...]:
        """Return it and forget it."""
        rects, self._rects = tuple(self._rects), []
        return rects
