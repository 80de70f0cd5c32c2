"""Frame messages in a real Chromium: what the canvas shows is what they say, pixel for pixel."""

from __future__ import annotations

import base64
import io
import random
import shutil
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from PIL import Image
from playwright.async_api import Page, Route, async_playwright

from sandbox.screen import Rect, Size
from streaming.canvas import Canvas
from streaming.lossless import Packer
from streaming.ops import Coding, Copy, Fill, Flag, Frame, Keep, Op, Pixels, Show, Video, pack_frame, parse_frame

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

STATIC = Path(__file__).parents[2] / "web" / "static"
SIZE = Size(150, 90)
NONE = Flag(0)
HARNESS = b"""<!doctype html><meta charset=utf-8><title>paint</title><canvas id=c width=10 height=10></canvas>
<script type=module>
import { Painter } from '/stream/paint.js';
import { inflate } from '/stream/inflate.js';
const canvas = document.querySelector('#c');
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const said = list => { let out = ''; for (const byte of list) out += String.fromCharCode(byte); return btoa(out); };
window.start = () => {
  window.painter?.close();
  window.log = [];
  window.painter = new Painter(canvas, {
    shown: ({ number, quiet }) => log.push([quiet ? 'quiet' : 'shown', number]),
    lost: error => log.push(['lost', error && error.message]),
    size: (width, height) => log.push(['size', width, height]),
  });
};
window.push = texts => { for (const text of texts) painter.push(bytes(text).buffer); return log.length; };
window.picture = () => {
  const { width, height } = canvas;
  return [width, height, said(canvas.getContext('2d').getImageData(0, 0, width, height).data)];
};
window.unpack = (text, size) => { const out = new Uint8Array(size); inflate(bytes(text), out); return said(out); };
start();
</script>"""

type Rgb = NDArray[np.uint8]


async def serve(route: Route) -> None:
    """Answer with the page or one of the modules."""
    path = route.request.url.split("localhost", 1)[1]
    file = STATIC / path.lstrip("/")
    if file.is_file():
        await route.fulfill(body=file.read_bytes(), content_type="text/javascript")
    else:
        await route.fulfill(body=HARNESS, content_type="text/html")


class Viewer:
    """One painter in the page, and what its canvas has to show."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.number = 0

    def message(self, *ops: Op, size: Size | None = None, flags: Flag = NONE) -> bytes:
        """Pack the next frame; one with a size is a key frame."""
        self.number += 1
        flags |= Flag.KEY if size else NONE
        return pack_frame(Frame(self.number, self.number * 16_000, ops, flags, size))

    async def push(self, *messages: bytes) -> None:
        """Hand messages over in one task."""
        await self.page.evaluate("texts => push(texts)", [base64.b64encode(one).decode() for one in messages])

    async def begin(self, picture: Rgb | None = None) -> Rgb:
        """Start anew with a key frame, and return what it shows."""
        picture = noise(SIZE) if picture is None else picture
        size = Size(picture.shape[1], picture.shape[0])
        await self.page.evaluate("start()")
        await self.push(self.message(pixels(picture, Rect(0, 0, size.width, size.height)), size=size))
        return picture.copy()

    async def settled(self) -> None:
        """Wait until what was held back for this screen's next picture is painted."""
        await self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    async def shown(self) -> Rgb:
        """What the canvas shows."""
        await self.settled()
        width, height, text = await self.page.evaluate("picture()")
        rgba = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
        assert (rgba[..., 3] == 255).all()
        return rgba[..., :3]

    async def log(self) -> list[Any]:
        """What the painter told."""
        await self.settled()
        return list(await self.page.evaluate("log"))

    async def told(self, *what: object) -> None:
        """Wait until the painter has told exactly this."""
        await self.page.wait_for_function("count => log.length >= count", arg=len(what))
        assert [tuple(one) for one in await self.log()] == list(what)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def page() -> AsyncIterator[Page]:
    """One page for all of these."""
    path = shutil.which("chromium") or pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.route("http://localhost/**", serve)
        await page.goto("http://localhost/")
        await page.wait_for_function("window.painter")
        yield page
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def viewer(page: Page) -> AsyncIterator[Viewer]:
    """A new painter; nothing it does may throw."""
    errors: list[str] = []

    def note(error: Exception) -> None:
        errors.append(str(error))

    page.on("pageerror", note)
    await page.evaluate("start()")
    yield Viewer(page)
    page.remove_listener("pageerror", note)
    assert errors == []


