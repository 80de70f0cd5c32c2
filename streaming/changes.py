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


def tiles_with_bits(pixels: Pixels32, bits: int) -> Tiles:
    """Return the tiles in which any of `bits` is set in any pixel."""
    height, width = pixels.shape
    # rows of tiles first: what remains is small enough for the caches
    rows = np.bitwise_or.reduce(pixels.reshape(height // TILE, TILE, width), axis=1)
    columns = np.bitwise_or.reduce(rows.reshape(height // TILE, width // TILE, TILE), axis=2)
    found: Tiles = (columns & np.uint32(bits)) != 0
    return found


def tile_rect(tiles: Tiles) -> Rect | None:
    """Return the smallest rectangle of whole tiles that covers the map's true ones, in pixels."""
    rows, columns = np.flatnonzero(tiles.any(axis=1)), np.flatnonzero(tiles.any(axis=0))
    if not rows.size:
        return None
    left, top = int(columns[0]) * TILE, int(rows[0]) * TILE
    return Rect(left, top, (int(columns[-1]) + 1) * TILE - left, (int(rows[-1]) + 1) * TILE - top)


def touched(rect: Rect) -> tuple[slice, slice]:
    """Return where in a tile map the tiles are that `rect` touches."""
    return (
        slice(rect.y // TILE, -(-(rect.y + rect.height) // TILE)),
        slice(rect.x // TILE, -(-(rect.x + rect.width) // TILE)),
    )


def mark(tiles: Tiles, rect: Rect) -> None:
    """Set every tile that `rect` touches."""
    tiles[touched(rect)] = True


def to_rects(tiles: Tiles, width: int, height: int) -> list[Rect]:
    """Cover the map's true tiles, and no others, with few rectangles that do not overlap, cut to the size."""
    done: list[list[int]] = []
    growing: dict[tuple[int, int], list[int]] = {}
    last_row = -1
    still: dict[tuple[int, int], list[int]] = {}
    for row, start, end in _runs(tiles):
        if row != last_row:
            growing = still if row == last_row + 1 else {}
            still, last_row = {}, row
        box = growing.get((start, end))
        if box is None:
            box = [start, row, end, row]
            done.append(box)
        box[3] = row + 1
        still[start, end] = box
    return [
        Rect(x * TILE, y * TILE, min(right * TILE, width) - x * TILE, min(bottom * TILE, height) - y * TILE)
        for x, y, right, bottom in done
    ]


def bridged(tiles: Tiles, gap: int) -> Tiles:
    """Return the map with up to `gap` false tiles between two true ones of a row true as well.

    Painting an unchanged tile can be cheaper than another rectangle; whoever paints it must know that it did.
    """
    whole = tiles.copy()
    for hole in range(1, min(gap, tiles.shape[1] - 2) + 1):
        both = tiles[:, : -1 - hole] & tiles[:, 1 + hole :]
        for offset in range(1, hole + 1):
            whole[:, offset : offset + both.shape[1]] |= both
    return whole


def _runs(tiles: Tiles) -> list[tuple[int, int, int]]:
    """Return row, first column and the column after the last of each run, row by row."""
    closed = np.zeros((tiles.shape[0], tiles.shape[1] + 2), np.int8)
    closed[:, 1:-1] = tiles
    edges = np.diff(closed, axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    return list(zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True))


def tighten(now: Pixels32, before: Pixels32, rect: Rect) -> Rect:
    """Return the smallest part of `rect` that holds every pixel that differs; `rect` itself when none does."""
    area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width)
    differs = now[area] != before[area]
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return rect
    left, top = int(columns[0]), int(rows[0])
    return Rect(rect.x + left, rect.y + top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def scrolled(now: Pixels32, before: Pixels32, rect: Rect) -> tuple[Rect, int] | None:
    """Return the part of `rect`, as it is now, whose rows stood elsewhere in `before`, and how much further up.

    (A negative number: they stood further down.) None when most has not moved. Rows are recognised by a sum over some
    of their pixels; rows that look like others (blank ones) say nothing. The answer is a good guess: whoever uses it
    compares the pixels afterwards.
    """
    area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width, _STEP)
    weights = _weights(-(-rect.width // _STEP))
    new, old = _sums(now[area], weights), _sums(before[area], weights)
    moved = np.flatnonzero(new != old)
    if moved.size < _LEAST_MATCHES:
        return None
    known = _unique(old)
    pairs = [
        (y, y - known[value]) for y, value in zip(moved.tolist(), new[moved].tolist(), strict=True) if value in known
    ]
    if not pairs:
        return None
    (by, count), *_ = Counter(by for _, by in pairs).most_common(1)
    if not by or count < _LEAST_MATCHES or count < len(pairs) * _LEAST_SHARE:
        return None
    rows = [y for y, how_far in pairs if how_far == by]
    first, last = rows[0], rows[-1]
    while first - 1 >= max(0, by) and new[first - 1] == old[first - 1 - by]:
        first -= 1
    while last + 1 < min(rect.height, rect.height + by) and new[last + 1] == old[last + 1 - by]:
        last += 1
    return Rect(rect.x, rect.y + first, rect.width, last + 1 - first), by


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
