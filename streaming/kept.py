"""Pictures that the viewer has kept: going back, changing tabs or closing a menu then costs a few bytes.

A picture is kept once it rests, is exact, and looks like none of those kept already; the one longest unused goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sandbox.screen import Rect
from streaming.changes import TILE, Pixels32, Tiles, changed_tiles, tile_rect, to_rects
from streaming.ops import Keep, Show

COUNT: Final = 8
_WORTH_KEEPING: Final = 0.02
"""Share of the picture that must be new."""
_WORTH_SHOWING: Final = 0.3
"""Share of what changed that a kept picture must explain."""
_SAMPLE: Final = (slice(TILE // 2, None, TILE), slice(0, None, 8))


@dataclass(slots=True)
class _Kept:
    pixels: Pixels32
    sample: Pixels32


class KeptPictures:
    """What is in the viewer's slots."""

    def __init__(self) -> None:
        self._slots: dict[int, _Kept] = {}

    def __repr__(self) -> str:
        return f"<KeptPictures {len(self._slots)}>"

    def clear(self) -> None:
        """Forget all: some viewer has not kept them."""
        self._slots.clear()

    def keep(self, pixels: Pixels32) -> Keep | None:
        """Keep a picture; None when it looks like one that is kept already (that one is then the last used)."""
        sample = np.ascontiguousarray(pixels[_SAMPLE])
        like = self._likest(sample)
        if like is not None and float((sample != self._slots[like].sample).mean()) < _WORTH_KEEPING / TILE:
            changed = changed_tiles(pixels, self._slots[like].pixels, [Rect(0, 0, pixels.shape[1], pixels.shape[0])])
            if float(changed.mean()) < _WORTH_KEEPING:
                self._use(like)
                return None
        slot = len(self._slots) if len(self._slots) < COUNT else next(iter(self._slots))
        self._slots.pop(slot, None)
        self._slots[slot] = _Kept(pixels.copy(), sample)
        return Keep(slot)

    def find(self, pixels: Pixels32, wanted: Tiles) -> tuple[Show, Tiles] | None:
        """Return an operation that paints most of the `wanted` tiles of `pixels`, and the tiles it paints."""
        sample = pixels[_SAMPLE]
        slot = self._likest(sample)
        box = tile_rect(wanted)
        if slot is None or box is None:
            return None
        same = ~changed_tiles(pixels, self._slots[slot].pixels, [box])
        outside = np.ones_like(same)
        outside[box.y // TILE : (box.y + box.height) // TILE, box.x // TILE : (box.x + box.width) // TILE] = False
        same &= ~outside
        if int((same & wanted).sum()) < int(wanted.sum()) * _WORTH_SHOWING:
            return None
        self._use(slot)
        return Show(slot, tuple(to_rects(same, pixels.shape[1], pixels.shape[0], gap=0))), same

    def _likest(self, sample: Pixels32) -> int | None:
        likeness = {slot: int((kept.sample == sample).sum()) for slot, kept in self._slots.items()}
        return max(likeness, key=likeness.__getitem__) if likeness else None

    def _use(self, slot: int) -> None:
        self._slots[slot] = self._slots.pop(slot)