def noise(size: Size, seed: int = 1) -> Rgb:
    """A picture in which no two places look alike."""
    return np.random.default_rng(seed).integers(0, 256, (size.height, size.width, 3), np.uint8)


def grey(seed: int) -> Rgb:
    """Noise without colour."""
    return np.repeat(noise(SIZE, seed)[..., :1], 3, axis=2)


def deflated(
    data: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY, before: bytes | None = None
) -> bytes:
    """Raw deflate, which may refer to what came before."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, zlib.DEF_MEM_LEVEL, strategy, before or b"")
    return packer.compress(data) + packer.flush()


def greens(picture: Rgb, *rects: Rect) -> bytes:
    """The green of every pixel."""
    return b"".join(cut(picture, rect)[..., 1].tobytes() for rect in rects)


def pixels(
    picture: Rgb, *rects: Rect, tints: Sequence[tuple[int, Rect]] | None = None, stored: bool = False,
    before: bytes | None = None,
) -> Pixels:  # fmt: skip
    """Say what `picture` has in these rectangles, coloured where `tints` says (everywhere), deflated after `before`."""
    tints = list(enumerate(rects)) if tints is None else tints
    coloured = [cut(picture, rect).reshape(-1, 3) for _, rect in tints]
    data = greens(picture, *rects)
    for level in (2, 0):
        data += b"".join((part[:, level] - part[:, 1]).astype(np.uint8).tobytes() for part in coloured)
    packed = data if stored else deflated(data, before=before)
    return Pixels(rects, packed, tuple(tints), stored, before is not None)


def cut(picture: Rgb, rect: Rect) -> Rgb:
    """A view of one rectangle."""
    return picture[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]


def moved(picture: Rgb, copy: Copy) -> None:
    """What COPY says, on an array."""
    height, width = picture.shape[:2]
    (r, dx, dy), old = (copy.rect, copy.dx, copy.dy), picture.copy()
    x0, x1 = max(r.x, -dx, 0), min(r.x + r.width, width - dx, width)
    y0, y1 = max(r.y, -dy, 0), min(r.y + r.height, height - dy, height)
    if x0 < x1 and y0 < y1:
        picture[y0 + dy : y1 + dy, x0 + dx : x1 + dx] = old[y0:y1, x0:x1]


async def test_pixels_are_exact(viewer: Viewer) -> None:
    """Every form of PIXELS, over many rectangles, shows exactly what it says and nothing beside."""
    want = await viewer.begin()
    assert (await viewer.shown() == want).all()
    rects = [Rect(x, y, 1 + x % 7, 1 + y % 5) for x in range(3, 140, 11) for y in range(2, 80, 13)]
    plain: list[tuple[int, Rect]] = []
    for source, tints, stored in [
        (noise(SIZE, 3), None, False), (grey(2), plain, False), (noise(SIZE, 4), None, True), (grey(6), plain, True),
    ]:  # fmt: skip
        await viewer.push(viewer.message(pixels(source, *rects, tints=tints, stored=stored)))
        for rect in rects:
            cut(want, rect)[...] = cut(source, rect)
        assert (await viewer.shown() == want).all()
    assert await viewer.log() == [["size", 150, 90], *(["shown", number] for number in range(1, 6))]


async def test_colour_only_where_there_is_some(viewer: Viewer) -> None:
    """Coloured parts lie in grey rectangles, several in one, each with colours of its own."""
    want, source = await viewer.begin(), grey(3)
    rects = [Rect(2, 3, 60, 40), Rect(80, 1, 70, 89), Rect(10, 50, 1, 1)]
    tints = [(0, Rect(2, 3, 5, 40)), (1, Rect(149, 89, 1, 1)), (0, Rect(30, 20, 32, 23)), (1, Rect(81, 2, 60, 5))]
    for _, rect in tints:
        cut(source, rect)[...] = cut(noise(SIZE, 8), rect)
    await viewer.push(viewer.message(pixels(source, *rects, tints=tints)))
    for rect in rects:
        cut(want, rect)[...] = cut(source, rect)
    assert (await viewer.shown() == want).all()

    await viewer.push(viewer.message(pixels(source, *rects, tints=[(2, Rect(10, 50, 2, 1))])))
    assert (await viewer.log())[-1] == ["lost", "colour outside its rectangle"]


async def test_pixels_refer_to_earlier_ones(viewer: Viewer) -> None:
    """What goes on is unpacked after the greens of the frames before it, as many as deflate can reach."""
    want, before = await viewer.begin(), b""
    for seed in range(9):
        rects = [Rect(seed * 3, seed * 5, 120, 40), Rect(0, 0, 7, 9)]
        source = noise(SIZE, seed % 2)
        await viewer.push(viewer.message(pixels(source, *rects, before=before)))
        before = (before + greens(source, *rects))[-32768:]
        for rect in rects:
            cut(want, rect)[...] = cut(source, rect)
        assert (await viewer.shown() == want).all()
    largest = Rect(0, 0, 150, 90)
    for _ in range(4):
        await viewer.push(viewer.message(pixels(source, largest, before=before)))
        before = (before + greens(source, largest))[-32768:]
    assert (await viewer.shown() == source).all()


async def test_a_frame_without_video_is_painted_at_once(viewer: Viewer) -> None:
    """Frames without video are on the canvas and told when `push` returns."""
    await viewer.begin()
    told = len(await viewer.log())
    messages = [
        viewer.message(Fill(Rect(1, 1, 9, 9), (1, 2, 3))),
        viewer.message(Fill(Rect(2, 2, 9, 9), (4, 5, 6)), flags=Flag.QUIET),
        viewer.message(pixels(noise(SIZE), Rect(0, 0, 150, 90))),
    ]
    texts = [base64.b64encode(one).decode() for one in messages]
    assert await viewer.page.evaluate("texts => push(texts)", texts) == told + 3
    assert [name for name, *_ in await viewer.log()][told:] == ["shown", "quiet", "shown"]
    assert (await viewer.shown() == noise(SIZE)).all()


async def test_fill_is_exact(viewer: Viewer) -> None:
    """Every level of every colour comes out as it went in, also beyond the edges."""
    want = await viewer.begin()
    fills = [Fill(Rect(n % 150, n // 3, 3, 2), (n, 255 - n, n * 7 % 256)) for n in range(256)]
    await viewer.push(
        viewer.message(*fills, Fill(Rect(140, 80, 500, 500), (9, 8, 7)), Fill(Rect(5, 5, 0, 4), (1, 1, 1)))
    )
    for fill in fills:
        cut(want, fill.rect)[...] = fill.colour
    want[80:, 140:] = (9, 8, 7)
    assert (await viewer.shown() == want).all()


@pytest.mark.parametrize("dx", [-17, -1, 0, 1, 23, 120])
async def test_copies_overlap(viewer: Viewer, dx: int) -> None:
    """COPY moves like memmove in every direction, and what falls over the edge is gone."""
    want = await viewer.begin()
    for dy in [-40, -1, 0, 1, 13]:
        for rect in [Rect(0, 0, 150, 90), Rect(30, 20, 80, 50), Rect(100, 3, 49, 86)]:
            await viewer.push(viewer.message(Copy(rect, dx, dy)))
            moved(want, Copy(rect, dx, dy))
            assert (await viewer.shown() == want).all(), (dx, dy, rect)


async def test_kept_pictures_come_back(viewer: Viewer) -> None:
    """KEEP takes the canvas as the operations before it left it, in all sixteen slots; SHOW brings parts of it back."""
    want = await viewer.begin()
    kept = []
    for slot in range(16):
        await viewer.push(viewer.message(Fill(Rect(slot * 9, 10, 9, 60), (slot, 200, 3)), Keep(slot),
                                         Fill(Rect(0, 0, 150, 90), (0, 0, slot))))  # fmt: skip
        cut(want, Rect(slot * 9, 10, 9, 60))[...] = (slot, 200, 3)
        kept.append(want.copy())
        want[...] = (0, 0, slot)
    for slot in (15, 0, 7):
        rects = (Rect(slot, 5, 90, 31), Rect(100, 50, 50, 40))
        await viewer.push(viewer.message(Show(slot, rects)))
        for rect in rects:
            cut(want, rect)[...] = cut(kept[slot], rect)
        assert (await viewer.shown() == want).all()
    await viewer.push(viewer.message(Keep(3), Show(0, (Rect(0, 0, 150, 90),)), Show(3, (Rect(0, 0, 150, 90),))))
    assert (await viewer.shown() == want).all()


async def test_a_key_frame_forgets(viewer: Viewer) -> None:
    """A key frame makes the canvas black and of its size, and what was kept is gone."""
    await viewer.begin()
    await viewer.push(viewer.message(Keep(2)), viewer.message(size=SIZE))
    assert (await viewer.shown() == 0).all()
    await viewer.push(viewer.message(Fill(Rect(0, 0, 2, 1), (1, 2, 3)), size=Size(201, 77)))
    shown = await viewer.shown()
    assert shown.shape == (77, 201, 3)
    assert shown[0, 0].tolist() == [1, 2, 3]
    assert (shown[1:] == 0).all()
    assert ["size", 201, 77] in await viewer.log()
    await viewer.push(viewer.message(Show(2, (Rect(0, 0, 9, 9),))))
    assert (await viewer.log())[-1] == ["lost", "nothing is kept in slot 2"]


def torn(viewer: Viewer) -> list[bytes]:
    """Messages that no painter can make sense of."""
    good = pixels(noise(SIZE, 5), Rect(0, 0, 150, 90))
    first = Fill(Rect(0, 0, 150, 90), (255, 0, 0))
    bad = bytearray(good.data)
    bad[3] ^= 0x55
    return [
        viewer.message(first, good)[:-7],
        viewer.message(first) + b"\x09",
        viewer.message(first, replace(good, data=bytes(bad))),
        viewer.message(first, replace(good, data=good.data[:-9])),
        viewer.message(first, replace(good, tints=())),
        viewer.message(first, replace(good, stored=True)),
        viewer.message(first, replace(good, tints=((0, Rect(1, 0, 150, 90)),))),
        viewer.message(first, Video(0, Coding.H264, False, Rect(0, 0, 9, 9), b"\x00\x00\x01\x41\x9a")),
        viewer.message(first, Video(0, Coding.H264, True, Rect(0, 0, 9, 9), b"nothing")),
        viewer.message(first, Video(0, Coding.JPEG, True, Rect(0, 0, 9, 9), b"nothing")),
        viewer.message(
            first, Video(0, Coding.H264, True, Rect(0, 0, 9, 9), b"\0\0\1\x67\x42\xc0\x29\0\0\1\x65nothing")
        ),
        b"\x02",
        b"",
    ]


@pytest.mark.parametrize("which", range(13))
async def test_what_is_broken_is_not_painted(viewer: Viewer, which: int) -> None:
    """After a broken message a key frame is asked for, nothing of it or after it is shown, and a key frame mends it."""
    want = await viewer.begin()
    await viewer.page.evaluate("log.length = 0")
    await viewer.push(torn(viewer)[which])
    await viewer.page.wait_for_function("log.length > 0")
    (told,) = await viewer.log()
    assert told[0] == "lost"
    await viewer.push(viewer.message(Fill(Rect(0, 0, 50, 50), (1, 1, 1))))
    assert (await viewer.shown() == want).all()
    assert (await viewer.log())[1:] == [["lost", None]]

    await viewer.push(viewer.message(Fill(Rect(0, 0, 150, 90), (3, 4, 5)), size=SIZE))
    assert (await viewer.shown() == (3, 4, 5)).all()


def drawn(size: Size, turn: int) -> Rgb:
    """A picture for video: soft slopes that move."""
    y, x = np.mgrid[: size.height, : size.width]
    return np.stack([(x * 2 + turn * 9) % 256, (y * 2 + turn * 5) % 256, (x + y + turn * 3) % 256], -1).astype(np.uint8)


def h264(size: Size, form: str, count: int) -> tuple[list[bytes], list[Rgb]]:
    """Pictures in H.264, full range BT.709 as the stream's are, and what a decoder makes of them."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = size.width, size.height, form
    encoder.time_base, encoder.framerate = Fraction(1, 60), Fraction(60)
    encoder.color_range, encoder.colorspace = ColorRange.JPEG, Colorspace.ITU709
    encoder.options = {
        "preset": "ultrafast", "tune": "zerolatency", "crf": "4", "bf": "0",
        "x264-params": "fullrange=on:colorprim=bt709:transfer=iec61966-2-1:colormatrix=bt709",
    }  # fmt: skip
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    chunks, pictures = [], []
    for turn in range(count):
        frame = av.VideoFrame.from_ndarray(drawn(size, turn), "rgb24")
        frame = frame.reformat(format=form, dst_colorspace=Colorspace.ITU709, src_color_range=ColorRange.JPEG,
                               dst_color_range=ColorRange.JPEG)  # fmt: skip
        frame.pts = turn
        (packet,) = encoder.encode(frame)
        chunks.append(bytes(packet))
    for chunk in chunks:
        pictures += decoder.decode(av.Packet(chunk))
    pictures += decoder.decode(None)
    return chunks, [
        one.reformat(format="rgb24", src_colorspace=Colorspace.ITU709, src_color_range=ColorRange.JPEG,
                     dst_color_range=ColorRange.JPEG).to_ndarray().astype(np.uint8)
        for one in pictures
    ]  # fmt: skip


