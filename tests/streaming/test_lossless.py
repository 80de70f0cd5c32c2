"""Exact pixels, small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.screen import Picture, Rect, Size
from streaming.canvas import Canvas
from streaming.changes import padded
from streaming.composer import blank
from streaming.lossless import QUICK, SMALL, Packer, size_of
from streaming.ops import Fill, Flag, Frame, Op, Pixels
from tests.streaming.pages import document, noise, rgb

SIZE = Size(198, 122)
TILES = (padded(122) // 16, padded(198) // 16)


def padded_page(page: Picture) -> Picture:
    """A page with sides of whole tiles."""
    picture = blank(SIZE)
    picture[: SIZE.height, : SIZE.width] = page[: SIZE.height, : SIZE.width]
    return picture


def shown(canvas: Canvas | None, ops: list[Op]) -> Canvas:
    """The canvas after `ops`; a new one begins with a key frame."""
    if canvas is None:
        canvas = Canvas()
        canvas.paint(Frame(1, 0, (), Flag.KEY, SIZE))
    canvas.paint(Frame(2, 0, tuple(ops)))
    return canvas


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([QUICK, SMALL]), st.floats(0, 1), st.booleans())
def test_tiles_come_out_exact(seed: int, level: int, share: float, colourful: bool) -> None:
    """Whichever tiles are packed, one after the other with a memory: they are exact, and the others untouched."""
    rng, packer, canvas, expected = np.random.default_rng(seed), Packer(), None, np.zeros((122, 198, 3), np.uint8)
    for turn in range(4):
        picture = padded_page(noise(198, 122, turn) if colourful and turn % 2 else document(198, 122, seed + turn))
        tiles = rng.random(TILES) < share
        canvas = shown(canvas, packer.tiles(picture, tiles, SIZE, level))
        packer.sent()
        mask = tiles.repeat(16, 0).repeat(16, 1)[:122, :198]
        expected[mask] = rgb(picture, SIZE)[mask]
        assert np.array_equal(canvas.pixels, expected)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 190), st.integers(0, 110), st.integers(1, 60), st.integers(1, 60)), max_size=5)
)
def test_rectangles_come_out_exact(boxes: list[tuple[int, int, int, int]]) -> None:
    """Rectangles anywhere, of text, colour and one colour."""
    page = document(198, 122, 3)
    page[:60, :100] = (200, 100, 50, 0)
    page[80:, 100:] = noise(98, 42, 1)
    picture, packer = padded_page(page), Packer()
    rects = [Rect(x, y, min(width, 198 - x), min(height, 122 - y)) for x, y, width, height in boxes]
    expected, canvas = np.zeros((122, 198, 3), np.uint8), None
    for rect in rects:
        canvas = shown(canvas, packer.rects(picture, [rect], SMALL))
        packer.sent()
        area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width)
        expected[area] = rgb(picture, SIZE)[area]
        assert np.array_equal(canvas.pixels, expected)


def test_what_was_not_sent_is_not_referred_to() -> None:
    """What was packed and then thought too dear leaves no trace in what follows."""
    packer, canvas = Packer(), shown(None, [])
    everything = np.ones(TILES, np.bool_)
    for turn in range(6):
        picture = padded_page(document(198, 122, turn % 3))
        packer.tiles(padded_page(document(198, 122, 50 + turn)), everything, SIZE, SMALL)
        shown(canvas, packer.tiles(picture, everything, SIZE, SMALL))
        packer.sent()
        assert np.array_equal(canvas.pixels, rgb(picture, SIZE))


def test_repeated_text_costs_less_the_second_time() -> None:
    """Text that was sent before is referred to; a viewer that begins gets it on its own."""
    packer, everything = Packer(), np.ones(TILES, np.bool_)
    picture = padded_page(document(198, 122, 1))
    first = packer.tiles(picture, everything, SIZE, SMALL)
    packer.sent()
    second, alone = (packer.tiles(picture, everything, SIZE, SMALL, alone=alone) for alone in (False, True))

    assert size_of(second) < size_of(first) / 3
    assert isinstance(alone[0], Pixels)
    assert not alone[0].goes_on
    packer.forget()
    assert size_of(packer.tiles(picture, everything, SIZE, SMALL)) == size_of(first)


def test_one_colour_is_a_fill() -> None:
    """One operation without any pixels, in the right order of colours."""
    picture = padded_page(np.full((122, 198, 4), (1, 2, 3, 0), np.uint8))

    assert Packer().rects(picture, [Rect(5, 5, 30, 30)], SMALL) == [Fill(Rect(5, 5, 30, 30), (3, 2, 1))]


def test_grey_text_costs_one_plane() -> None:
    """No colour, no coloured parts; one coloured word costs little more."""
    page = document(198, 122, 2)
    page[..., :3] = page[..., 1:2]
    everything = np.ones(TILES, np.bool_)
    grey = Packer().tiles(padded_page(page), everything, SIZE, SMALL)
    page[20:30, 20:60, 0] //= 2
    coloured = Packer().tiles(padded_page(page), everything, SIZE, SMALL)

    assert isinstance(grey[0], Pixels)
    assert grey[0].tints == ()
    assert size_of(coloured) < size_of(grey) + 400


def test_noise_is_stored() -> None:
    """What deflate would only make longer is sent as it is."""
    (op,) = Packer().rects(padded_page(noise(198, 122, 1)), [Rect(0, 0, 3, 2)], SMALL)

    assert isinstance(op, Pixels)
    assert op.stored
    assert len(op.data) == 18


@pytest.mark.parametrize("levels", [2, 6])
def test_few_levels_cost_less_and_stay_near(levels: int) -> None:
    """A coarse page of text is smaller, its greens are at most half a step away, and no colour wraps round."""
    page = document(198, 122, 4)
    page[page[..., 1] == 255] = (255, 240, 200, 0)
    picture, everything = padded_page(page), np.ones(TILES, np.bool_)
    exact = Packer().tiles(picture, everything, SIZE, SMALL)
    coarse = Packer().tiles(picture, everything, SIZE, SMALL, levels=levels)
    error = np.abs(shown(None, coarse).pixels.astype(int) - rgb(picture, SIZE))

    assert size_of(coarse) <= size_of(exact)
    assert error.max() <= 255 / (levels - 1) / 2 + 1


def test_nothing_is_packed_to_nothing() -> None:
    """No tiles, no operation."""
    assert Packer().tiles(blank(SIZE), np.zeros(TILES, np.bool_), SIZE, SMALL) == []
