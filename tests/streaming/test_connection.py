"""How `LiveScreen` keeps its connection, against a server that does as it is told."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from sandbox.screen import Rect, Size
from streaming.ops import Coding, Fill, Flag, Frame, Op, Video, pack_frame
from streaming.testing import Respond, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SIZE = Size(320, 240)
PLAIN = Fill(Rect(0, 0, 9, 9), (1, 2, 3))
NONE = Flag(0)


class Server:
    """Greets every viewer with a key frame and keeps what it says."""

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.said: list[dict[str, Any]] = []
        self.answers = True
        self.turns_away: int | None = None
        self.number = 0

    async def serve(self, socket: ServerConnection) -> None:
        """One viewer."""
        if self.turns_away:
            await socket.close(self.turns_away)
            return
        self.sockets.append(socket)
        try:
            async for text in socket:
                await self.hear(socket, json.loads(text))
        except ConnectionClosed:
            pass

    async def hear(self, socket: ServerConnection, message: dict[str, Any]) -> None:
        """Answer one message."""
        self.said.append(message)
        if message["t"] == "hello":
            await socket.send(json.dumps({"t": "hello", "width": SIZE.width, "height": SIZE.height}))
            await self.paint(PLAIN, key=True)
        elif message["t"] == "ping" and self.answers:
            await socket.send(json.dumps({"t": "pong", "c": message["c"], "encode_ms": 1, "viewers": 1}))

    async def paint(self, *ops: Op, key: bool = False, flags: Flag = NONE) -> int:
        """Send a frame to the newest viewer, and return its number."""
        self.number += 1
        flags |= Flag.KEY if key else NONE
        await self.sockets[-1].send(pack_frame(Frame(self.number, 0, ops, flags, SIZE if key else None)))
        return self.number

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """What was said of one kind."""
        return [message for message in self.said if message["t"] == kind]


class Scene:
    """A server and a page before it."""

    def __init__(self, server: Server, page: Page) -> None:
        self.server = server
        self.page = page

    async def live(self, connections: int = 1) -> None:
        """Wait until this many connections have been made, and the last of them is live."""
        await until(lambda: len(self.server.heard("hello")) >= connections)
        await self.page.wait_for_function("live.state === 'live'")

    async def states(self) -> list[dict[str, Any]]:
        """What the page said of its connection."""
        return [detail for name, detail in await self.page.evaluate("heard") if name == "state"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all of these."""
    path = shutil.which("chromium") or pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def scene(browser: Browser, respond: Respond) -> AsyncIterator[Scene]:
    """A live page; nothing in it may throw."""
    server = Server()
    async with serve(server.serve, "127.0.0.1", 0, process_request=respond, compression=None) as listening:
        page = await browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/?epoch=1&way=socket")
        scene = Scene(server, page)
        await scene.live()
        yield scene
        await page.close()
        assert errors == []


async def test_hello_says_how_long_opening_took(scene: Scene) -> None:
    """The first message lists what can be shown, and how long the way took to open."""
    (hello,) = scene.server.heard("hello")
    assert hello["pictures"] == ["h264-444", "h264", "jpeg"]
    assert 0 <= hello["opened"] < 5000


async def test_frames_painted_together_are_acknowledged_together(scene: Scene) -> None:
    """What waited for one picture is told by one message; what is quiet is not told."""
    await until(lambda: scene.server.heard("ack"))
    scene.server.said.clear()
    await scene.page.evaluate("""() => {
        const real = createImageBitmap;
        const late = () => new Promise(done => setTimeout(done, 300));
        window.createImageBitmap = async blob => { await late(); return real(blob); };
    }""")
    file = io.BytesIO()
    Image.new("RGB", (32, 32)).save(file, "JPEG")
    await scene.server.paint(Video(0, Coding.JPEG, True, Rect(0, 0, 32, 32), file.getvalue()))
    await scene.server.paint(PLAIN)
    last = await scene.server.paint(PLAIN)
    await scene.server.paint(PLAIN, flags=Flag.QUIET)
    after = await scene.page.evaluate("new Promise(done => setTimeout(() => done(live.stats.frames), 600))")

    assert after == 5
    (ack,) = scene.server.heard("ack")
    assert ack["f"] == last
    assert ack["d"] >= 200


async def test_a_key_frame_is_asked_for_until_it_comes(scene: Scene) -> None:
    """What is broken asks for a key frame once, and again when none has come for a while."""
    await scene.server.sockets[-1].send(b"\x02\x00")
    for _ in range(20):
        await scene.server.paint(PLAIN)
    await until(lambda: len(scene.server.heard("keyframe")) == 1)
    await until(lambda: len(scene.server.heard("keyframe")) == 2)
    number = await scene.server.paint(PLAIN, key=True)
    await until(lambda: scene.server.heard("ack")[-1]["f"] == number)


