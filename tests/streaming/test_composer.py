"""From pictures to drawing commands: exact whatever happens, and cheap where it can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.screen import Rect, Size
from streaming.control import Scene
from streaming.ops import Copy, Fill, Keep, Pixels, Show, Video
from streaming.pacing import Way
from streaming.protocol import Pictures
from tests.streaming.pages import FAR, NEAR, THIN, UNKNOWN, WAYS, Followers, document, film, noise, rgb

SMALL = Size(322, 246)
LARGE = Size(1280, 720)

_X, _Y = st.integers(0, 300), st.integers(0, 230)
_STEPS = st.one_of(
    st.tuples(st.just("noise"), _X, _Y, st.integers(1, 200), st.integers(1, 200)),
    st.tuples(st.just("fill"), _X, _Y, st.integers(1, 330), st.integers(1, 250)),
    st.tuples(st.just("late"), _X, _Y, st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.just("caret"), _X, _Y),
    st.tuples(st.just("page"), st.integers(0, 3)),
    st.tuples(st.just("scroll"), st.sampled_from([-200, -61, -16, -3, 1, 16, 40, 120])),
    st.tuples(st.just("film"), _X, _Y, st.integers(1, 7)),
    st.tuples(st.just("join")),
    st.tuples(st.just("rest")),
    st.tuples(st.just("wait"), st.sampled_from([0.03, 0.07, 0.13, 0.2])),
    st.tuples(st.just("way"), st.sampled_from(WAYS)),
)


class Browser:
    """Does what pages do, in front of followers."""

    def __init__(self, followers: Followers) -> None:
        self.at = followers
        self.pages = [document(322, 900, seed) for seed in range(4)]
        self.page, self.top = 0, 300
        self.unsaid: list[Rect] = []
        self.count = 0

    def do(self, name: str, *values: Any) -> None:
        """Do one of `_STEPS`."""
        self.count += 1
        getattr(self, f"do_{name}")(*values)

    def _step(self, after: float = 1 / 60) -> None:
        self.at.damage += self.unsaid
        self.unsaid = []
        self.at.step(after)

    def do_noise(self, x: int, y: int, width: int, height: int) -> None:
        """Something that cannot be packed."""
        self.at.paint(noise(width, height, self.count), x, y)
        self._step()

    def do_fill(self, x: int, y: int, width: int, height: int) -> None:
        """A solid block."""
        self.at.paint(np.full((height, width, 4), (self.count % 256, 40, 200, 0), np.uint8), x, y)
        self._step()

    def do_late(self, x: int, y: int, width: int, height: int) -> None:
        """Paint that is in the picture before its damage is known."""
        self.unsaid.append(self.at.paint(noise(width, height, self.count), x, y, told=False))
        self.at.step()

    def do_caret(self, x: int, y: int) -> None:
        """Two pixels wide."""
        self.at.paint(np.full((14, 2, 4), (self.count * 90 % 256,) * 3 + (0,), np.uint8), x, y)
        self._step()

    def _show(self) -> None:
        self.at.paint(self.pages[self.page][self.top : self.top + 246])

    def do_page(self, page: int) -> None:
        """Another page, or the same one again."""
        self.page = page
        self._show()
        self._step()

    def do_scroll(self, by: int) -> None:
        """The page moves under a fixed head and beside a scroll bar."""
        self.top = min(650, max(0, self.top + by))
        self._show()
        self.at.paint(np.full((30, 322, 4), (90, 60, 30, 0), np.uint8))
        self.at.paint(np.full((246, 10, 4), (230, 230, 230, 0), np.uint8), 312, 0)
        self.at.paint(np.full((40, 10, 4), (120, 120, 120, 0), np.uint8), 312, self.top // 4)
        self._step()

    def do_film(self, x: int, y: int, pictures: int) -> None:
        """Waves, with a caret that blinks somewhere on them."""
        for at in range(pictures):
            self.at.paint(film(160, 120, self.count + at), x, y)
            self._step(0.033)
            self.at.paint(np.full((9, 2, 4), (at % 2 * 255,) * 3 + (0,), np.uint8), min(x + 40, 320), min(y + 40, 236))
            self._step(0.01)

    def do_join(self) -> None:
        """A viewer begins."""
        self.at.join()

    def do_wait(self, seconds: float) -> None:
        """Nothing happens."""
        self._step(seconds)

    def do_rest(self) -> None:
        """Nothing happens for long."""
        self._step()
        self.at.rest()

    def do_way(self, way: Way) -> None:
        """The network changes."""
        self.at.way = way


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(Pictures)), st.sampled_from(WAYS), st.lists(_STEPS, min_size=1, max_size=25))
def test_every_viewer_gets_the_exact_picture(kind: Pictures, way: Way, steps: list[tuple[Any, ...]]) -> None:
    """Whatever pages do, whenever viewers join: at rest all show the picture, and before that none is told a lie."""
    browser = Browser(Followers(kind, SMALL, way))
    for step in steps:
        browser.do(*step)
    browser.do("rest")


@pytest.mark.parametrize("way", WAYS, ids=["near", "far", "thin", "unknown"])
@pytest.mark.parametrize("kind", list(Pictures))
def test_a_long_session_stays_exact(kind: Pictures, way: Way) -> None:
    """Many steps of every kind on end."""
    rng = np.random.default_rng(5)
    browser = Browser(Followers(kind, SMALL, way))
    for number in range(45):
        x, y = int(rng.integers(0, 300)), int(rng.integers(0, 230))
        steps: list[tuple[Any, ...]] = [
            ("noise", x, y, 60, 40), ("fill", x, y, 90, 90), ("late", x, y, 30, 30), ("caret", x, y),
            ("page", int(rng.integers(4))), ("page", int(rng.integers(4))), ("scroll", int(rng.integers(-90, 90))),
            ("scroll", int(rng.integers(-90, 90))), ("film", x, y, 3), ("wait", 0.2),
        ]  # fmt: skip
        browser.do(*steps[int(rng.integers(10))])
        if number % 20 == 10:
            browser.do("join")
    browser.do("rest")


@pytest.mark.parametrize("size", [Size(16, 16), Size(34, 18), Size(318, 242), Size(322, 258)])
@pytest.mark.parametrize("kind", list(Pictures))
def test_any_size_works(kind: Pictures, size: Size) -> None:
    """Pictures that are smaller than a tile's multiple, and narrow ones, come out exact."""
    at = Followers(kind, size, THIN)
    for number in range(6):
        at.paint(noise(size.width, size.height, number))
        at.step()
        at.paint(document(size.width, size.height, number))
        at.step()
    at.join()
    at.rest()


