"""Where two pictures differ, and whether one is the other moved."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sandbox.screen import Rect
from streaming.changes import (
    TILE,
    Pixels32,
    Tiles,
    any_in_tiles,
    bridged,
    changed_tiles,
    mark,
    no_tiles,
    padded,
    scrolled,
    tighten,
    tile_rect,
    tiles_with_bits,
    to_rects,
)
from streaming.lossless import pixels32
from tests.streaming.pages import document

_MAPS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 12)))
_WHOLE = Rect(0, 0, 320, 240)


def covered(rects: list[Rect], width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int_]]:
    """How often each pixel is covered."""
    times = np.zeros((height, width), int)
    for rect in rects:
        assert rect.width > 0
        assert rect.height > 0
        times[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width] += 1
    return times


@given(_MAPS, st.integers(0, 15), st.integers(0, 15))
def test_rects_cover_the_true_tiles_once_and_no_others(tiles: Tiles, right: int, bottom: int) -> None:
    """Also where the picture ends within a tile."""
    width, height = tiles.shape[1] * TILE - right, tiles.shape[0] * TILE - bottom
    wanted = tiles.repeat(TILE, 0).repeat(TILE, 1)[:height, :width]

    assert np.array_equal(covered(to_rects(tiles, width, height), width, height), wanted)


@given(_MAPS, st.integers(0, 3))
def test_small_gaps_are_bridged(tiles: Tiles, gap: int) -> None:
    """Each row is filled where at most `gap` false tiles lie between two true ones, and nowhere else."""
    for row, got in zip(tiles, bridged(tiles, gap), strict=True):
        expected, at = row.copy(), np.flatnonzero(row)
        for left, right in pairwise(at):
            if right - left - 1 <= gap:
                expected[left:right] = True
        assert got.tolist() == expected.tolist()


@given(arrays(np.bool_, (48, 64)))
def test_tiles_of_pixels(pixels: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    """A tile is true where any of its pixels is, whichever way it is counted."""
    expected = pixels.reshape(3, 16, 4, 16).any(axis=(1, 3))

    assert np.array_equal(any_in_tiles(pixels), expected)
    assert np.array_equal(tiles_with_bits(pixels.astype(np.uint32) << np.uint32(9), 0x200), expected)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 63), st.integers(0, 47)), max_size=4),
    st.lists(st.tuples(*[st.integers(-20, 80)] * 2, *[st.integers(1, 90)] * 2), max_size=3),
)
def test_changes_are_found_where_they_are_looked_for(dots: list[tuple[int, int]], boxes: list[tuple[int, ...]]) -> None:
    """Exactly the tiles of the damage that differ; what reaches over the edges is cut off."""
    before = np.zeros((48, 64), np.uint32)
    now = before.copy()
    for x, y in dots:
        now[y, x] = 7
    rects = [Rect(*box) for box in boxes]
    looked = no_tiles(now)
    for rect in rects:
        left, top = max(0, rect.x), max(0, rect.y)
        right, bottom = min(64, rect.x + rect.width), min(48, rect.y + rect.height)
        if right > left and bottom > top:
            mark(looked, Rect(left, top, right - left, bottom - top))

    assert np.array_equal(changed_tiles(now, before, rects), looked & any_in_tiles(now != before))


@given(_MAPS)
def test_the_smallest_rectangle(tiles: Tiles) -> None:
    """All true tiles are inside, and each of its sides touches one."""
    box = tile_rect(tiles)
    if box is None:
        assert not tiles.any()
        return
    inside = np.zeros_like(tiles)
    mark(inside, box)
    assert not (tiles & ~inside).any()
    part = tiles[box.y // TILE : (box.y + box.height) // TILE, box.x // TILE : (box.x + box.width) // TILE]
    assert all(side.any() for side in (part[0], part[-1], part[:, 0], part[:, -1]))


def test_tightening() -> None:
    """To the pixels that differ; nothing is cut where none does."""
    before = np.zeros((32, 32), np.uint32)
    now = before.copy()
    now[5, 7] = now[9, 20] = 1
    assert tighten(now, before, Rect(0, 0, 32, 32)) == Rect(7, 5, 14, 5)
    assert tighten(now, before, Rect(16, 16, 16, 16)) == Rect(16, 16, 16, 16)


def test_padding() -> None:
    """Sides become whole tiles."""
    assert [padded(length) for length in (1, 16, 17, 246, 720)] == [16, 16, 32, 256, 720]


def page(top: int, seed: int = 1) -> Pixels32:
    """A part of a long page of text."""
    return pixels32(np.ascontiguousarray(document(320, 1200, seed)[top : top + 240]))


@pytest.mark.parametrize("by", [-170, -90, -16, -1, 1, 2, 15, 64, 170])
def test_scrolling_is_found(by: int) -> None:
    """Up and down, however far as long as enough rows remain; what is named as moved did move."""
    now, before = page(400 + by), page(400)
    found = scrolled(now, before, _WHOLE)

    assert found is not None
    target, how_far = found
    assert how_far == -by
    assert target.height >= 240 - abs(by) - 20
    rows = slice(target.y, target.y + target.height)
    came_from = slice(target.y - how_far, target.y + target.height - how_far)
    assert np.array_equal(now[rows], before[came_from])


def test_scrolling_under_a_head_and_beside_a_bar_is_found() -> None:
    """Rows of a fixed head stay out of it; a scroll bar's few pixels do not hide it when they are left out."""
    now, before = page(432), page(400)
    for picture in (now, before):
        picture[:40] = 0x336699
    found = scrolled(now, before, _WHOLE)

    assert found is not None
    assert found[1] == -32
    assert found[0].y >= 40


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (page(0, 1), page(0, 2)),
        (page(0), page(0)),
        (np.zeros((240, 320), np.uint32), page(0)),
        (page(0), np.zeros((240, 320), np.uint32)),
        (np.full((240, 320), 7, np.uint32), np.zeros((240, 320), np.uint32)),
        (page(0)[:, ::-1], page(0)),
    ],
    ids=["another page", "the same", "to black", "from black", "blank", "mirrored"],
)
def test_what_is_no_scrolling_is_not_taken_for_it(now: Pixels32, before: Pixels32) -> None:
    """Other pages and blank ones have not moved."""
    assert scrolled(now, before, _WHOLE) is None


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 20))
def test_a_guess_stays_inside(seed: int, words: int, shift: int) -> None:
    """Whatever the rows are, source and target of a guess lie within the rectangle that was asked about."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, words, 96).astype(np.uint32)
    before = np.repeat(rows[:, None], 64, axis=1)
    now = np.roll(before, shift, axis=0)
    rect = Rect(16, 16, 32, 64)
    found = scrolled(now, before, rect)
    if found is not None:
        target, by = found
        assert (target.x, target.width) == (16, 32)
        for top in (target.y, target.y - by):
            assert rect.y <= top
            assert top + target.height <= rect.y + rect.height