def off(shown: Rgb, want: Rgb) -> int:
    """The largest difference of any level."""
    return int(np.abs(shown.astype(int) - want.astype(int)).max())


@pytest.mark.parametrize("form", ["yuv420p", "yuv444p"])
async def test_video_at_odd_places(viewer: Viewer, form: str) -> None:
    """Each picture of a moving rectangle comes to its place, cut to its size, and nothing beside it changes."""
    want = await viewer.begin()
    chunks, pictures = h264(Size(64, 48), form, 4)
    where = Rect(31, 17, 61, 43)
    for turn, chunk in enumerate(chunks):
        await viewer.push(viewer.message(Video(5, Coding.H264, turn == 0, where, chunk)))
        await viewer.page.wait_for_function("last => log.at(-1)[1] === last", arg=viewer.number)
        shown = await viewer.shown()
        # how colours of half the size are spread over the pixels is each decoder's own choice
        assert off(cut(shown, where), pictures[turn][:43, :61]) <= (3 if form == "yuv444p" else 40)
        assert np.abs(cut(shown, where).astype(int) - pictures[turn][:43, :61]).mean() < 3
        cut(want, where)[...] = cut(shown, where)
        assert (shown == want).all()


async def test_order_holds_behind_video(viewer: Viewer) -> None:
    """Frames behind a picture that is being decoded wait for it; a frame appears as a whole."""
    await viewer.begin()
    await viewer.page.evaluate("log.length = 0")
    chunks, _ = h264(Size(64, 48), "yuv420p", 3)
    place = Rect(0, 0, 64, 48)
    first = viewer.number + 1
    await viewer.push(
        viewer.message(Fill(Rect(0, 0, 150, 90), (255, 0, 0)), Video(1, Coding.H264, True, place, chunks[0])),
        viewer.message(Fill(Rect(0, 0, 70, 50), (9, 9, 9)), Keep(1)),
        viewer.message(Video(1, Coding.H264, False, place, chunks[1]), Copy(place, 80, 40)),
        viewer.message(Video(1, Coding.H264, False, place, chunks[2]), Show(1, (place,))),
        viewer.message(Fill(Rect(100, 0, 50, 20), (7, 7, 7))),
    )
    assert await viewer.page.evaluate("painter.lost") is False
    await viewer.told(*(("shown", first + n) for n in range(5)))
    shown = await viewer.shown()
    assert (shown[:50, :70] == 9).all()
    assert (shown[:20, 100:] == 7).all()
    assert (shown[60:, :70] == (255, 0, 0)).all()
    assert off(shown[40:88, 80:144], drawn(Size(64, 48), 1)) < 40