def test_a_caret_costs_less_than_thirty_bytes() -> None:
    """A caret on a resting page is one small fill, on and off."""
    at = Followers()
    at.rest()
    at.spent()
    under = at.picture[50:64, 100:102].copy()
    under[...] = (255, 255, 255, 0)
    at.paint(under, 100, 50)
    at.rest()
    for blink in range(6):
        at.spent()
        at.paint(np.zeros((14, 2, 4), np.uint8) if blink % 2 else under, 100, 50)
        at.rest()
        assert at.spent() < 30


def test_a_solid_block_is_one_fill() -> None:
    """A block of one colour that turns another is said in one operation, cut to what changed."""
    at = Followers()
    for colour in ((1, 2, 3, 0), (200, 100, 0, 0)):
        rect = at.paint(np.full((77, 133, 4), colour, np.uint8), 31, 19)
        assert at.step() == [Fill(rect, colour[2::-1])]


def test_damage_without_change_says_nothing() -> None:
    """A page that paints the same again, all of it, costs no byte and no frame."""
    at = Followers()
    at.rest()
    at.spent()
    for _ in range(5):
        at.paint(at.picture[:246, :322].copy())
        assert at.step(0.3) == []


def test_nothing_is_told_at_rest() -> None:
    """Once the picture is exact and kept there is nothing to do until something changes."""
    at = Followers(way=FAR)
    at.paint(noise(200, 200, 1))
    at.rest()

    assert at.composer.rests_in(at.decision, at.now) is None
    assert at.composer.scene(at.now) is Scene.STILL
    assert at.step(100.0) == []


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_going_back_costs_a_few_bytes(size: Size) -> None:
    """A page, another, and the first again: the third is shown from what the viewer kept."""
    at = Followers(size=size)
    first, second = document(size.width, size.height, 1), document(size.width, size.height, 2)
    for page in (first, second):
        at.paint(page)
        at.rest()
    for page in (first, second, first):
        at.spent()
        at.paint(page)
        ops = at.step()
        shown = [op for op in ops if isinstance(op, Show)]
        assert len(shown) == 1
        assert at.spent() < 100 + 8 * len(shown[0].rects)
        at.rest()


def test_eight_pages_are_remembered() -> None:
    """The page that was longest not looked at is the one that is forgotten."""
    at = Followers(size=SMALL)
    pages = [document(322, 246, seed) for seed in range(9)]
    for page in pages[:8]:
        at.paint(page)
        at.rest()
    for back in (*range(8), *range(6, -1, -1)):
        at.paint(pages[back])
        assert any(isinstance(op, Show) for op in at.step())
        at.rest()
    at.paint(pages[8])  # the last of them to be looked at was 0: 7 must go
    at.rest()
    at.paint(pages[7])
    assert not any(isinstance(op, Show) for op in at.step())
    at.rest()
    at.paint(pages[0])
    assert any(isinstance(op, Show) for op in at.step())
    at.rest()


def test_a_closing_menu_is_shown_from_memory() -> None:
    """What a large menu covered comes back without its pixels."""
    at = Followers(size=LARGE)
    page = document(1280, 720, 1)
    at.paint(page)
    at.rest()
    at.paint(document(400, 400, 3), 200, 100)
    at.rest()
    at.spent()
    at.paint(page[100:500, 200:600], 200, 100)
    at.step()

    assert at.spent() < 1500


