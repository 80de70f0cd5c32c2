"""One headless Chromium for the module, a small site, and a watch whose news are kept."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from sandbox.blockers.eyes import Eyes
from sandbox.blockers.policy import Policies
from sandbox.blockers.watch import News, Watch
from sandbox.browser import Browser, launch
from sandbox.fence import Fence
from sandbox.pages import Page, Pages
from sandbox.screen import Size
from sandbox.words import NOBODY, THE_AGENT, Epoch, SystemClock


@dataclass
class Site:
    """Serves `pages`: path → (status, HTML)."""

    port: int
    pages: dict[str, tuple[int, str]] = field(default_factory=dict)

    def put(self, path: str, html: str, status: int = 200) -> str:
        """Serve a page and return its address."""
        self.pages[path] = (status, html)
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A site; a page with status 401 asks for basic authentication."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, html = served.pages.get(urlsplit(self.path).path, (404, ""))
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="r"')
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(html.encode())))
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Site(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield served
    server.shutdown()
    server.server_close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Browser, Pages]]:
    """One browser for the module."""
    browser = await launch(tmp_path_factory.mktemp("profile"), Size(1024, 768))
    pages = Pages(browser.connection)
    await pages.start()
    yield browser, pages
    await browser.close()


@dataclass
class Rig:
    """A watched page, and the agent that acts on it."""

    pages: Pages
    page: Page
    fence: Fence
    watch: Watch
    news: list[News]
    _epochs: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    async def goto(self, url: str) -> None:
        """Navigate as the agent does."""
        await self.pages.call(self.page, "Page.navigate", {"url": url})

    async def js(self, expression: str) -> Any:
        """Evaluate in the page."""
        params = {"expression": expression, "returnByValue": True, "userGesture": True}
        return (await self.pages.call(self.page, "Runtime.evaluate", params))["result"].get("value")

    async def click(self, x: int, y: int) -> None:
        """Click as the agent does, through the gate."""
        for type_ in ("mousePressed", "mouseReleased"):
            params = {"type": type_, "x": x, "y": y, "button": "left", "clickCount": 1}
            self.watch.acted(self.page.target, "Input.dispatchMouseEvent", params)
            await self.pages.call(self.page, "Input.dispatchMouseEvent", params)

    def hand(self, *, agent: bool) -> None:
        """Give control to the agent, or take it away."""
        self.fence.push(THE_AGENT if agent else NOBODY, Epoch(next(self._epochs)), 0.0)

    def told(self) -> list[str]:
        """The kinds that were told as new."""
        return [judged.finding.kind for news in self.news for judged in news.new]

    def gone(self) -> list[str]:
        """The kinds that were told as gone."""
        return [kind for news in self.news for kind in news.gone]

    async def until(self, holds: Callable[[], Any], seconds: float = 10) -> None:
        """Wait until it holds."""
        async with asyncio.timeout(seconds):
            while not holds():  # noqa: ASYNC110 - what is waited for happens in a browser
                await asyncio.sleep(0.02)

    async def settled(self, looks: int = 2) -> None:
        """Wait until the page was looked at so often and rests: what was to be told has been."""
        await self.until(lambda: self.watch.looks >= looks)
        # A document says only a moment later that it has changed.
        quiet_since = asyncio.get_running_loop().time()
        while (now := asyncio.get_running_loop().time()) - quiet_since < 0.4:
            quiet_since = quiet_since if self.watch.resting else now
            await asyncio.sleep(0.02)

    async def calm(self) -> None:
        """Wait until what the page does by itself is known as such, and the watch has looked since."""
        eyes = Eyes(self.pages.connection)
        eyes._world, eyes.binding = self.watch._eyes._world, self.watch._eyes.binding
        async with asyncio.timeout(10):
            states: list[str | None] = [None]
            while states[-1] is None or states[-1] != states[-2]:
                await asyncio.sleep(0.3)
                sight = await eyes.look(self.page, scan=False)
                states.append(sight.state if sight else None)
        await self.until(lambda: self.watch._watched[self.page.target].sight)
        watched = self.watch._watched[self.page.target]
        await self.until(lambda: watched.sight is not None and watched.sight.state == states[-1])


@pytest_asyncio.fixture(loop_scope="module")
async def rig(chromium: tuple[Browser, Pages]) -> AsyncIterator[Rig]:
    """A new tab, watched, with the agent in control."""
    browser, pages = chromium
    before = {page.target for page in pages.all}
    await browser.connection.call("Target.createTarget", {"url": "about:blank"})
    async with asyncio.timeout(10):
        while not (new := [page for page in pages.all if page.target not in before]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    fence = Fence()
    news: list[News] = []
    fence.push(THE_AGENT, Epoch(1), 0.0)
    watch = Watch(pages, fence, Policies(), SystemClock(), news.append)
    yield Rig(pages, new[0], fence, watch, news)
    await watch.close()
    await browser.connection.call("Target.closeTarget", {"targetId": new[0].target})