async def test_nothing_shows_before_its_video(viewer: Viewer) -> None:
    """In the task that brings a frame with video nothing of it is painted yet."""
    want = await viewer.begin()
    chunks, _ = h264(Size(64, 48), "yuv420p", 1)
    message = viewer.message(
        Fill(Rect(0, 0, 150, 90), (255, 0, 0)), Video(1, Coding.H264, True, Rect(0, 0, 64, 48), chunks[0])
    )
    text = base64.b64encode(message).decode()
    _, _, at_once = await viewer.page.evaluate("text => { push([text]); return picture(); }", text)
    rgba = np.frombuffer(base64.b64decode(at_once), np.uint8).reshape(90, 150, 4)
    assert (rgba[..., :3] == want).all()


async def test_a_stream_changes_its_size(viewer: Viewer) -> None:
    """A key picture of another size on the same stream is a new decoder, while the old one still has work."""
    await viewer.begin()
    small, _ = h264(Size(32, 32), "yuv420p", 2)
    large, pictures = h264(Size(128, 80), "yuv444p", 2)
    await viewer.page.evaluate("log.length = 0")
    first = viewer.number + 1
    await viewer.push(
        *(viewer.message(Video(2, Coding.H264, n == 0, Rect(3, 3, 32, 32), chunk)) for n, chunk in enumerate(small)),
        *(viewer.message(Video(2, Coding.H264, n == 0, Rect(5, 6, 127, 79), chunk)) for n, chunk in enumerate(large)),
    )
    await viewer.told(*(("shown", first + n) for n in range(4)))
    assert off(cut(await viewer.shown(), Rect(5, 6, 127, 79)), pictures[1][:79, :127]) <= 3


