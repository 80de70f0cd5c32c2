"""One headless Chromium for each module, a fresh page for each test, and a small site on two host names."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from sandbox.browser import launch
from sandbox.pages import Page, Pages
from sandbox.screen import Rect, Size
from sandbox.state import StateRoom
from sandbox.words import SystemClock


class Site:
    """Serves what `pages` holds, path → HTML."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pages: dict[str, str] = {}

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a page."""
        return f"http://{host}:{self.port}{path}"


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A site reachable as 127.0.0.1 and as localhost: two sites to the browser."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.pages.get(urlsplit(self.path).path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Site(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


async def until(holds: Callable[[], Awaitable[Any] | Any], seconds: float = 10) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while True:
            value = holds()
            if await value if asyncio.iscoroutine(value) else value:
                return
            await asyncio.sleep(0.02)


@dataclass
class Tester:
    """A page under test and the room that knows its state."""

    pages: Pages
    room: StateRoom
    site: Site
    masks: list[tuple[Rect, ...]]

    @property
    def page(self) -> Page:
        """The active page."""
        return self.pages.get(None)

    async def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call CDP on the active page."""
        return await self.pages.call(self.page, method, params)

    async def run(self, script: str, session: str | None = None) -> Any:
        """Evaluate in the page's own world."""
        params = {"expression": script, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = await self.pages.connection.call("Runtime.evaluate", params, session or self.page.session)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def open(self, html: str, path: str = "/page", host: str = "127.0.0.1") -> None:
        """Show `html` in the active page, loaded."""
        self.site.pages[path] = f"<!doctype html><title>A page</title>{html}"
        await self.go(self.site.url(path, host))

    async def go(self, url: str) -> None:
        """Navigate the active page and wait until it is loaded."""
        loaded = asyncio.Event()
        end = self.pages.on_event(lambda _p, _s, m, _d: loaded.set() if m == "Page.loadEventFired" else None)
        await self.call("Page.navigate", {"url": url})
        await asyncio.wait_for(loaded.wait(), 10)
        end()

    async def type(self, selector: str, text: str) -> None:
        """Focus a field of the main frame and type into it as a user would."""
        await self.run(f"document.querySelector({selector!r}).focus()")
        await self.call("Input.insertText", {"text": text})

    async def until(self, holds: Callable[[], Awaitable[Any] | Any]) -> None:
        """Wait for something to become true."""
        await until(holds)

    async def change(self, script: str) -> dict[str, Any]:
        """Mark, run `script` in the page, and return the diff."""
        await self.room.mark("h")
        await self.run(script)
        answer: dict[str, Any] = (await self.room.diff("h"))["diff"]
        return answer


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Pages]:
    """A browser with one blank page."""
    browser = await launch(folder / "profile", Size(800, 600))
    pages = Pages(browser.connection)
    await pages.start()
    try:
        yield pages
    finally:
        await browser.close()


@contextlib.asynccontextmanager
async def tested(pages: Pages, site: Site) -> AsyncIterator[Tester]:
    """A room of the test's own on a browser."""
    masks: list[tuple[Rect, ...]] = []
    room = StateRoom(pages, None, b"k" * 32, SystemClock(), set_masks=lambda rects: masks.append(tuple(rects)))
    try:
        yield Tester(pages, room, site, masks)
    finally:
        await room.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser_pages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pages]:
    """One browser for a module."""
    async with opened(tmp_path_factory.mktemp("browser")) as pages:
        yield pages


@pytest_asyncio.fixture(loop_scope="module")
async def tester(browser_pages: Pages, site: Site) -> AsyncIterator[Tester]:
    """A fresh page without cookies and storage; what the test before left is closed."""
    call = browser_pages.connection.call
    old = {page.target for page in browser_pages.all}
    await call("Target.createTarget", {"url": "about:blank"})
    await until(lambda: {page.target for page in browser_pages.all} - old)
    for target in old:
        await call("Target.closeTarget", {"targetId": target})
    await until(lambda: not {page.target for page in browser_pages.all} & old)
    await call("Storage.clearCookies")
    async with tested(browser_pages, site) as made:
        for host in ("127.0.0.1", "localhost"):
            origin = {"origin": site.url("", host), "storageTypes": "all"}
            await made.call("Storage.clearDataForOrigin", origin)
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def alone(tmp_path: Path, site: Site) -> AsyncIterator[Tester]:
    """A page in a browser of the test's own, to be ruined."""
    async with opened(tmp_path) as pages, tested(pages, site) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(browser_pages: Pages, site: Site) -> AsyncIterator[Tester]:
    """One page for all tests of a module that only look."""
    async with tested(browser_pages, site) as made:
        yield made