@pytest.mark.parametrize(("code", "why"), [(1012, "restart"), (1001, "restart"), (4500, "dropped")])
async def test_the_close_code_says_why(scene: Scene, code: int, why: str) -> None:
    """Why it was lost is said while it is tried again, and once more with how long it took when it is back."""
    scene.server.turns_away = 1011
    await scene.server.sockets[-1].close(code)
    await scene.page.wait_for_function("heard.filter(([n, d]) => n === 'state' && d.state === 'lost').length > 1")
    scene.server.turns_away = None
    await scene.live(2)

    states = await scene.states()
    assert {one["why"] for one in states[2:]} == {why}
    assert states[-1]["state"] == "live"
    assert states[-1]["awayMs"] > 200


async def test_a_socket_that_died_in_sleep_is_noticed_at_once(scene: Scene) -> None:
    """After timers stood still the server is asked; without an answer the connection is made anew, and says why."""
    await until(lambda: scene.server.heard("ping"))
    scene.server.answers = False
    await scene.page.evaluate("() => { const real = Date.now; Date.now = () => real() + 60000; }")
    await until(lambda: len(scene.server.heard("hello")) == 2)
    scene.server.answers = True
    await scene.live(2)

    assert (await scene.states())[-1]["why"] == "slept"


@pytest.mark.full
async def test_a_socket_that_outlived_sleep_is_kept(scene: Scene) -> None:
    """When the server still answers after sleep or on another network, nothing is lost."""
    await until(lambda: scene.server.heard("ping"))
    pings = len(scene.server.heard("ping"))
    await scene.page.evaluate("() => { const real = Date.now; Date.now = () => real() + 60000; }")
    await scene.page.evaluate("window.dispatchEvent(new Event('online'))")
    await until(lambda: len(scene.server.heard("ping")) >= pings + 2)
    await asyncio.sleep(2.5)

    assert [one["state"] for one in await scene.states()] == ["connecting", "live"]


async def test_a_change_of_network_is_not_waited_for(scene: Scene) -> None:
    """While it waits to try again, the network's return makes it try at once."""
    scene.server.turns_away = 1011
    await scene.server.sockets[-1].close(4500)
    await scene.page.wait_for_function("heard.at(-1)[1].retryMs > 1500")
    scene.server.turns_away = None
    await scene.page.evaluate("window.dispatchEvent(new Event('online'))")
    await scene.page.wait_for_function("live.state === 'live'", timeout=1000)


async def test_a_decoder_that_never_works_is_done_without(scene: Scene) -> None:
    """A browser that claims to decode what it cannot is taken at its deeds: it begins anew with the next best."""
    await scene.page.evaluate("""() => {
        VideoDecoder.prototype.decode = () => { throw new DOMException('no', 'EncodingError'); };
    }""")
    await scene.server.sockets[-1].send(json.dumps({"t": "stream", "kind": "h264-444", "masked": False}))
    picture = Video(0, Coding.H264, True, Rect(0, 0, 9, 9), b"\0\0\1\x67\xf4\x00\x29\0\0\1\x65")
    for _ in range(3):
        await scene.server.paint(picture, key=True)
    await scene.live(2)

    assert scene.server.heard("hello")[1]["pictures"] == ["h264", "jpeg"]


async def test_latency_counts_only_what_can_be_an_answer(scene: Scene) -> None:
    """A picture sooner than any answer can come is not one; releases and pointer moves wait for none; clocks wrap."""
    told = await scene.page.evaluate("""async () => {
        const { Latency } = await import('/stream/latency.js');
        const [one, other] = [new Latency(), new Latency()];
        one.sent({ t: 'move' }, 0);
        one.sent({ t: 'key', d: false }, 5);
        one.painted(0, 900, 20);
        const nothing = one.input;
        for (let at = 1000; at < 2000; at += 200) {
            one.sent({ t: 'key', d: true }, at);
            one.painted((at - 5) * 1000, at + 5, 20);
            one.painted((at + 30) * 1000, at + 45, 20);
        }
        one.sent({ t: 'wheel' }, 3000);
        one.sent({ t: 'key', d: true }, 5000);
        one.painted(5030 * 1000, 5045, 20);
        const taken = at => (2 ** 32 - 40000 + at * 10000) % 2 ** 32;
        for (let at = 0; at < 9; at++) other.painted(taken(at), at * 10 + (at > 3 ? 7 : 0), 30);
        return [nothing, one.input, other.picture];
    }""")
    assert told == [0, 45, 22]
