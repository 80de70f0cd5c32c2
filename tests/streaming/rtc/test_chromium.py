"""Datagrams between this process and a real Chromium."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from streaming.rtc.peer import Peer
from streaming.rtc.places import Ports
from streaming.rtc.settings import Places
from tests.streaming.rtc.network import forwarder, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

OFFER = """async () => {
  const pc = new RTCPeerConnection({ iceServers: [] });
  const channel = pc.createDataChannel('baton', { ordered: false, maxRetransmits: 0, negotiated: true, id: 0 });
  channel.binaryType = 'arraybuffer';
  const heard = [];
  const at = [];
  channel.onmessage = ({ data }) => { heard.push(new Uint8Array(data)[0]); at.push(performance.now()); };
  const open = new Promise(done => { channel.onopen = () => done(performance.now()); });
  Object.assign(window, { pc, channel, heard, at, open });
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
        self.at: list[float] = []
        self.closed = asyncio.Event()
        self.opened = asyncio.Event()
        self.peer = Peer(ports, None, heard=self._hear, opened=self.opened.set, closed=self.closed.set)

    def _hear(self, datagram: bytes) -> None:
        self.heard.append(datagram)
        self.at.append(time.monotonic())

    async def got(self, count: int) -> None:
        """Wait until so many datagrams of the page are here."""
        await until(lambda: len(self.heard) == count)

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
        await both.got(50)
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
            await both.got(1)
            assert both.heard == [bytes([n + 10])]
        port = {
            pair
            for both in pages
            for pair in await both.page.evaluate("""async () => [...(await pc.getStats()).values()]
              .filter(s => s.type === 'remote-candidate').map(s => s.port)""")
        }
        assert port == {ports.number}
    ports.close()


@pytest.mark.full
async def test_losses_stall_nothing(browser: Browser) -> None:
    """A twentieth is lost each way: what is not lost arrives at once, before any timer of SCTP (400 ms, 1 s)."""
    async with forwarder() as passing:
        ports = Ports(Places(loopback=True, advertised=(("127.0.0.1", passing.port),)))
        await ports.bind()
        passing.target = ("127.0.0.1", ports.number or 0)
        async with joined(browser, ports) as both:
            passing.loss = 0.05
            sending = asyncio.ensure_future(
                both.page.evaluate("""async () => {
                  const start = performance.now();
                  for (let n = 0; n < 600; n++) {
                    while (performance.now() - start < n * 5) await new Promise(done => setTimeout(done, 1));
                    channel.send(new Uint8Array(100).fill(n % 256));
                  }
                }""")
            )
            began = time.monotonic()
            for n in range(600):
                await asyncio.sleep(max(0.0, began + n * 0.005 - time.monotonic()))
                both.peer.send(bytes([n % 256]) * 1000)
            await sending
            await asyncio.sleep(0.2)
            down, up = await both.page.evaluate("at"), [at * 1000 for at in both.at]
            for times in (down, up):
                assert 520 < len(times) < 600
                waits = sorted(later - sooner for sooner, later in itertools.pairwise(times))
                assert waits[-1] < 300
                assert waits[-len(waits) // 50] < 60
        ports.close()
