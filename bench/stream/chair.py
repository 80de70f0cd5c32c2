"""What the ruler does not measure, from an operator's Chromium between netlab.py's hosts; prints one JSON line each.

    python -m bench.stream.chair opening|link|cut|cpu LINK -n N

`opening`  from the construction of the console's live socket to the first animation frame in which the canvas shows
           the remote page; and which way Baton chose
`link`     from opening a new one-use link in a browser without a cache to that same frame
`cut`      every UDP packet between the hosts is dropped from one moment on, in both directions and without a word (a
           policy rule that sends what arrives into the void); a click right after it; until its effect is painted
`cpu`      the processor time of the stream while idle, and during film with one viewer and with ten
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from bench.stream import cpu
from bench.stream.viewers import lean_viewers, make_link

SIZE: Final = {"width": 1280, "height": 720}
SCENES: Final = ("flip", "page", "type", "scroll", "film", "idle")
WAY_S: Final = 6.0
"""How long Baton may take to find its way before it is asked which one it took."""
CPU_S: Final = 8.0
PATIENCE_S: Final = 20.0

CHROMIUM: Final = (
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
"""With the page's origin made secure, the same as the ruler's own browser."""

WATCH: Final = Path(__file__).with_name("chair.js").read_text()


class Chair:
    """An operator's browser; `link` is the server's own one-use link, which takes control."""

    def __init__(self, browser: Browser, link: str) -> None:
        self.browser = browser
        self.link = link
        self.sandbox = ""

    async def context(self) -> BrowserContext:
        """Open a browser profile of its own, with the page's instruments in every document."""
        context = await self.browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
        await context.add_init_script(WATCH)
        return context

    async def sit(self, context: BrowserContext, way: str = "") -> Page:
        """Follow the link to the live view, control taken; wait until it shows the page."""
        page = await context.new_page()
        await page.goto(self.link)
        await page.wait_for_url("**/sandboxes/*")
        self.sandbox = re.sub(r".*/sandboxes/([^/?#]+).*", r"\1", page.url)
        await painted(page)
        if way:
            await self.reopen(page, way)
        await asyncio.sleep(1)
        return page

    async def reopen(self, page: Page, way: str = "") -> float:
        """Open the live view again. Returns milliseconds from its socket's opening to the first picture."""
        query = f"?way={way}" if way else ""
        await page.goto(f"{os.environ['BENCH_URL']}/sandboxes/{self.sandbox}{query}")
        return await painted(page)


async def until(page: Page, true: str, seconds: float = PATIENCE_S) -> Any:
    """Poll an expression until it holds, and return it. Raises `TimeoutError`.

    Not Playwright's own waiting: that needs `eval` in the page, which the console's policy forbids.
    """
    end = time.monotonic() + seconds
    while not (value := await page.evaluate(true)):
        if time.monotonic() > end:
            raise TimeoutError(true)
        await asyncio.sleep(0.05)
    return value


async def painted(page: Page) -> float:
    """Wait for the first picture. Returns milliseconds since the live socket was opened."""
    await until(page, "window.__bench?.painted")
    return float(await page.evaluate("__bench.painted - __bench.opened"))


async def way_of(page: Page, seconds: float) -> str:
    """Return the way the live view goes by now, waiting up to `seconds` for datagrams."""
    try:
        await until(page, "window.__bench.channels > 0", seconds)
    except TimeoutError:
        return "socket"
    return "datagrams"


async def press(page: Page, x: int, y: int) -> None:
    """Click at a place of the remote screen."""
    await page.mouse.move(*await page.evaluate("([x, y]) => __bench.at(x, y)", [x, y]))
    await asyncio.sleep(0.06)
    await page.mouse.down()
    await asyncio.sleep(0.03)
    await page.mouse.up()


async def choose(page: Page, scene: str) -> None:
    """Choose a scene of scenes.html."""
    await press(page, 20 + 40 * SCENES.index(scene), 20)
    await asyncio.sleep(1.2)
    await page.mouse.move(*await page.evaluate("__bench.at(900, 650)"))
    await asyncio.sleep(0.3)


async def opening(chair: Chair, n: int) -> AsyncIterator[dict[str, Any]]:
    """First pictures, and ways."""
    context = await chair.context()
    page = await chair.sit(context)
    yield {"measure": "way", "asked": "", "took": await way_of(page, WAY_S)}
    await chair.reopen(page, "datagrams")
    yield {"measure": "way", "asked": "datagrams", "took": await way_of(page, WAY_S)}
    yield {"measure": "opening", "ms": [round(await chair.reopen(page), 1) for _ in range(n)]}


