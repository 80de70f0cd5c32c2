"""Where two pictures differ, and whether one is the other moved: pure functions over pixels, tile by tile.

Pictures are (height, width) arrays of 32-bit pixels whose sides are multiples of `TILE`; tile maps are boolean arrays
of one element a tile, shape (height / TILE, width / TILE).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sandbox.screen import Rect

TILE: Final = 16
_WORDS: Final = TILE // 8
_ONES: Final = np.uint64(0x0101010101010101)

_GAP_TILES: Final = 2
"""Unchanged tiles between two changed ones that are cheaper to send than another rectangle."""
_STEP: Final = 4
"""Every so many columns count when rows are compared for scrolling; a guess is checked against every pixel later."""
_LEAST_MATCHES: Final = 12
_LEAST_SHARE: Final = 0.3

type Pixels32 = NDArray[np.uint32]
type Tiles = NDArray[np.bool_]


def padded(length: int) -> int:
    """Return the next multiple of `TILE`."""
    return -(-length // TILE) * TILE


def no_tiles(pixels: Pixels32) -> Tiles:
    """Return an empty tile map for a picture."""
    return np.zeros((pixels.shape[0] // TILE, pixels.shape[1] // TILE), np.bool_)


def changed_tiles(now: Pixels32, before: Pixels32, rects: Sequence[Rect]) -> Tiles:
    """Return the tiles of `rects` in which any pixel differs. What lies outside the picture is cut off."""
    tiles = no_tiles(now)
    for rect in rects:
        left, right = max(0, rect.x) // TILE, -(-min(rect.x + rect.width, now.shape[1]) // TILE)
        top, bottom = max(0, rect.y) // TILE, -(-min(rect.y + rect.height, now.shape[0]) // TILE)
        if right <= left or bottom <= top:
            continue
        area = slice(top * TILE, bottom * TILE), slice(left * TILE, right * TILE)
        differs = now[area] != before[area]
        tiles[top:bottom, left:right] |= any_in_tiles(differs)
    return tiles


def any_in_tiles(pixels: NDArray[np.bool_]) -> Tiles:
    """Return which tiles hold a true pixel; both sides are multiples of `TILE`."""
    height, width = pixels.shape
    # eight truth values at a time: reducing them one by one takes four times as long
    words = np.ascontiguousarray(pixels).view(np.uint64).reshape(height // TILE, TILE, width // 8)
    rows = np.bitwise_or.reduce(words, axis=1).reshape(height // TILE, width // TILE, _WORDS)
    found: Tiles = np.bitwise_or.reduce(rows, axis=2) != 0
    return found


def tile_rect(tiles: Tiles) -> Rect | None:
    """Return the smallest rectangle of whole tiles that covers the map's true ones, in pixels."""
    rows, columns = np.flatnonzero(tiles.any(axis=1)), np.flatnonzero(tiles.any(axis=0))
    if not rows.size:
        return None
    left, top = int(columns[0]) * TILE, int(rows[0]) * TILE
    return Rect(left, top, (int(columns[-1]) + 1) * TILE - left, (int(rows[-1]) + 1) * TILE - top)


def mark(tiles: Tiles, rect: Rect, value: bool = True) -> None:
    """Set every tile that `rect` touches."""
    tiles[rect.y // TILE : -(-(rect.y + rect.height) // TILE), rect.x // TILE : -(-(rect.x + rect.width) // TILE)] = (
        value
    )


def to_rects(tiles: Tiles, width: int, height: int, *, gap: int = _GAP_TILES) -> list[Rect]:
    """Cover the map's true tiles with few rectangles that do not overlap, cut to `width` and `height` pixels."""
    done: list[list[int]] = []
    growing: dict[tuple[int, int], list[int]] = {}
    for row in range(tiles.shape[0]):
        still: dict[tuple[int, int], list[int]] = {}
        for run in _runs(tiles[row], gap):
            box = growing.get(run)
            if box is None:
                box = [run[0], row, run[1], row]
                done.append(box)
            box[3] = row + 1
            still[run] = box
        growing = still
    return [
        Rect(x * TILE, y * TILE, min(right * TILE, width) - x * TILE, min(bottom * TILE, height) - y * TILE)
        for x, y, right, bottom in done
    ]


def _runs(row: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    columns = np.flatnonzero(row)
    if not columns.size:
        return []
    breaks = np.flatnonzero(np.diff(columns) > gap + 1)
    starts = columns[np.concatenate(([0], breaks + 1))]
    ends = columns[np.concatenate((breaks, [columns.size - 1]))] + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def tighten(now: Pixels32, before: Pixels32, rect: Rect) -> Rect:
    """Return the smallest part of `rect` that holds every pixel that differs; `rect` itself when none does."""
    area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width)
    differs = now[area] != before[area]
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return rect
    left, top = int(columns[0]), int(rows[0])
    return Rect(rect.x + left, rect.y + top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def scrolled_by(now: Pixels32, before: Pixels32, rect: Rect) -> int:
    """Return how far down most of `rect` has moved since `before`, in pixels (negative: up); 0 when it has not.

    Rows are recognised by a sum over some of their pixels; rows that look like others (blank ones) say nothing. The
    answer is a good guess: whoever uses it compares the pixels afterwards.
    """
    area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width, _STEP)
    weights = _weights(-(-rect.width // _STEP))
    new, old = _sums(now[area], weights), _sums(before[area], weights)
    moved = np.flatnonzero(new != old)
    if moved.size < _LEAST_MATCHES:
        return 0
    known = _unique(old)
    votes = Counter(y - known[value] for y, value in zip(moved.tolist(), new[moved].tolist(), strict=True) if value in known)
    if not votes:
        return 0
    (by, count), *_ = votes.most_common(1)
    telling = sum(votes.values())
    return by if by and count >= _LEAST_MATCHES and count >= telling * _LEAST_SHARE else 0


def _weights(count: int) -> NDArray[np.uint32]:
    # odd, so that no bit of a pixel is lost; the same each time, so that sums can be compared
    return (np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1)) | np.uint32(1)


def _sums(pixels: Pixels32, weights: NDArray[np.uint32]) -> NDArray[np.uint32]:
    sums: NDArray[np.uint32] = np.einsum("ij,j->i", pixels, weights)
    return sums


def _unique(sums: NDArray[np.uint32]) -> dict[int, int]:
    values, first, counts = np.unique(sums, return_index=True, return_counts=True)
    once = counts == 1
    return dict(zip(values[once].tolist(), first[once].tolist(), strict=True))
