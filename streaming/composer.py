"""From pictures to drawing commands: what a viewer has, what is different now, and the cheapest exact way to say it.

In this order: pictures it has kept (a page it saw before), scrolling, the rectangle that moves, and exact pixels. What
went as video is remembered and made exact as soon as it rests. One composer for each rendition, used by one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from sandbox.screen import Picture, Rect, Size
from streaming.changes import (
    TILE,
    Pixels32,
    Tiles,
    bridged,
    changed_tiles,
    mark,
    no_tiles,
    padded,
    scrolled,
    tighten,
    tile_rect,
    to_rects,
    touched,
)
from streaming.control import Decision, Network, Scene
from streaming.kept import KeptPictures
from streaming.lossless import Packer, pixels32, size_of
from streaming.moving import Moving
from streaming.ops import Copy, Op
from streaming.protocol import Pictures

_LARGE: Final = 96
"""Tiles; fewer are not worth looking for elsewhere."""
_FEW_RECTS: Final = 24
_GAP_TILES: Final = 2
"""Unchanged tiles between two changed ones that are cheaper to send than another rectangle."""
_FREE: Final = 4096
"""Bytes of exact pixels that are always cheaper than thinking about video."""
_KEEP_AFTER_S: Final = 0.15
_AGAIN_S: Final = 0.15
"""What has changed twice within this time is taken to move."""
_MOSTLY: Final = 0.5
_MOVING_SHARE: Final = 0.08
"""Of the purse: what exact pixels of something that moves may cost."""
_COARSE: Final = 6
_COARSEST: Final = 2
"""Levels of green that still read as text: at 32 dB for two thirds of the bytes, and black on white for 40 %."""
_SETTLE_S: Final = 0.2
"""Between two parts of the page that are made exact beside a film, which needs most of the rate."""
_SCROLL_S: Final = 0.3
_TEXT_S: Final = 1.0
_TILE_BYTES: Final = 40.0


def blank(size: Size) -> Picture:
    """Return a picture for `size` whose sides are whole tiles; the part beyond `size` stays as it is."""
    return np.zeros((padded(size.height), padded(size.width), 4), np.uint8)


class Composer:
    """Pictures given to it are `blank` ones, painted."""

    def __init__(self, kind: Pictures, size: Size) -> None:
        self._size = size
        self._before: Pixels32 = pixels32(blank(size))
        self._lossy: Tiles = no_tiles(self._before)
        self._kept = KeptPictures(size)
        self._packer = Packer()
        self._moving = Moving(kind, size.width, size.height)
        self._tokens, self._tokens_at = 0.0, float("-inf")
        self._changed_at = self._scrolled_at = self._settled_at = float("-inf")
        self._tiles_at = np.full(self._lossy.shape, float("-inf"))
        self._keeping_due = False
        self._tile_bytes = _TILE_BYTES

    def __repr__(self) -> str:
        return f"<Composer {self._size.width}x{self._size.height} inexact={int(self._lossy.sum())} {self._moving}>"

    def scene(self, now: float) -> Scene:
        """Return what the page has been doing lately."""
        if self._moving.film:
            return Scene.FILM
        if now - self._scrolled_at < _SCROLL_S:
            return Scene.SCROLL
        return Scene.TEXT if now - self._changed_at < _TEXT_S else Scene.STILL

    def rests_in(self, decision: Decision, now: float) -> float | None:
        """Return how soon there is something to do about a picture at rest, in seconds; None when there is not."""
        if self._lossy.any():
            return max(
                0.0, max(self._changed_at, self._moving.last) + decision.refine_after_s - now, self._debt(decision, now)
            )
        return max(0.0, self._changed_at + _KEEP_AFTER_S - now) if self._keeping_due else None

    def compose(self, picture: Picture, damage: Sequence[Rect], decision: Decision, now: float) -> list[Op]:
        """Return what turns the viewer's picture into this one; nothing when it is the same and as good as it gets."""
        current = pixels32(picture)
        changed = changed_tiles(current, self._before, damage) if damage else None
        if changed is not None and changed.any():
            ops = self._changes(picture, current, changed, decision, now)
            self._changed_at = now
            self._keeping_due = True
            return ops
        return self._rest(picture, decision, now)

    def _changes(self, picture: Picture, current: Pixels32, changed: Tiles, decision: Decision, now: float) -> list[Op]:
        ops: list[Op] = []
        moving = self._moving.takes(changed)
        rest = changed if moving is None else changed & ~moving
        if int(rest.sum()) >= _LARGE:
            rest = self._elsewhere(ops, current, rest, now)
        if moving is not None:
            ops.append(self._moving.picture(picture, current, moving, decision, now))
            rest = rest & ~self._video_painted(current)
        if rest.any():
            ops += self._pixels(picture, current, rest, decision, now)
        self._tiles_at[changed] = now
        return ops + self._settle(picture, decision, now)

    def _settle(self, picture: Picture, decision: Decision, now: float) -> list[Op]:
        """Make exact what rests beside what moves, a little at a time."""
        if now - self._settled_at < _SETTLE_S or self._purse(decision, now) <= 0:
            return []
        resting = self._lossy & (self._tiles_at <= now - decision.refine_after_s)
        if self._moving.tiles is not None:
            resting &= ~self._moving.tiles
        self._settled_at = now
        return self._refine(picture, resting, decision, now) if resting.any() else []

    def _elsewhere(self, ops: list[Op], current: Pixels32, rest: Tiles, now: float) -> Tiles:
        """Find `rest` among what the viewer has; returns what is left."""
        found = self._kept.find(current, rest)
        if found is not None:
            show, same, lossy = found
            ops += [*self._keep(show.slot), show]
            self._learn(current, same, exact=True)
            self._lossy |= lossy
            rest = rest & ~same
        box = tile_rect(rest)
        move = scrolled(current, self._before, box) if box and int(rest.sum()) >= _LARGE else None
        if box and move:
            ops.append(self._scroll(*move))
            self._scrolled_at = now
            rest = (rest & ~self._within(box)) | changed_tiles(current, self._before, [box])
        elif found is None and float(rest.mean()) >= _MOSTLY:
            ops += self._keep()
        return rest

    def _within(self, box: Rect) -> Tiles:
        inside = np.zeros_like(self._lossy)
        mark(inside, box)
        return inside

    def _keep(self, shown: int | None = None) -> list[Op]:
        """Keep what is about to be replaced, unless that has been done; not in the slot that replaces it."""
        if not self._keeping_due or self._moving.tiles is not None:
            return []
        self._keeping_due = False
        keep = self._kept.keep(self._before, self._lossy, shown)
        return [keep] if keep else []

    def _scroll(self, target: Rect, by: int) -> Copy:
        width = min(target.width, self._size.width - target.x)
        height = min(target.height, self._size.height - max(target.y, target.y - by))
        source = Rect(target.x, target.y - by, width, height)
        columns = slice(source.x, source.x + width)
        self._before[target.y : target.y + height, columns] = self._before[source.y : source.y + height, columns].copy()
        if self._lossy.any():
            self._move_lossy(source, by)
        return Copy(source, 0, by)

    def _move_lossy(self, source: Rect, by: int) -> None:
        columns = slice(source.x // TILE, -(-(source.x + source.width) // TILE))
        before = self._lossy[:, columns].copy()
        for row in range((source.y + by) // TILE, -(-(source.y + by + source.height) // TILE)):
            first, last = (row * TILE - by) // TILE, (row * TILE + TILE - 1 - by) // TILE
            first, last = max(0, first), min(before.shape[0] - 1, last)
            self._lossy[row, columns] |= before[first : last + 1].any(axis=0)

    def _pixels(self, picture: Picture, current: Pixels32, rest: Tiles, decision: Decision, now: float) -> list[Op]:
        """Paint `rest` exactly if the purse bears it, coarsely if it bears that, or as video."""
        purse = self._purse(decision, now)
        scrolling = self._scrolled_at == now
        for levels in self._ways(decision, scrolling):
            ops, painted = self._pack(picture, current, rest, decision, levels)
            cost = size_of(ops)
            again = not scrolling and self._moves(rest, cost, decision, now)
            bearable = min(purse, decision.burst * _MOVING_SHARE) if again else purse
            if levels is not None and not again:
                bearable *= 1.5
            if cost <= max(_FREE, bearable) or (levels is not None and scrolling):
                self._tokens -= cost if cost > _FREE else 0
                self._packer.sent()
                self._learn(current, painted, exact=levels is None)
                return ops
        self._moving.open(current, rest, decision, now)
        video = self._moving.picture(picture, current, rest, decision, now)
        self._video_painted(current)
        return [video]

    def _ways(self, decision: Decision, scrolling: bool) -> tuple[int | None, ...]:
        """Return in how many levels of green to try exact pixels, best first; None is all of them."""
        if decision.network is Network.NEAR:
            return (None,)
        if not scrolling:
            return (None, _COARSE)
        # new rows come faster than a thin way takes them: waiting for the purse to be empty would make it stutter
        return (_COARSEST,) if decision.network is Network.THIN else (None, _COARSEST)

    def _moves(self, tiles: Tiles, cost: int, decision: Decision, now: float) -> bool:
        """Whether most of `tiles` changed a moment ago; on a slow way that is as long as they take to send."""
        moment = _AGAIN_S + (2.5 * cost * 8 / decision.way.rate if decision.way.rate else 0.0)
        return float((now - self._tiles_at[tiles] < moment).mean()) >= _MOSTLY

    def _video_painted(self, current: Pixels32) -> Tiles:
        """The whole rectangle was painted inexactly, also where nothing had changed; returns its tiles."""
        tiles = no_tiles(current) if self._moving.tiles is None else self._moving.tiles
        self._learn(current, tiles, exact=False)
        return tiles

    def _pack(
        self, picture: Picture, current: Pixels32, tiles: Tiles, decision: Decision, levels: int | None
    ) -> tuple[list[Op], Tiles]:
        """Return what paints `tiles`, and which tiles it paints."""
        painted = bridged(tiles, 1)
        rects = to_rects(painted, self._size.width, self._size.height)
        if len(rects) <= _FEW_RECTS:
            # where the viewer has something inexact, what seems the same is not
            tight = [rect if self._inexact(rect) else tighten(current, self._before, rect) for rect in rects]
            return self._packer.rects(picture, tight, decision.level, levels=levels), painted
        # what is exact is not made coarse for the sake of fewer rectangles
        painted = bridged(tiles, _GAP_TILES) if levels is None else tiles
        return self._packer.tiles(picture, painted, self._size, decision.level, levels=levels), painted

    def _inexact(self, rect: Rect) -> bool:
        return bool(self._lossy[touched(rect)].any())

    def _learn(self, current: Pixels32, tiles: Tiles, *, exact: bool) -> None:
        """The viewer has these tiles now."""
        for rect in to_rects(tiles, current.shape[1], current.shape[0]):
            area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width)
            self._before[area] = current[area]
        if exact:
            self._lossy &= ~tiles
        else:
            self._lossy |= tiles

    # -- at rest ------------------------------------------------------------------------------------------------

    def _rest(self, picture: Picture, decision: Decision, now: float) -> list[Op]:
        if (self.rests_in(decision, now) or 0.0) > 0.0:
            return []
        self._moving.close()
        return self._refine(picture, self._lossy, decision, now) if self._lossy.any() else self._keep()

    def _refine(self, picture: Picture, inexact: Tiles, decision: Decision, now: float) -> list[Op]:
        count = max(1, int(decision.refine_bytes / self._tile_bytes))
        where = np.flatnonzero(inexact)[:count]
        tiles = np.zeros_like(self._lossy)
        tiles.flat[where] = True
        tiles = bridged(tiles, _GAP_TILES)
        # the picture may be newer than what was composed, but then its damage is still to come and repaints it
        ops = self._packer.tiles(picture, tiles, self._size, decision.level)
        self._packer.sent()
        cost = size_of(ops)
        self._tile_bytes += (cost / where.size - self._tile_bytes) / 2
        self._purse(decision, now)
        self._tokens -= cost
        self._learn(pixels32(picture), tiles, exact=True)
        return ops

    def _purse(self, decision: Decision, now: float) -> float:
        earned = (now - self._tokens_at) * decision.refill
        self._tokens = min(float(decision.burst), self._tokens + earned) if earned < float("inf") else decision.burst
        self._tokens_at = now
        return self._tokens

    def _debt(self, decision: Decision, now: float) -> float:
        """Return how long until the purse is no longer empty: exact pixels of a still picture are paid for too."""
        owed = -min(0.0, self._purse(decision, now))
        return owed / decision.refill if decision.refill else 0.0

    # -- a viewer that begins -----------------------------------------------------------------------------------

    def adopt(self, picture: Picture, now: float) -> None:
        """Take a picture as what viewers have: nobody follows yet, so nothing has to be told."""
        np.copyto(self._before, pixels32(picture))
        self._lossy[:] = False
        self._changed_at = now

    def join(self, decision: Decision) -> list[Op]:
        """Return what shows a new viewer what the others have; they lose nothing but what they kept."""
        self._kept.clear()
        self._packer.forget()
        self._keeping_due = True
        self._moving.close()
        picture = self._before.view(np.uint8).reshape(*self._before.shape, 4)
        everything = np.ones_like(self._lossy)
        for levels in (None, _COARSE):
            ops = self._packer.tiles(picture, everything, self._size, decision.level, levels=levels, alone=True)
            if size_of(ops) <= decision.burst * 1.5:
                self._lossy |= everything if levels else ~everything
                return ops
        self._lossy[:] = True
        return [self._moving.glimpse(picture, decision)]
