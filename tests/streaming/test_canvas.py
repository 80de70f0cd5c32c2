"""What a viewer shows after a frame."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from sandbox.screen import Rect, Size
from sandbox.words import BadRequest
from streaming.canvas import Canvas
from streaming.ops import Coding, Copy, Fill, Flag, Frame, Keep, Op, Pixels, Show, Video

SIZE = Size(40, 30)


def begun(*ops: Op) -> Canvas:
    """A canvas after a key frame."""
    canvas = Canvas()
    canvas.paint(Frame(1, 0, ops, Flag.KEY, SIZE))
    return canvas


def more(canvas: Canvas, *ops: Op) -> None:
    """Paint one more frame."""
    canvas.paint(Frame(2, 0, ops))


def deflated(data: bytes, history: bytes = b"") -> bytes:
    """Raw deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=history) if history else zlib.compressobj(9, 8, -15)
    return packer.compress(data) + packer.flush()


def test_a_key_frame_forgets_everything() -> None:
    """A black canvas, nothing kept, no decoders, no history."""
    canvas = begun(Fill(Rect(0, 0, 40, 30), (1, 2, 3)), Keep(0))
    canvas.paint(Frame(3, 0, (), Flag.KEY, Size(20, 10)))

    assert canvas.pixels.shape == (10, 20, 3)
    assert not canvas.pixels.any()
    with pytest.raises(BadRequest):
        more(canvas, Show(0, (Rect(0, 0, 1, 1),)))


def test_copies_may_overlap() -> None:
    """A rectangle moves as memmove moves, up and down and sideways."""
    for dx, dy in ((0, 3), (0, -3), (2, 0), (-2, 0), (1, 1)):
        canvas = begun()
        canvas.pixels[:] = np.random.default_rng(1).integers(0, 256, canvas.pixels.shape, np.uint8)
        expected = canvas.pixels.copy()
        expected[5 + dy : 25 + dy, 5 + dx : 35 + dx] = canvas.pixels[5:25, 5:35]
        more(canvas, Copy(Rect(5, 5, 30, 20), dx, dy))
        assert np.array_equal(canvas.pixels, expected)


def test_what_was_kept_is_the_picture_at_that_point() -> None:
    """Operations after KEEP do not change what was kept; a slot may be used again."""
    canvas = begun(Fill(Rect(0, 0, 40, 30), (1, 1, 1)), Keep(3), Fill(Rect(0, 0, 40, 30), (2, 2, 2)))
    more(canvas, Show(3, (Rect(0, 0, 10, 10), Rect(20, 20, 5, 5))))
    assert canvas.pixels[5, 5, 0] == canvas.pixels[22, 22, 0] == 1
    assert canvas.pixels[15, 15, 0] == 2
    more(canvas, Keep(3), Fill(Rect(0, 0, 40, 30), (9, 9, 9)), Show(3, (Rect(0, 0, 40, 30),)))
    assert canvas.pixels[5, 5, 0] == 1
    assert canvas.pixels[15, 15, 0] == 2


def test_pixels_are_planes() -> None:
    """Greens first, then how far blue and red are from them, wrapping round."""
    greens = bytes([10, 20, 30, 40, 200, 250])
    tint = bytes([5, 250]) + bytes([255, 1])
    ops = Pixels((Rect(1, 1, 4, 1), Rect(7, 7, 1, 2)), greens + tint, ((0, Rect(2, 1, 2, 1)),), stored=True)
    canvas = begun(ops)

    assert canvas.pixels[1, 1:5].tolist() == [[10, 10, 10], [19, 20, 25], [31, 30, 24], [40, 40, 40]]
    assert canvas.pixels[7:9, 7, 1].tolist() == [200, 250]


def test_pixels_may_go_on() -> None:
    """Greens of earlier frames can be referred to, but not those of the key frame."""
    noise = np.random.default_rng(2).integers(0, 256, 1200, np.uint8).tobytes()
    whole = (Rect(0, 0, 40, 30),)
    canvas = begun(Pixels(whole, deflated(bytes(1200))))
    more(canvas, Pixels(whole, noise, stored=True))
    short = deflated(noise, noise)
    assert len(short) < 50
    more(canvas, Fill(whole[0], (0, 0, 0)), Pixels(whole, short, goes_on=True))
    assert canvas.pixels[..., 1].tobytes() == noise

    with pytest.raises(BadRequest):
        begun(Pixels(whole, noise, stored=True), Pixels(whole, short, goes_on=True))


@pytest.mark.parametrize(
    "op",
    [
        Fill(Rect(30, 0, 11, 5), (1, 2, 3)), Copy(Rect(0, 0, 40, 30), 1, 0), Copy(Rect(0, 0, 5, 5), -1, 0),
        Show(5, (Rect(0, 0, 1, 1),)), Pixels((Rect(0, 0, 4, 4),), b"short", stored=True),
        Pixels((Rect(0, 0, 4, 4),), b"\xff\xff\xff"), Pixels((Rect(39, 29, 2, 2),), b"1234", stored=True),
        Video(0, Coding.H264, False, Rect(0, 0, 4, 4), b"x"), Video(0, Coding.H264, True, Rect(0, 0, 4, 4), b"x"),
        Video(0, Coding.JPEG, True, Rect(0, 0, 4, 4), b"x"),
    ],
)  # fmt: skip
def test_what_cannot_be_painted_is_refused(op: Op) -> None:
    """Whatever lies outside, refers to nothing, or cannot be unpacked."""
    canvas = begun()
    with pytest.raises(BadRequest):
        more(canvas, op)
