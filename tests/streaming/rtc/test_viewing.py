"""`rtc.js` in a real Chromium and the server's `Edge`: both ways, and from one to the other."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from streaming.rtc.edge import Datagrams
from streaming.rtc.settings import DatagramSettings, Places
from tests.streaming.rtc.network import Forwarder, forwarder, until
from tests.streaming.rtc.viewing import Viewing, viewing

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all of these."""
    path = shutil.which("chromium") or pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def spoilt() -> AsyncIterator[tuple[Forwarder, Datagrams]]:
    """Datagrams that pass through a forwarder, and nowhere else."""
    async with forwarder() as passing:
        datagrams = Datagrams(DatagramSettings(Places(loopback=True, advertised=(("127.0.0.1", passing.port),))))
        await datagrams.ports.bind()
        passing.target = ("127.0.0.1", datagrams.ports.number or 0)
        yield passing, datagrams
        datagrams.close()


async def test_both_ways_carry_everything_in_order(browser: Browser, spoilt: tuple[Forwarder, Datagrams]) -> None:
    """Numbered messages keep their order over the change; what is loose and what was shown reaches the keeper."""
    passing, datagrams = spoilt
    async with viewing(browser, datagrams) as viewer:
        await type_keys(viewer, 0, 10)
        for n in range(10):
            await viewer.joined.say(f'{{"t":"one","n":{n}}}')
        await viewer.on("datagrams")
        for n in range(10, 200):
            await viewer.joined.say(f'{{"t":"one","n":{n}}}' if n % 2 else bytes([3]) * (n * 50))
        await viewer.joined.say(bytes([2]) * 30000)
        await type_keys(viewer, 10, 60)
        await viewer.page.evaluate("""ways.send('{"t":"move","x":1}'); ways.send('{"t":"ping","c":5}')""")

        heard = await viewer.heard(201)
        expected = [f'{{"t":"one","n":{n}}}' if n % 2 or n < 10 else f"{n * 50} bytes of 3" for n in range(200)]
        assert heard == [*expected, "30000 bytes of 2"]
        await until(lambda: bool(viewer.said("ack") and viewer.said("ping") and viewer.said("move")))
        await viewer.typed(60)
        assert viewer.said("ack") == [{"t": "ack", "f": 30000, "d": 1.5}]
        assert viewer.said("way")[-1]["kind"] == "datagrams"
        assert passing.passed > 100


@pytest.mark.full
async def test_a_cut_moves_to_the_socket_and_back(browser: Browser, spoilt: tuple[Forwarder, Datagrams]) -> None:
    """In the middle of input and pictures UDP is cut: within 2 s the socket goes on, nothing lost or doubled."""
    passing, datagrams = spoilt
    async with viewing(browser, datagrams) as viewer:
        await viewer.joined.say('{"t":"hello"}')
        await viewer.on("datagrams")
        talking = asyncio.ensure_future(talk(viewer, 300))
        await type_keys(viewer, 0, 100)
        await viewer.page.wait_for_function("heard.length > 50")
        passing.cut = True
        cut_at = time.monotonic()
        await type_keys(viewer, 100, 110)
        before = await viewer.page.evaluate("heard.length")
        await viewer.page.wait_for_function("before => heard.length > before + 20", arg=before, timeout=2500)
        assert time.monotonic() - cut_at < 2.5
        await viewer.on("socket", 2)
        await until(lambda: len(viewer.inputs()) >= 110, 2)
        passing.cut = False
        await viewer.on("datagrams", 12)
        await type_keys(viewer, 110, 150)
        await talking
        heard = await viewer.heard(301)
        assert heard == ['{"t":"hello"}', *[f"{100 + n} bytes of 3" for n in range(300)]]
        await viewer.typed(150)
        assert [said["kind"] for said in viewer.said("way")].count("socket") == 1


async def test_the_socket_way_never_tries(browser: Browser, spoilt: tuple[Forwarder, Datagrams]) -> None:
    """`?way=socket`, and a near server without the word, cost no datagram."""
    passing, datagrams = spoilt
    for query in ("?way=socket", ""):
        async with viewing(browser, datagrams, query) as viewer:
            await viewer.joined.say('{"t":"hello"}')
            for n in range(5):
                await viewer.page.evaluate("""ways.send('{"t":"ping","c":5}')""")
                await viewer.joined.say('{"t":"pong","c":5}')
                await viewer.heard(n + 2)
            await type_keys(viewer, 0, 3)
            await viewer.typed(3)
            assert viewer.joined.way == "socket"
            assert "rtc" not in {json.loads(message)["t"] for message in viewer.keeper}
    assert passing.passed == passing.lost == 0


async def test_a_long_message_takes_the_socket(browser: Browser, spoilt: tuple[Forwarder, Datagrams]) -> None:
    """An upload is too long for datagrams; what is typed after it stays after it."""
    _, datagrams = spoilt
    async with viewing(browser, datagrams) as viewer:
        await viewer.joined.say('{"t":"hello"}')
        await viewer.on("datagrams")
        await type_keys(viewer, 0, 20)
        await viewer.page.evaluate("""ways.send(JSON.stringify({ t: 'key', n: 20, key: 'x'.repeat(2e6) }))""")
        await type_keys(viewer, 21, 40)
        await viewer.typed(40)
        await viewer.on("socket")


async def test_a_far_server_is_reached_by_datagrams(browser: Browser, spoilt: tuple[Forwarder, Datagrams]) -> None:
    """Nobody said which way: round trips of 60 ms decide."""
    passing, datagrams = spoilt
    passing.delay = 0.03
    async with viewing(browser, datagrams, "") as viewer:
        await viewer.joined.say('{"t":"hello"}')
        await viewer.page.evaluate("""ways.send('{"t":"ping","c":5}')""")
        await asyncio.sleep(0.06)
        await viewer.joined.say('{"t":"pong","c":5}')
        await viewer.on("datagrams")
        await until(lambda: viewer.said("way")[-1]["rtt"] > 50)


async def type_keys(viewer: Viewing, first: int, end: int) -> None:
    """Send these inputs."""
    await viewer.page.evaluate(
        """async ([first, end]) => {
          for (let n = first; n < end; n++) {
            ways.send(JSON.stringify({ t: 'key', n }));
            await new Promise(done => setTimeout(done, 5));
          }
        }""",
        [first, end],
    )


async def talk(viewer: Viewing, count: int) -> None:
    """Say pictures, one each 20 ms."""
    for n in range(count):
        await viewer.joined.say(bytes([3]) * (100 + n))
        await asyncio.sleep(0.02)