async def test_several_streams_at_once(viewer: Viewer) -> None:
    """Four moving rectangles in one frame, each with its own decoder; the fifth takes the place of the oldest."""
    await viewer.begin()
    chunks, pictures = h264(Size(32, 32), "yuv444p", 2)
    places = [Rect(n * 33, 1 + n * 7, 31, 30) for n in range(4)]
    for turn in (0, 1):
        videos = [Video(n, Coding.H264, turn == 0, place, chunks[turn]) for n, place in enumerate(places)]
        await viewer.push(viewer.message(*videos))
    await viewer.page.wait_for_function("last => log.at(-1)[1] === last", arg=viewer.number)
    for place in places:
        assert off(cut(await viewer.shown(), place), pictures[1][:30, :31]) <= 3
    await viewer.push(viewer.message(Video(9, Coding.H264, True, places[0], chunks[0])),
                      viewer.message(Video(0, Coding.H264, False, places[0], chunks[1])))  # fmt: skip
    assert (await viewer.log())[-1] == ["lost", "stream 0 does not begin with a key picture"]


async def test_jpeg(viewer: Viewer) -> None:
    """A JPEG comes to its place, cut to its size."""
    want = await viewer.begin()
    file = io.BytesIO()
    Image.fromarray(drawn(Size(64, 48), 0)).save(file, "JPEG", quality=95, subsampling=0)
    where = Rect(7, 9, 63, 41)
    await viewer.push(viewer.message(Video(0, Coding.JPEG, True, where, file.getvalue())))
    await viewer.page.wait_for_function("last => log.at(-1)[1] === last", arg=viewer.number)
    shown = await viewer.shown()
    assert off(cut(shown, where), np.asarray(Image.open(file))[:41, :63]) <= 2
    cut(want, where)[...] = cut(shown, where)
    assert (shown == want).all()


