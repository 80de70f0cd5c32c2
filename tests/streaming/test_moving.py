"""The rectangle that moves."""

from __future__ import annotations

import numpy as np
import pytest

from sandbox.screen import Rect, Size
from streaming.changes import Tiles
from streaming.composer import blank
from streaming.control import Decision
from streaming.lossless import pixels32
from streaming.moving import Moving
from streaming.ops import Video
from streaming.protocol import Pictures
from tests.streaming.pages import FAR, decision, film

SIZE = Size(322, 246)
DECISION: Decision = decision(FAR)


def tiles(left: int, top: int, right: int, bottom: int) -> Tiles:
    """A map with one rectangle of true tiles."""
    found = np.zeros((16, 21), np.bool_)
    found[top:bottom, left:right] = True
    return found


class Film:
    """A moving rectangle and a picture in which it moves."""

    def __init__(self) -> None:
        self.moving = Moving(Pictures.H264_444, SIZE.width, SIZE.height)
        self.now = 1.0
        self.count = 0

    def show(self, changed: Tiles, *, opens: bool = False) -> Video:
        """One more picture."""
        picture = blank(SIZE)
        picture[:246, :322] = film(322, 246, self.count)
        self.count += 1
        self.now += 0.03
        if opens:
            self.moving.open(pixels32(picture), changed, DECISION, self.now)
        return self.moving.picture(picture, pixels32(picture), changed, DECISION, self.now)


def test_a_glimpse_becomes_a_film_of_what_moves() -> None:
    """The whole page, a few pictures long; then what went on changing, from a key picture of another stream on."""
    film = Film()
    first = film.show(tiles(0, 0, 21, 16), opens=True)
    assert (first.rect, first.key) == (Rect(0, 0, 322, 246), True)
    assert not film.moving.film
    later = [film.show(tiles(4, 4, 10, 8)) for _ in range(5)]

    assert [video.key for video in later] == [False, False, True, False, False]
    assert later[-1].rect == Rect(64, 64, 96, 64)
    assert later[-1].stream != first.stream
    assert film.moving.film


def test_few_changes_are_no_motion() -> None:
    """A caret in a large rectangle is not taken; a good part of it is, without what lies outside."""
    film = Film()
    assert film.moving.takes(tiles(0, 0, 5, 5)) is None
    film.show(tiles(0, 0, 10, 10), opens=True)

    assert film.moving.takes(tiles(0, 0, 2, 2)) is None
    mine = film.moving.takes(tiles(5, 5, 15, 15))
    assert mine is not None
    assert np.array_equal(mine, tiles(5, 5, 10, 10))


def test_it_grows_with_what_moves_and_shrinks_again() -> None:
    """What moves outside enlarges it; when only a small part has moved for a while it becomes that part."""
    film = Film()
    film.show(tiles(0, 0, 4, 4), opens=True)
    assert film.show(tiles(8, 8, 12, 12), opens=True).rect == Rect(0, 0, 192, 192)
    assert film.show(tiles(3, 3, 6, 6), opens=True).key is False
    for _ in range(60):
        last = film.show(tiles(8, 8, 12, 12))
    assert last.rect == Rect(128, 128, 64, 64)


@pytest.mark.parametrize("kind", list(Pictures))
def test_streams_come_round(kind: Pictures) -> None:
    """There are four of them; a glimpse for a new viewer takes one as well and is whole."""
    moving = Moving(kind, SIZE.width, SIZE.height)
    picture = blank(SIZE)
    videos = [moving.glimpse(picture, DECISION) for _ in range(5)]

    assert len({video.stream for video in videos}) == 4
    assert all(video.key and video.rect == Rect(0, 0, 322, 246) for video in videos)


def test_rest_ends_it() -> None:
    """Afterwards nothing is taken and the next picture begins anew."""
    film = Film()
    film.show(tiles(0, 0, 10, 10), opens=True)
    film.moving.close()

    assert film.moving.takes(tiles(0, 0, 10, 10)) is None
    assert not film.moving.film
    assert film.show(tiles(2, 2, 4, 4), opens=True).rect == Rect(32, 32, 32, 32)
