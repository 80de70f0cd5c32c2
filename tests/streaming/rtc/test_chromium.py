"""Datagrams between this process and a real Chromium."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from streaming.rtc.peer import Peer
from streaming.rtc.places import Ports
from streaming.rtc.settings import Places

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

OFFER = """async () => {
  const pc = new RTCPeerConnection({ iceServers: [] });
  const channel = pc.createDataChannel('baton', { ordered: false, maxRetransmits: 0, negotiated: true, id: 0 });
  channel.binaryType = 'arraybuffer';
  const heard = [];
  channel.onmessage = ({ data }) => { heard.push(new Uint8Array(data)[0]); };
  const open = new Promise(done => { channel.onopen = () => done(performance.now()); });
  Object.assign(window, { pc, channel, heard, open });
  await pc.setLocalDescription(await pc.createOffer());
  return pc.localDescription.sdp;
}"""
ANSWER = "async sdp => { await pc.setRemoteDescription({ type: 'answer', sdp }); await open; }"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all of these."""
    path = shutil.which("chromium") or pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


class Joined:
    """A page with an open channel, and the server's end of it."""

    def __init__(self, page: Page, ports: Ports) -> None:
        self.page = page
        self.heard: list[bytes] = []
        self.closed = asyncio.Event()
        self.opened = asyncio.Event()
        self.peer = Peer(ports, None, heard=self.heard.append, opened=self.opened.set, closed=self.closed.set)

    async def open(self) -> None:
        """Let the page offer, answer it, and wait until both ends say it is open."""
        answer = await self.peer.answer(await self.page.evaluate(OFFER))
        await asyncio.gather(self.page.evaluate(ANSWER, answer), self.opened.wait())


@asynccontextmanager
async def joined(browser: Browser, ports: Ports) -> AsyncIterator[Joined]:
    """One viewer with an open channel."""
    page = await browser.new_page()
    both = Joined(page, ports)
    try:
        async with asyncio.timeout(15):
            await both.open()
        yield both
    finally:
        await both.peer.close()
        await page.close()


async def until(met: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 5) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(seconds):
        while True:
            now = met()
            if now if isinstance(now, bool) else await now:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("loopback", [False, True])
async def test_a_channel_carries_bytes_both_ways(browser: Browser, loopback: bool) -> None:
    """On the machine's own addresses, and where only loopback is listened on."""
    ports = Ports(Places(loopback=loopback))
    async with joined(browser, ports) as both:
        for n in range(50):
            both.peer.send(bytes([n]) * 1150)
        await both.page.wait_for_function("heard.length === 50")
        assert sorted(await both.page.evaluate("heard")) == list(range(50))
        await both.page.evaluate("() => { for (let n = 0; n < 50; n++) channel.send(new Uint8Array(1150).fill(n)); }")
        await until(lambda: len(both.heard) == 50)
        assert sorted(both.heard) == [bytes([n]) * 1150 for n in range(50)]
    ports.close()


async def test_closing_the_page_closes_the_peer(browser: Browser) -> None:
    """The server need not wait for silence."""
    ports = Ports(Places())
    async with joined(browser, ports) as both:
        await both.page.evaluate("pc.close()")
        await asyncio.wait_for(both.closed.wait(), 5)
        assert not both.peer.open
    ports.close()


async def test_several_viewers_share_one_port(browser: Browser) -> None:
    """Told apart by what STUN proves."""
    ports = Ports(Places())
    async with joined(browser, ports) as one, joined(browser, ports) as two, joined(browser, ports) as three:
        pages = (one, two, three)
        for n, both in enumerate(pages):
            both.peer.send(bytes([n]))
            await both.page.evaluate("n => channel.send(new Uint8Array([n]))", n + 10)
        for n, both in enumerate(pages):
            await both.page.wait_for_function("heard.length === 1")
            assert await both.page.evaluate("heard") == [n]
            await until(lambda both=both: len(both.heard) == 1)
            assert both.heard == [bytes([n + 10])]
        port = {
            pair
            for both in pages
            for pair in await both.page.evaluate("""async () => [...(await pc.getStats()).values()]
              .filter(s => s.type === 'remote-candidate').map(s => s.port)""")
        }
        assert port == {ports.number}
    ports.close()