async def test_a_key_frame_does_not_wait(viewer: Viewer) -> None:
    """What a key frame overtakes is never painted."""
    await viewer.begin()
    await viewer.page.evaluate("log.length = 0")
    chunks, _ = h264(Size(64, 48), "yuv420p", 1)
    await viewer.push(
        viewer.message(Video(1, Coding.H264, True, Rect(0, 0, 64, 48), chunks[0])),
        viewer.message(Fill(Rect(0, 0, 150, 90), (2, 4, 6)), size=SIZE),
    )
    await viewer.told(("shown", viewer.number))
    assert (await viewer.shown() == (2, 4, 6)).all()


async def test_long_mixed_frames(viewer: Viewer) -> None:
    """Hundreds of frames of everything that is exact leave exactly what they say."""
    rng, want = random.Random(7), await viewer.begin()
    kept: dict[int, Rgb] = {}
    sent = bytearray()

    def somewhere() -> Rect:
        x, y = rng.randrange(150), rng.randrange(90)
        return Rect(x, y, rng.randint(1, 150 - x), rng.randint(1, 90 - y))

    def one() -> Op:
        rect = somewhere()
        match rng.randrange(6):
            case 0:
                colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
                cut(want, rect)[...] = colour
                return Fill(rect, colour)
            case 1:
                copy = Copy(rect, rng.randint(-90, 90), rng.randint(-60, 60))
                moved(want, copy)
                return copy
            case 2:
                slot = rng.randrange(16)
                kept[slot] = want.copy()
                return Keep(slot)
            case 3 if kept:
                slot = rng.choice(sorted(kept))
                cut(want, rect)[...] = cut(kept[slot], rect)
                return Show(slot, (rect,))
            case _:
                source, before = noise(SIZE, rng.randrange(1000)), rng.choice([None, bytes(sent)])
                cut(want, rect)[...] = cut(source, rect)
                sent.extend(greens(source, rect))
                del sent[:-32768]
                return pixels(source, rect, stored=before is None and rng.random() < 0.3, before=before)

    for _ in range(12):
        await viewer.push(*(viewer.message(*(one() for _ in range(rng.randint(1, 6)))) for _ in range(25)))
        assert (await viewer.shown() == want).all()


