"""A viewer in a real Chromium: `rtc.js` in a page, an `Edge` here, and a keeper that is two lists."""

from __future__ import annotations

import asyncio
import json
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from streaming.rtc.edge import Datagrams, Edge
from tests.streaming.rtc.network import until

STATIC = Path(__file__).parents[3] / "web" / "static" / "stream"
PAGE = """<!doctype html><title>viewer</title><script type="module">
import { Ways } from '/rtc.js';
window.heard = [];
window.begin = query => {
  window.ways = new Ways(new URL(`/live${query}`, location.href.replace('http', 'ws')));
  ways.onmessage = ({ data }) => {
    if (typeof data === 'string') { heard.push(data); return; }
    const bytes = new Uint8Array(data);
    heard.push(`${bytes.length} bytes of ${bytes[0]}`);
    if (bytes[0] === 2) ways.send(`{"t":"ack","f":${bytes.length},"d":1.5}`);
  };
  return new Promise(done => { ways.onopen = done; });
};
window.ready = true;
</script>"""


class Joined:
    """What stands behind one viewer: the edge, and what the keeper heard."""

    def __init__(self) -> None:
        self.keeper: list[str] = []
        self.edge: Edge | None = None
        self.connected = asyncio.Event()

    @property
    def joined(self) -> Edge:
        """The edge, once the socket is open."""
        assert self.edge is not None
        return self.edge

    def inputs(self) -> list[Any]:
        """The numbers of the inputs that the keeper heard."""
        return [message["n"] for message in map(json.loads, self.keeper) if message["t"] == "key"]

    async def typed(self, count: int) -> None:
        """Wait until the keeper heard so many inputs; they are these, once each and in order."""
        await until(lambda: len(self.inputs()) >= count)
        assert self.inputs() == list(range(count))

    def said(self, kind: str) -> list[dict[str, Any]]:
        """What the keeper heard of one kind."""
        return [message for message in map(json.loads, self.keeper) if message["t"] == kind]


class Viewing(Joined):
    """One viewer: its page, and what stands behind it."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page

    async def on(self, way: str, seconds: float = 8) -> None:
        """Wait until both ends are on that way."""
        await until(lambda: self.joined.way == way, seconds)
        await self.page.wait_for_function("way => ways.stats.way === way", arg=way, timeout=seconds * 1000)

    async def heard(self, count: int, seconds: float = 8) -> list[str]:
        """Wait until the page has heard so many messages; all it heard."""
        await self.page.wait_for_function("count => heard.length >= count", arg=count, timeout=seconds * 1000)
        said: list[str] = await self.page.evaluate("heard")
        return said


@asynccontextmanager
async def serving(viewer: Joined, datagrams: Datagrams | None, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve the page, and be the server behind its socket; yields the page's address."""

    async def live(socket: ServerConnection) -> None:
        async def to_keeper(message: str | bytes) -> None:
            viewer.keeper.append(str(message))

        edge = viewer.edge = Edge(socket.send, to_keeper, datagrams)
        viewer.connected.set()
        try:
            async for message in socket:
                await edge.hear(message)
        finally:
            await edge.close()

    async with serve(live, host, 0, process_request=_file, max_size=None) as server:
        yield f"http://{host}:{next(iter(server.sockets)).getsockname()[1]}/"


@asynccontextmanager
async def viewing(
    browser: Browser, datagrams: Datagrams | None, query: str = "?way=datagrams"
) -> AsyncIterator[Viewing]:
    """Open a page and its socket."""
    page = await browser.new_page()
    viewer = Viewing(page)
    async with serving(viewer, datagrams) as url:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(url)
        await page.wait_for_function("window.ready")
        await page.evaluate("query => begin(query)", query)
        await viewer.connected.wait()
        try:
            yield viewer
        finally:
            await page.close()
        assert errors == []


def _file(_: ServerConnection, request: Request) -> Response | None:
    path = request.path.partition("?")[0]
    if path == "/live":
        return None
    file = STATIC / path[1:]
    body = PAGE.encode() if path == "/" else file.read_bytes() if file.is_file() else b""
    kind = mimetypes.guess_type(path)[0] or "text/html"
    return Response(HTTPStatus.OK, "OK", Headers({"Content-Type": kind, "Content-Length": str(len(body))}), body)
