"""Pictures that the viewer has kept: going back, changing tabs or closing a menu then costs a few bytes.

A picture is kept when it rests and when another is about to replace it, unless it looks like one that is kept as well
already. The one longest unused makes room. Which of its tiles are not exact is remembered with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sandbox.screen import Rect, Size
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
    lossy: Tiles


class KeptPictures:
    """What is in the slots of viewers that show `size`."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._slots: dict[int, _Kept] = {}

    def __repr__(self) -> str:
        return f"<KeptPictures {len(self._slots)}>"

    def clear(self) -> None:
        """Forget all: some viewer has not kept them."""
        self._slots.clear()

    def keep(self, pixels: Pixels32, lossy: Tiles, shown: int | None = None) -> Keep | None:
        """Keep a picture; None when one that looks like it is kept as exactly already (now the last used).

        None as well when it would take the place of `shown`, which is about to be painted.
        """
        sample = np.ascontiguousarray(pixels[_SAMPLE])
        slot = self._like(pixels, sample)
        if slot is not None and int(lossy.sum()) >= int(self._slots[slot].lossy.sum()):
            self._use(slot)
            return None
        if slot is not None and slot == shown:
            return None
        if slot is None:
            slot = len(self._slots) if len(self._slots) < COUNT else next(iter(self._slots))
        self._slots.pop(slot, None)
        self._slots[slot] = _Kept(pixels.copy(), sample, lossy.copy())
        return Keep(slot)

    def _like(self, pixels: Pixels32, sample: Pixels32) -> int | None:
        """Return the slot of a picture that hardly differs."""
        slot = self._likest(sample)
        if slot is None or float((sample != self._slots[slot].sample).mean()) >= _WORTH_KEEPING:
            return None
        whole = Rect(0, 0, pixels.shape[1], pixels.shape[0])
        changed = changed_tiles(pixels, self._slots[slot].pixels, [whole])
        return slot if float(changed.mean()) < _WORTH_KEEPING else None

    def find(self, pixels: Pixels32, wanted: Tiles) -> tuple[Show, Tiles, Tiles] | None:
        """Return an operation that paints most of the `wanted` tiles of `pixels`, those tiles, and the inexact ones."""
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
        show = Show(slot, tuple(to_rects(same, self._size.width, self._size.height)))
        return show, same, same & self._slots[slot].lossy

    def _likest(self, sample: Pixels32) -> int | None:
        likeness = {slot: int((kept.sample == sample).sum()) for slot, kept in self._slots.items()}
        return max(likeness, key=likeness.__getitem__) if likeness else None

    def _use(self, slot: int) -> None:
        self._slots[slot] = self._slots.pop(slot)
