"""`rtc.js` in a real Firefox and the server's `Edge`: datagrams, and the socket when they are cut."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aioice.ice import get_host_addresses

from streaming.rtc.edge import Datagrams
from streaming.rtc.settings import DatagramSettings, Places
from tests.streaming.firefox import Firefox, Tab, firefox, program
from tests.streaming.rtc.network import forwarder, until
from tests.streaming.rtc.viewing import Joined, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

OFFERS = """() => {
  window.offers = [];
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    const { offer } = typeof data === 'string' ? JSON.parse(data) : {};
    if (offer) offers.push(offer);
    return send.call(this, data);
  };
}"""
TYPE = """async ([first, end]) => {
  for (let n = first; n < end; n++) {
    ways.send(JSON.stringify({ t: 'key', n }));
    await new Promise(done => setTimeout(done, 5));
  }
}"""


class Viewing(Joined):
    """One viewer in Firefox."""

    def __init__(self, tab: Tab) -> None:
        super().__init__()
        self.tab = tab

    async def on(self, way: str, seconds: float = 8) -> None:
        """Wait until both ends are on that way."""
        await until(lambda: self.joined.way == way, seconds)
        await self.tab.until("way => ways.stats.way === way", way, seconds=seconds)

    async def heard(self, count: int) -> list[str]:
        """Wait until the page has heard so many messages; all it heard."""
        await self.tab.until("count => heard.length >= count", count)
        said: list[str] = await self.tab.call("() => heard")
        return said


@asynccontextmanager
async def viewing(browser: Firefox, datagrams: Datagrams, host: str) -> AsyncIterator[Viewing]:
    """Open a page that wants datagrams, and its socket."""
    async with browser.tab("about:blank") as tab:
        viewer = Viewing(tab)
        async with serving(viewer, datagrams, host) as url:
            await tab.go(url)
            await tab.call(OFFERS)
            await tab.call("query => begin(query).then(() => true)", "?way=datagrams")
            await viewer.connected.wait()
            await viewer.joined.say('{"t":"hello"}')
            yield viewer
            await tab.go("about:blank")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Firefox]:
    """One Firefox as it comes."""
    program() or pytest.skip("Firefox is not installed")
    async with firefox() as running:
        yield running


@pytest.fixture(scope="module")
def host() -> str:
    """An address of this machine: Firefox, as it comes, takes no ICE answer that says it is on 127.0.0.1."""
    return next(iter(get_host_addresses(use_ipv4=True, use_ipv6=False)), None) or pytest.skip("only loopback here")


async def test_datagrams_carry_everything_and_a_cut_loses_nothing(browser: Firefox, host: str) -> None:
    """Messages and inputs keep their order by datagrams, and when UDP is cut the socket goes on within 2 s."""
    async with forwarder(host) as passing:
        datagrams = Datagrams(DatagramSettings(Places(advertised=((host, passing.port),))))
        await datagrams.ports.bind()
        passing.target = (host, datagrams.ports.number or 0)
        async with viewing(browser, datagrams, host) as viewer:
            await viewer.on("datagrams")
            for n in range(150):
                await viewer.joined.say(f'{{"t":"one","n":{n}}}' if n % 2 else bytes([3]) * (1 + n * 50))
            await viewer.joined.say(bytes([2]) * 30000)
            await viewer.tab.call(TYPE, [0, 60])
            told = [f'{{"t":"one","n":{n}}}' if n % 2 else f"{1 + n * 50} bytes of 3" for n in range(150)]
            assert await viewer.heard(152) == ['{"t":"hello"}', *told, "30000 bytes of 2"]
            await viewer.typed(60)
            assert viewer.said("ack") == [{"t": "ack", "f": 30000, "d": 1.5}]
            assert passing.passed > 50

            passing.cut = True
            typing = asyncio.ensure_future(viewer.tab.call(TYPE, [60, 120]))
            for n in range(20):
                await viewer.joined.say(bytes([3]) * (100 + n))
            await viewer.on("socket", 2.5)
            await typing
            assert (await viewer.heard(172))[152:] == [f"{100 + n} bytes of 3" for n in range(20)]
            await viewer.typed(120)
        datagrams.close()


async def test_names_in_place_of_addresses_are_no_hindrance(browser: Firefox, host: str) -> None:
    """Firefox tells its addresses only by `.local` names; its checks tell the server where it is."""
    datagrams = Datagrams(DatagramSettings(Places()))
    async with viewing(browser, datagrams, host) as viewer:
        await viewer.on("datagrams")
        await viewer.tab.call(TYPE, [0, 10])
        await viewer.typed(10)
        (offer,) = await viewer.tab.call("() => offers")
    datagrams.close()
    told = re.findall(r"a=candidate:\S+ 1 UDP \d+ (\S+) ", offer)
    assert told
    assert all(name.endswith(".local") for name in told)