async def link(chair: Chair, n: int) -> AsyncIterator[dict[str, Any]]:
    """First pictures from opening a link, each in a profile that has never been here."""
    first = await chair.context()
    await chair.sit(first)
    await first.close()
    taken = []
    for _ in range(n):
        context = await chair.context()
        page = await context.new_page()
        address = await make_link(chair.sandbox, take=False)
        began = time.time() * 1000
        await page.goto(address)
        await page.wait_for_url("**/sandboxes/*")
        await painted(page)
        taken.append(round(await page.evaluate("__bench.painted") - began, 1))
        await context.close()
    yield {"measure": "link", "ms": taken}


async def cut(chair: Chair, n: int) -> AsyncIterator[dict[str, Any]]:
    """Time without UDP until pictures and input go on."""
    page = await chair.sit(await chair.context(), "datagrams")
    if await way_of(page, WAY_S) != "datagrams":
        yield {"measure": "cut", "ms": [], "why": "no datagram way was opened"}
        return
    await choose(page, "flip")
    taken: list[float] = []
    missed = 0
    for _ in range(n):
        await page.evaluate("__bench.watchFlip()")
        with_no_udp = Void()
        with_no_udp.open()
        began = time.time() * 1000
        try:
            await press(page, 900, 500)
            taken.append(round(await until(page, "__bench.flip") - began, 1))
        except TimeoutError:
            missed += 1
        finally:
            with_no_udp.close()
        await chair.reopen(page, "datagrams")
        await way_of(page, WAY_S)
        await asyncio.sleep(0.5)
    yield {"measure": "cut", "ms": taken, "missed": missed}


class Void:
    """Drops all UDP that arrives at either of netlab.py's hosts, by policy routing; TCP goes on."""

    def __init__(self) -> None:
        here = subprocess.run(["ip", "netns", "identify"], check=True, capture_output=True, text=True).stdout.strip()
        if not re.fullmatch(r"nl\d+o", here):
            raise SystemExit(f"chair: to be run on netlab.py's operator host, not in {here or 'the open'}")
        self._hosts = ((here, f"{here[:-1]}b"), (f"{here[:-1]}s", f"{here[:-1]}a"))

    def open(self) -> None:
        """From now on every UDP packet is lost."""
        for host, device in self._hosts:
            # The table of local addresses comes first by default: it moves behind the new rule.
            _ip(host, "rule add priority 10 lookup local")
            _ip(host, f"rule add priority 5 iif {device} ipproto udp blackhole")
            _ip(host, "rule del priority 0")

    def close(self) -> None:
        """UDP arrives again."""
        for host, _ in self._hosts:
            _ip(host, "rule add priority 0 lookup local")
            _ip(host, "rule del priority 5")
            _ip(host, "rule del priority 10")


def _ip(host: str, words: str) -> None:
    subprocess.run(["ip", "-n", host, *words.split()], check=True)


async def processors(chair: Chair, n: int) -> AsyncIterator[dict[str, Any]]:
    """Processor time: idle with a viewer, film with one viewer and with ten, each `n` times in turn."""
    page = await chair.sit(await chair.context())
    hello = await page.evaluate("__bench.hello")
    for _ in range(n):
        await choose(page, "idle")
        yield {"measure": "cpu", "scene": "idle", "viewers": 1, **await _used()}
        yield {"measure": "cpu", "scene": "film", "viewers": 1, **await _film(page)}
        async with lean_viewers(chair.sandbox, 9, hello) as pictures:
            await asyncio.sleep(1)
            used = await _film(page)
            yield {"measure": "cpu", "scene": "film", "viewers": 10, **used, "pictures": statistics.median(pictures)}


async def _film(page: Page) -> dict[str, float]:
    await choose(page, "film")
    await press(page, 900, 600)
    await asyncio.sleep(1)
    used = await _used()
    await asyncio.sleep(2.5)  # the film ends by itself after ten seconds
    return used


async def _used() -> dict[str, float]:
    state = os.environ["BENCH_STATE"]
    before, began = cpu.shares(cpu.tasks(), state), time.monotonic()
    await asyncio.sleep(CPU_S)
    return cpu.percent(before, cpu.shares(cpu.tasks(), state), time.monotonic() - began)


MEASURES: Final = {"opening": opening, "link": link, "cut": cut, "cpu": processors}


@asynccontextmanager
async def seated(address: str) -> AsyncIterator[Chair]:
    """Start the operator's browser for a server's one-use link."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(address))
    os.environ["BENCH_URL"] = origin
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), chromium_sandbox=False,
            args=[*CHROMIUM, f"--unsafely-treat-insecure-origin-as-secure={origin}"],
        )  # fmt: skip
        try:
            yield Chair(browser, address)
        finally:
            await browser.close()


async def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("link")
    parser.add_argument("-n", type=int, default=20)
    told = parser.parse_args(given)
    async with seated(told.link) as chair:
        async for line in MEASURES[told.measure](chair, told.n):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