def texts() -> Sequence[bytes]:
    """Data of every kind that deflate treats in another way."""
    rng = np.random.default_rng(4)
    return [
        b"", b"a", b"ab" * 4000, bytes(70_000), rng.bytes(70_000), bytes(range(256)) * 300,
        (rng.integers(0, 256, 90_000) * (rng.random(90_000) < 0.05)).astype(np.uint8).tobytes(),
        np.cumsum(rng.integers(-1, 2, 90_000)).astype(np.uint8).tobytes(),
    ]  # fmt: skip


@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE])
async def test_inflate_undoes_deflate(viewer: Viewer, strategy: int) -> None:
    """Whatever zlib packs comes back, at every level; what is cut short or of another size is refused."""
    for data in texts():
        for level in (0, 1, 6, 9):
            packed = deflated(data, level, strategy)
            text = base64.b64encode(packed).decode()
            assert base64.b64decode(await viewer.page.evaluate("([t, n]) => unpack(t, n)", [text, len(data)])) == data
            refused = "([t, n]) => { try { unpack(t, n); return ''; } catch (e) { return e.name; } }"
            short = base64.b64encode(packed[:-1]).decode()
            assert await viewer.page.evaluate(refused, [short, len(data)]) == "RangeError"
            for size in {len(data) + 1, max(0, len(data) - 1)} - {len(data)}:
                assert await viewer.page.evaluate(refused, [text, size]) == "RangeError"


async def test_pixels_refer_to_what_came_before(viewer: Viewer) -> None:
    """Greens of earlier messages, at most a window of them, and none of a key frame's."""
    size = Size(220, 96)
    picture, canvas, packer = noise(size, 9), Canvas(), Packer()
    shown = np.zeros((*picture.shape[:2], 4), np.uint8)
    shown[..., :3] = picture[..., ::-1]
    areas = [Rect(0, 0, 140, 90), Rect(10, 5, 140, 90), Rect(0, 0, 30, 20), Rect(3, 1, 200, 60)]
    key = viewer.message(*packer.rects(shown, areas[:1], 6), size=size)
    packer.forget()
    messages = [key]
    for area in areas:
        messages.append(viewer.message(*packer.rects(shown, [area], 6)))
        packer.sent()
    for message in messages:
        canvas.paint(parse_frame(message))
        await viewer.push(message)
    assert any(isinstance(op, Pixels) and op.goes_on for message in messages for op in parse_frame(message).ops)
    assert sum(map(len, messages[2:])) < sum(area.width * area.height for area in areas[1:]) * 3
    assert (await viewer.shown() == canvas.pixels).all()
