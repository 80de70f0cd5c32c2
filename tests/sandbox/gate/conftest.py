"""A real Chromium, a tiny site on two origins, and a gate on a loopback port."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import websockets

from sandbox.browser import Browser, launch
from sandbox.gate.socket import PATH, CdpConnection
from sandbox.pages import Pages
from sandbox.screen import Size
from tests.sandbox.gate.rig import PAGES, Raw, Rig, Site, until


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Serve the pages on 127.0.0.1 and localhost."""
    asked: list[str] = []
    headers: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            headers.append(dict(self.headers))
            path = urlsplit(self.path).path
            if path == "/slow":
                threading.Event().wait(1.5)
            if path == "/away":
                self.send_response(302)
                self.send_header("Location", f"{other}/bounce")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if path == "/bounce":
                self.send_response(302)
                self.send_header("Location", f"{here}/two")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if path == "/locked" and "Authorization" not in self.headers:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="r"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = PAGES.get(path, "<h1>Plain</h1>").replace("{other}", other).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript" if path.endswith(".js") else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    here, other = f"http://127.0.0.1:{server.server_port}", f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(here, other, asked, headers)
    server.shutdown()
    server.server_close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Browser, Pages]]:
    """One browser for all tests of the gate."""
    browser = await launch(tmp_path_factory.mktemp("profile"), Size(1024, 768))
    pages = Pages(browser.connection)
    await pages.start()
    yield browser, pages
    await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def rig(chromium: tuple[Browser, Pages], tmp_path: Path, site: Site) -> AsyncIterator[Rig]:
    """A gate, open for the agent, on a page of the site."""
    browser, pages = chromium
    rig = Rig(browser, pages, tmp_path)
    await rig.gate.start()
    write = browser.connection._writer.write

    def tapped(data: bytes | bytearray | memoryview) -> None:
        rig.written.append(bytes(data))
        write(data)

    browser.connection._writer.write = tapped  # type: ignore[method-assign]
    first = pages.all[0]
    await rig.goto(site.here + "/", first)
    server = await websockets.serve(
        rig.serve, "127.0.0.1", 0, compression=None, max_size=None, create_connection=CdpConnection
    )
    rig.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATH}"
    await rig.open()
    yield rig
    server.close()
    await server.wait_closed()
    browser.connection._writer.write = write  # type: ignore[method-assign]
    await browser.connection.call("Target.createTarget", {"url": "about:blank"})
    for page in pages.all[:-1]:
        await browser.connection.call("Target.closeTarget", {"targetId": page.target})
    await until(lambda: len(pages.all) == 1)


@pytest_asyncio.fixture(loop_scope="session")
async def raw(rig: Rig) -> AsyncIterator[Raw]:
    """A raw client on the gate."""
    client = Raw(await websockets.connect(rig.url, max_size=None, compression=None))
    yield client
    await client.close()
