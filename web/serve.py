"""`baton serve`: the composed services behind a port, until a signal."""

from __future__ import annotations

import asyncio
import functools
import gc
import http.server
import io
import os
import signal
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

import structlog
import uvicorn

from sandbox.words import SandboxId, Unavailable
from web import logs, runtime
from web.app import create_app, server_options
from web.services import Services
from web.settings import Settings

log = structlog.get_logger("baton")


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to whoever composes."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


@dataclass(slots=True)
class Running:
    """A server that answers on its port; `stopped` is set when it has ended or should."""

    services: Services
    stopped: asyncio.Event
    keep_sandboxes: bool = False

    @property
    def url(self) -> str:
        """Where people and agents reach it."""
        return self.services.settings.base_url()

    async def link(self, *, sandbox: SandboxId | None = None, take: bool = False) -> str:
        """Make a one-use link into the console."""
        return (await self.services.access.create_link(name="You", sandbox=sandbox, take=take))[1]


@asynccontextmanager
async def running(
    settings: Settings, prepare: Callable[[Running], Awaitable[None]] | None = None
) -> AsyncIterator[Running]:
    """Answer on the port while the block runs. SIGINT ends it and its sandboxes; SIGTERM leaves them to be adopted.

    `prepare` is awaited before the port answers, so that who waits for the port finds what it made.
    """
    logs.setup(settings.log_level, settings.log_format)
    plug = _listen(settings)
    settings = settings.model_copy(update={"port": plug.getsockname()[1]})
    if not settings.loopback:
        log.warning(
            "listening beyond this machine: only tokens and sign-ins stand between the network and the sandboxes",
            host=settings.host, encrypted=settings.tls,
            remedy="" if settings.tls else "give --tls-cert and --tls-key, or anyone on the way can read along",
        )  # fmt: skip
    async with runtime.serving(settings) as services:
        server = _Server(uvicorn.Config(create_app(services), **server_options(settings)))
        state = Running(services, asyncio.Event())
        loop = asyncio.get_running_loop()

        def end(keep_sandboxes: bool) -> None:
            state.keep_sandboxes = keep_sandboxes
            state.stopped.set()

        loop.add_signal_handler(signal.SIGINT, end, False)
        loop.add_signal_handler(signal.SIGTERM, end, True)
        task: asyncio.Task[None] | None = None
        try:
            if prepare is not None:
                await prepare(state)
            task = asyncio.create_task(server.serve(sockets=[plug]))
            task.add_done_callback(lambda _task: state.stopped.set())
            while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            _settle_memory()
            yield state
        finally:
            if not state.keep_sandboxes:
                await services.sandboxes.close_all("the server was stopped")
            # Else uvicorn would wait for the long polls, then cut them off with a 500.
            services.broker.answer_waiting()
            server.should_exit = True
            if task is not None:
                await task


def _settle_memory() -> None:
    """Leave what is there for good (modules, recovered sandboxes) out of later searches for garbage.

    With 10,000 open handoffs one full search stands in everybody's way for a quarter of a second.
    """
    gc.collect()
    gc.freeze()


def _listen(settings: Settings) -> socket.socket:
    """Bind before anything else starts, so that a taken port costs nothing. Raises `Unavailable`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    plug = socket.socket(family, socket.SOCK_STREAM)
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by every accepted connection: without it the second of two small answers waits for the peer's
    # delayed acknowledgement, 40 ms, which an agent that pipelines its commands pays on every step.
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        plug.bind((settings.host, settings.port))
    except OSError as error:
        plug.close()
        why = error.strerror or "it cannot be bound"
        raise Unavailable(f"cannot listen on {settings.host}:{settings.port}: {why}; choose another --port") from error
    return plug


async def serve(settings: Settings, open_url: str | None, link_file: Path | None) -> None:
    """Run until a signal. With `open_url` also open a sandbox there; its link takes control of it.

    The link stands in `link_file` before the port answers.
    """
    link = ""

    async def prepare(server: Running) -> None:
        nonlocal link
        if open_url is None:
            link = await server.link()
        else:
            sandbox = await server.services.sandboxes.open(url=pages.enter_context(local_page(open_url)))
            link = await server.link(sandbox=SandboxId(sandbox["id"]), take=True)
        if link_file is not None:
            write_link(link_file, link)

    with ExitStack() as pages:
        async with running(settings, prepare) as server:
            print(f"Baton is running at {server.url}\nOpen the console, once, with: {link}", flush=True)  # noqa: T201 - what `baton serve` is asked for
            await server.stopped.wait()


def write_link(path: Path, link: str) -> None:
    """Write a link for the eyes of whoever runs the server alone: it signs in whoever reads it. Whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(link)
    Path(name).replace(path)


@contextmanager
def local_page(url: str) -> Generator[str]:
    """Yield an address a sandbox can open: `url` itself, or a loopback server's for a local file and its neighbours.

    Neighbours are files at or below its directory; none that is hidden, and no list of them.
    """
    path = Path(url)
    if "://" in url or not path.is_file():
        yield url
        return

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

        def send_head(self) -> io.BytesIO | BinaryIO | None:
            """Refuse what the page has no business with: whoever drives the sandbox can ask for anything here."""
            wanted = Path(self.translate_path(self.path)).resolve()
            inside = wanted.is_relative_to(root) and wanted.is_file()
            if not inside or any(part.startswith(".") for part in wanted.relative_to(root).parts):
                self.send_error(404)
                return None
            return super().send_head()

    root = path.resolve().parent
    handler = functools.partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{quote(path.name)}"
        finally:
            server.shutdown()
