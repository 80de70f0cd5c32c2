"""The part of the picture that really moves, as video."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sandbox.screen import Picture, Rect, Size
from streaming.canvas import Canvas, Rgb
from streaming.ops import Coding, Flag, Frame, Video
from streaming.protocol import Pictures
from streaming.testing import psnr
from streaming.video import FILM, GLIMPSE, Setting, VideoEncoder, make_encoder
from tests.streaming.pages import document, film

SIZE = Size(640, 368)
WHOLE = Rect(0, 0, 640, 368)
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 64, 200), (17, 150, 90)]


def encoder(kind: Pictures, rect: Rect = WHOLE, setting: Setting = FILM, rate: float | None = None) -> VideoEncoder:
    """An encoder of the usual quality."""
    return make_encoder(kind, rect, setting, 24, rate)


class Shown:
    """A canvas that is shown the pictures of one stream."""

    def __init__(self, rect: Rect = WHOLE) -> None:
        self._rect = rect
        self._canvas = Canvas()
        self._canvas.paint(Frame(1, 0, (), Flag.KEY, SIZE))

    def after(self, data: bytes, *, key: bool, coding: Coding = Coding.H264) -> Rgb:
        """The canvas after one more picture."""
        self._canvas.paint(Frame(2, 0, (Video(0, coding, key, self._rect, data),)))
        return self._canvas.pixels


@pytest.mark.parametrize("kind", [Pictures.H264_444, Pictures.H264])
def test_key_pictures_come_when_asked_for(kind: Pictures) -> None:
    """The first picture is a key picture, later ones only when asked for, and showing can start at either."""
    made = [encoder(kind).encode(film(640, 368, 0), key=True)]
    one = encoder(kind)
    made = [one.encode(film(640, 368, number), key=number in {0, 2}) for number in range(4)]

    assert [key for _, key in made] == [True, False, True, False]
    shown = Shown()
    shown.after(made[2][0], key=True)
    assert psnr(shown.after(made[3][0], key=False), film(640, 368, 3)) > 25


@pytest.mark.parametrize("setting", [FILM, GLIMPSE])
@pytest.mark.parametrize("kind", list(Pictures))
def test_colours_are_right(kind: Pictures, setting: Setting) -> None:
    """Flat colours come back within three levels."""
    picture = np.full((368, 640, 4), 255, np.uint8)
    for number, colour in enumerate(COLOURS):
        picture[:, number * 80 : number * 80 + 80, :3] = colour[::-1]
    one = encoder(kind, setting=setting)
    shown = Shown().after(one.encode(picture, key=True)[0], key=True, coding=one.coding)

    for number, colour in enumerate(COLOURS):
        got = shown[180, number * 80 + 40].astype(int)
        assert np.abs(got - colour).max() <= 3, (colour, got)


@pytest.mark.parametrize("kind", list(Pictures))
def test_only_its_rectangle_is_coded(kind: Pictures) -> None:
    """The picture is cut to the rectangle, wherever it lies; what lies around stays as it was shown."""
    rect = Rect(48, 32, 130, 98)
    picture, one = document(640, 368, 1), encoder(kind, rect)
    shown = Shown(rect).after(one.encode(picture, key=True)[0], key=True, coding=one.coding)
    inside = slice(32, 130), slice(48, 178)

    assert psnr(shown[inside], picture[inside]) > 22
    shown[inside] = 0
    assert not shown.any()


@pytest.mark.parametrize("kind", list(Pictures))
@pytest.mark.parametrize(("width", "height"), [(16, 16), (2, 16), (16, 2), (2, 2), (18, 250)])
def test_narrow_rectangles_work(kind: Pictures, width: int, height: int) -> None:
    """The edge of a picture can leave two pixels of a tile."""
    picture = np.full((368, 640, 4), (200, 100, 50, 0), np.uint8)
    rect = Rect(640 - width, 368 - height, width, height)
    one, shown = encoder(kind, rect), Shown(rect)
    for number in range(3):
        data, key = one.encode(picture, key=number == 0)
        got = shown.after(data, key=key, coding=one.coding)[-height:, -width:]
        assert np.abs(got.astype(int) - (50, 100, 200)).max() <= 4


def test_a_film_is_sharp_enough() -> None:
    """Waves of colour at the usual quality, every picture of them."""
    one, shown = encoder(Pictures.H264_444), Shown()
    for number in range(8):
        data, key = one.encode(film(640, 368, number), key=number == 0)
        assert psnr(shown.after(data, key=key), film(640, 368, number)) > 33


def test_a_cap_bounds_the_rate_without_a_key_picture() -> None:
    """From the next pictures on the film takes no more than it may, and the bound can be lifted again."""

    def noisy(number: int) -> Picture:
        picture = document(640, 368, number % 7)
        return np.roll(picture, number * 5, axis=0)

    numbers, one = itertools.count(), encoder(Pictures.H264_444)

    def run(pictures: int) -> float:
        made = [one.encode(noisy(number), key=number == 0) for number in itertools.islice(numbers, pictures)]
        assert sum(key for _, key in made) <= 1
        return sum(len(data) for data, _ in made[-10:]) * 8 * 60 / 10

    free = run(20)
    one.cap(2e6)
    capped = run(40)
    one.cap(None)
    assert capped < 2e6 * 1.5
    assert free > 3 * capped
    assert run(30) > 2 * capped


def test_jpeg_is_always_whole() -> None:
    """Each picture stands on its own and says so."""
    one = encoder(Pictures.JPEG)
    one.cap(1e6)
    for number in range(2):
        data, key = one.encode(film(640, 368, number), key=False)
        assert key
        assert data.startswith(b"\xff\xd8")
