"""`LiveScreen` in a real Firefox: the picture exactly, input, and what moves with H.264 and without."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from sandbox.screen import InputEvent, Key, Picture, PointerButton, PointerMove, Rect, Size, Wheel
from sandbox.words import Holder, OperatorId, Side
from streaming.canvas import Canvas, Rgb
from streaming.ops import Copy, Fill, Flag, Frame, Keep, Op, Pixels, Show, pack_frame
from streaming.testing import PaintedScreen, Respond, Stage, psnr, staged, until
from tests.streaming.firefox import NO_H264, Firefox, Tab, firefox, program
from tests.streaming.pages import document, film, rgb

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SIZE = Size(320, 240)
ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
WHOLE = Rect(0, 0, SIZE.width, SIZE.height)
FILM = Rect(48, 32, 200, 140)
ENTER = "\ue006"
SHOWN = """selector => {
  const { width, height } = document.querySelector(selector);
  const context = document.querySelector(selector).getContext('2d');
  return [width, height, new Uint8Array(context.getImageData(0, 0, width, height).data.buffer).toBase64()];
}"""
PAINT = """async texts => {
  const { Painter } = await import('/stream/paint.js');
  const canvas = Object.assign(document.createElement('canvas'), { id: 'plain' });
  document.body.append(canvas);
  const lost = [];
  const painter = new Painter(canvas, { shown() {}, size() {}, lost: error => lost.push(String(error)) });
  for (const text of texts) painter.push(Uint8Array.fromBase64(text).buffer);
  return lost;
}"""
COUNT = """() => {
  window.decoded = { h264: 0, jpeg: 0 };
  const { decode } = window.VideoDecoder?.prototype ?? {};
  if (decode) VideoDecoder.prototype.decode = function (chunk) { decoded.h264++; return decode.call(this, chunk); };
  const { createImageBitmap } = window;
  window.createImageBitmap = blob => { decoded.jpeg++; return createImageBitmap(blob); };
}"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Firefox]:
    """One Firefox as it comes."""
    program() or pytest.skip("Firefox is not installed")
    async with firefox() as running:
        yield running


class Console:
    """A page with a `LiveScreen`, and the painted screen behind it."""

    def __init__(self, tab: Tab, stage: Stage, screen: PaintedScreen) -> None:
        self.tab = tab
        self.stage = stage
        self.screen = screen

    async def shown(self, selector: str = "[data-screen]") -> Rgb:
        """What a canvas shows."""
        width, height, data = await self.tab.call(SHOWN, selector)
        rgba = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
        assert (rgba[..., 3] == 255).all()
        return rgba[..., :3]

    async def exact(self) -> None:
        """Wait until every pixel is the screen's."""
        wrong = -1
        for _ in range(200):
            wrong = int((await self.shown() != rgb(self.screen.picture, SIZE)).any(axis=2).sum())
            if not wrong:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{wrong} pixels differ")

    async def arrived(self, *events: InputEvent) -> None:
        """Wait until exactly these inputs arrived, moves aside."""

        def seen() -> list[InputEvent]:
            return [event for event in self.screen.events if not isinstance(event, PointerMove)]

        try:
            await until(lambda: seen() == list(events))
        except TimeoutError:
            raise AssertionError(str(seen())) from None
        self.screen.events.clear()


@asynccontextmanager
async def opened(browser: Firefox, respond: Respond) -> AsyncIterator[Console]:
    """Open a console that drives a screen of its own."""
    screen = PaintedScreen(SIZE)
    screen.set_control(ANN, 1)
    async with (
        staged(screen, respond=respond) as stage,
        browser.tab(f"http://127.0.0.1:{stage.port}/?epoch=1") as tab,
    ):
        await tab.until("() => window.live?.state === 'live' && live.stats.frames > 0")
        yield Console(tab, stage, screen)


@pytest_asyncio.fixture(loop_scope="module")
async def console(browser: Firefox, respond: Respond) -> AsyncIterator[Console]:
    """A console in the Firefox as it comes."""
    async with opened(browser, respond) as console:
        yield console


async def test_every_command_is_painted_exactly(console: Console) -> None:
    """FILL, PIXELS, COPY over itself in every direction, KEEP and SHOW leave what the reference painter has."""
    noise = np.random.default_rng(1).integers(0, 256, (SIZE.height, SIZE.width, 3), np.uint8)
    drawn: list[Op] = [
        Pixels((WHOLE,), planes(noise), ((0, WHOLE),), stored=True),
        Keep(3),
        Fill(Rect(7, 5, 100, 31), (17, 150, 90)),
        *(Copy(Rect(60, 60, 150, 100), dx, dy) for dx, dy in [(0, -9), (0, 9), (13, 0), (-13, 0), (5, 7), (-1, -1)]),
        Keep(15),
        Fill(Rect(0, 0, 320, 200), (0, 0, 255)),
        Show(15, (Rect(40, 40, 99, 77), Rect(300, 0, 20, 240))),
        Show(3, (Rect(0, 200, 320, 40),)),
    ]
    frames = [Frame(1, 0, tuple(drawn[:1]), Flag.KEY, SIZE)]
    frames += [Frame(number, 0, (op,)) for number, op in enumerate(drawn[1:], 2)]
    reference = Canvas()
    for frame in frames:
        reference.paint(frame)

    lost = await console.tab.call(PAINT, [base64.b64encode(pack_frame(frame)).decode() for frame in frames])
    assert lost == []
    assert (await console.shown("#plain") == reference.pixels).all()


