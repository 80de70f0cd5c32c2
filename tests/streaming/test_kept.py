"""Pictures that the viewer has kept."""

from __future__ import annotations

import numpy as np

from sandbox.screen import Rect, Size
from streaming.changes import Pixels32, Tiles
from streaming.composer import blank
from streaming.kept import COUNT, KeptPictures
from streaming.lossless import pixels32
from streaming.ops import Keep
from tests.streaming.pages import document

SIZE = Size(322, 246)
EXACT: Tiles = np.zeros((16, 21), np.bool_)
ALL: Tiles = np.ones((16, 21), np.bool_)


def page(seed: int) -> Pixels32:
    """A page of text."""
    picture = blank(SIZE)
    picture[:246, :322] = document(322, 246, seed)
    return pixels32(picture)


def test_each_picture_gets_a_slot_of_its_own() -> None:
    """Until there is no more room: then the one longest unused makes it."""
    kept = KeptPictures(SIZE)
    assert [kept.keep(page(seed), EXACT) for seed in range(COUNT)] == [Keep(slot) for slot in range(COUNT)]
    assert kept.find(page(0), ALL) is not None
    assert kept.keep(page(50), EXACT) == Keep(1)
    assert kept.find(page(1), ALL) is None
    assert kept.find(page(0), ALL) is not None


def test_what_looks_the_same_is_not_kept_twice() -> None:
    """A caret more or less is no other picture; a better one replaces it."""
    kept = KeptPictures(SIZE)
    assert kept.keep(page(1), ALL) == Keep(0)
    again = page(1)
    again[50:60, 50] = 0
    assert kept.keep(again, ALL) is None
    assert kept.keep(again, EXACT) == Keep(0)
    assert kept.keep(page(1), EXACT) is None


def test_only_equal_tiles_are_shown() -> None:
    """What differs from the kept picture, and what is not wanted, is not in it; it says what is inexact."""
    kept, lossy, now = KeptPictures(SIZE), EXACT.copy(), page(1)
    lossy[3, 3] = lossy[15, 20] = True
    kept.keep(page(1), lossy)
    now[100, 100] ^= 1
    wanted = ALL.copy()
    wanted[:, :2] = False
    found = kept.find(now, wanted)

    assert found is not None
    show, same, inexact = found
    expected = wanted.copy()
    expected[6, 6] = False
    assert np.array_equal(same, expected)
    assert np.array_equal(inexact, lossy)
    assert sum(rect.width * rect.height for rect in show.rects) == (322 - 32) * 246 - 256
    assert Rect(0, 0, 1, 1) not in show.rects


def test_little_is_not_worth_showing() -> None:
    """A picture that explains less than a third of what changed is left alone."""
    kept, now = KeptPictures(SIZE), page(1)
    kept.keep(page(1), EXACT)
    now[64:] = page(2)[64:]
    wanted = ALL.copy()
    wanted[:3] = False

    assert kept.find(now, wanted) is None
    assert kept.find(now, EXACT) is None


def test_a_slot_is_not_kept_and_shown_at_once() -> None:
    """What is about to be painted from a slot is not replaced before."""
    kept = KeptPictures(SIZE)
    kept.keep(page(1), ALL)
    assert kept.keep(page(1), EXACT, shown=0) is None
    found = kept.find(page(1), ALL)
    assert found is not None
    assert found[2].all()


def test_forgetting() -> None:
    """A viewer that begins has nothing."""
    kept = KeptPictures(SIZE)
    kept.keep(page(1), EXACT)
    kept.clear()

    assert kept.find(page(1), ALL) is None
    assert kept.keep(page(2), EXACT) == Keep(0)
