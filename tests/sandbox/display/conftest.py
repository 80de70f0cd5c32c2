"""One Chromium on one Xvfb for each module, with the keeper's window manager, and a small site on two host names."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.sandbox.display.rig import ANN, Desk, Site, desk_of, until


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_desk(tmp_path_factory: pytest.TempPathFactory, site: Site) -> AsyncIterator[Desk]:
    """One browser on one display for a module."""
    async with desk_of(tmp_path_factory.mktemp("desk"), site) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def desk(one_desk: Desk) -> Desk:
    """The module's browser with one tab, held by Ann under a new epoch, nothing pressed and nothing heard yet."""
    for page in one_desk.pages.all[1:]:
        await one_desk.pages.connection.call("Target.closeTarget", {"targetId": page.target})
    await until(lambda: len(one_desk.pages.all), 1)
    one_desk.give(ANN)
    one_desk.ear.copied.clear()
    return one_desk