def planes(picture: Rgb) -> bytes:
    """Green, blue less green, red less green, as PIXELS has them."""
    red, green, blue = (picture[..., channel] for channel in range(3))
    return green.tobytes() + (blue - green).tobytes() + (red - green).tobytes()


async def test_a_page_scrolls_and_goes_back_exactly(console: Console) -> None:
    """Reading a page, scrolling it, another page and back: each picture is the screen's, pixel for pixel."""
    page, other = document(320, 600, 1), document(320, 240, 2)
    async with console.stage.viewer(pictures=("h264",)) as beside:
        console.screen.paint_picture(page[:240])
        await console.exact()
        for top in (24, 60, 90, 40):
            console.screen.paint_picture(page[top : top + 240])
            await console.exact()
        await console.stage.rest()
        console.screen.paint_picture(other)
        await console.exact()
        await console.stage.rest()
        console.screen.paint_picture(page[40:280])
        await console.exact()
        console.screen.paint(Rect(33, 47, 111, 58), (250, 240, 10))
        await console.exact()
        used = {type(op) for frame in beside.frames for op in frame.ops}
    assert used >= {Fill, Pixels, Copy, Keep, Show}


async def test_what_is_seen_is_what_the_canvas_holds(console: Console) -> None:
    """A screenshot of Firefox has the painted colours at the canvas' place, unscaled."""
    for number, colour in enumerate([(255, 0, 0), (0, 255, 0), (17, 150, 90), (128, 128, 128)]):
        console.screen.paint(Rect(number * 80, 0, 80, 240), colour)
    await console.exact()
    taken = base64.b64decode(await console.tab.screenshot(20, 10, 320, 240))
    seen = np.asarray(Image.open(io.BytesIO(taken)).convert("RGB"))
    # the pointer of the sandbox may be drawn over the picture
    assert (seen == rgb(console.screen.picture, SIZE)).all(axis=2).mean() > 0.99


async def test_input_arrives_where_it_was_meant(console: Console) -> None:
    """A click, the right button, the wheel and keys arrive once each, at the pixel under the pointer."""
    await console.tab.click(120, 110)
    await console.arrived(PointerButton(100, 100, "left", True), PointerButton(100, 100, "left", False))
    await console.tab.click(21, 249, button=2)
    await console.arrived(PointerButton(1, 239, "right", True), PointerButton(1, 239, "right", False))
    await console.tab.wheel(120, 110, 0, 120)
    await console.arrived(Wheel(100, 100, 0.0, 120.0))
    await console.tab.press("a")
    await console.arrived(Key("KeyA", "a", True), Key("KeyA", "a", False))
    await console.tab.press(ENTER)
    await console.arrived(Key("Enter", "Enter", True), Key("Enter", "Enter", False))


async def test_films_move_as_this_firefox_can_show_them(console: Console) -> None:
    """With H.264 what moves comes as video with the right colours, and is exact once it rests."""
    if not await console.tab.call("async () => (await import('/stream/video.js')).capabilities().then(c => c[1])"):
        pytest.skip("this Firefox has neither libavcodec nor the OpenH264 plug-in")
    decoded = await watch(console)
    assert decoded["h264"] >= 8
    assert decoded["jpeg"] == 0


async def test_films_move_without_h264(respond: Respond) -> None:
    """A Firefox without H.264 says so, is sent JPEG, shows the motion, and is exact once it rests."""
    program() or pytest.skip("Firefox is not installed")
    async with firefox(NO_H264) as plain, opened(plain, respond) as console:
        decoded = await watch(console)
    assert decoded["jpeg"] >= 8
    assert decoded["h264"] == 0


async def watch(console: Console) -> dict[str, int]:
    """Play two seconds of film, check what is shown while it moves and after; how many pictures were decoded how."""
    await console.tab.call(COUNT)
    console.screen.paint_picture(document(320, 240, 3))
    await console.exact()
    pictures = [film(FILM.width, FILM.height, at) for at in range(60)]
    playing = asyncio.ensure_future(play(console.screen, pictures))
    await console.tab.until("() => decoded.h264 + decoded.jpeg > 6")
    best = []
    while not playing.done():
        shown = (await console.shown())[FILM.y : FILM.y + FILM.height, FILM.x : FILM.x + FILM.width]
        at, decibels = max(((at, psnr(shown, one)) for at, one in enumerate(pictures)), key=lambda one: one[1])
        best.append((at, decibels))
    assert len({at for at, _ in best}) >= 3, best
    assert min(decibels for _, decibels in best) > 26, best
    decoded: dict[str, int] = await console.tab.call("() => decoded")
    await console.exact()
    return decoded


async def play(screen: PaintedScreen, pictures: list[Picture]) -> None:
    """Show thirty pictures a second."""
    for picture in pictures:
        screen.paint_picture(picture, FILM.x, FILM.y)
        await asyncio.sleep(1 / 30)