@pytest.mark.parametrize("by", [40, -40, 3, 120])
def test_a_scroll_step_costs_about_its_new_rows(by: int) -> None:
    """A copy, and the rows that came into sight."""
    at = Followers(size=LARGE)
    page = document(1280, 2000, 1)
    at.paint(page[600:1320])
    at.rest()
    whole = len(at.composer._packer.tiles(at.picture, np.ones((45, 80), bool), LARGE, 2, alone=True)[0].data)  # type: ignore[union-attr]
    at.spent()
    at.paint(page[600 + by : 1320 + by])
    ops = at.step()

    assert any(isinstance(op, Copy) and op.dy == -by for op in ops)
    assert at.spent() < 400 + whole * (abs(by) + 50) / 720
    assert at.composer.scene(at.now) is Scene.SCROLL


def test_two_viewers_show_only_what_both_have_kept() -> None:
    """After somebody has joined, nothing is shown from before; what is kept afterwards is."""
    at = Followers(size=SMALL)
    first, second = document(322, 246, 1), document(322, 246, 2)
    for page in (first, second):
        at.paint(page)
        at.rest()
    at.join()
    at.paint(first)
    assert not any(isinstance(op, Show) for op in at.step())
    at.rest()
    at.paint(second)
    assert any(isinstance(op, Show) for op in at.step())
    at.rest()


def test_what_was_kept_inexact_is_made_exact_when_shown() -> None:
    """A picture that was kept before it was exact is shown at once, and refined as any other."""
    at = Followers(size=SMALL, way=THIN)
    first, second = noise(322, 246, 1), document(322, 246, 2)
    at.paint(first)
    for _ in range(4):
        at.step(0.1)
    assert at.composer._lossy.any()
    at.composer._moving.close()
    at.paint(second)
    assert any(isinstance(op, Keep) for op in at.step())
    at.rest()
    at.paint(first)
    at.step()
    assert at.composer._lossy.any()
    at.rest()


def test_a_film_goes_as_video_and_rests_exact() -> None:
    """What goes on moving becomes one film of its rectangle; where it stops is made exact."""
    for kind in Pictures:
        at = Followers(kind, Size(640, 368), FAR)
        at.rest()
        for number in range(20):
            at.paint(film(320, 180, number), 160, 80)
            ops = at.step(1 / 30)
        assert [type(op) for op in ops] == [Video]
        assert at.composer.scene(at.now) is Scene.FILM
        video = ops[0]
        assert isinstance(video, Video)
        assert (video.rect, video.key) == (Rect(160, 80, 320, 192), kind is Pictures.JPEG)
        at.rest()
        assert at.composer.scene(at.now) is not Scene.FILM


def test_a_caret_on_a_film_stays_right() -> None:
    """Exact pixels on a film are overwritten by its next picture, and are known to be inexact again."""
    at = Followers(size=SMALL, way=FAR)
    for number in range(20):
        at.paint(film(300, 200, number))
        at.step(1 / 30)
        at.paint(noise(8, 8, number), 100, 100)
        at.step(1 / 60)
    at.rest()


def test_beside_a_film_the_page_becomes_exact() -> None:
    """A page that began as video is not left blurred because something on it goes on moving."""
    size = Size(640, 368)
    at = Followers(size=size, way=FAR)
    for page in (noise(640, 368, 4), document(640, 368, 7)):
        at.paint(page)
        at.step()
    for number in range(70):
        at.paint(film(192, 96, number), 320, 160)
        ops = at.step(1 / 30)

    assert at.composer.scene(at.now) is Scene.FILM
    assert [op.rect for op in ops if isinstance(op, Video)] == [Rect(320, 160, 192, 96)]
    beside = np.ones((368, 640), np.bool_)
    beside[160:256, 320:512] = False
    assert np.array_equal(at.canvases[0].pixels[beside], rgb(at.picture, size)[beside])


def test_a_fast_network_gets_a_new_page_exactly_at_once() -> None:
    """On a short way a whole new page of text is exact with its first frame."""
    at = Followers(size=LARGE, way=NEAR)
    at.rest()
    at.paint(document(1280, 720, 3))
    ops = at.step()

    assert all(isinstance(op, Pixels | Keep | Fill) for op in ops)
    assert not at.composer._lossy.any()


def test_a_slow_network_sees_a_new_page_early() -> None:
    """On a thin way the first sight of a new page fits in the purse, and the page is exact within seconds."""
    for way in (THIN, UNKNOWN):
        at = Followers(size=LARGE, way=way)
        at.rest()
        began = at.now
        at.paint(document(1280, 720, 3))
        at.spent()
        at.step()
        assert at.spent() < at.decision.burst * 2
        at.rest()
        assert at.now - began < 60
