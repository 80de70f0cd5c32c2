"""The keeper: one process, one sandbox, one socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from sandbox.authority import Authority
from sandbox.blockers.policy import read_policies
from sandbox.fence import Fence
from sandbox.gate import CdpConnection, WhileHeld
from sandbox.keeper.assembly import Assembly
from sandbox.keeper.blockers import Blockers
from sandbox.keeper.control import Control, open_page
from sandbox.keeper.files import HANDING, SOCKET, KeeperConfig, KeeperRecord, socket_address
from sandbox.keeper.handed import Handed
from sandbox.keeper.log import where
from sandbox.keeper.news import News
from sandbox.keeper.parts import KeptScreen
from sandbox.keeper.peer import Peer
from sandbox.pages import Pages
from sandbox.processes import Process
from sandbox.words import CODES, BadRequest, BatonError, Clock, Conflict, Gone, Kind, SystemClock, Unavailable

type Handler = Callable[[ServerConnection, Mapping[str, str]], Awaitable[None]]
"""Serves one WebSocket of one path, until it closes."""

_PING_S: Final = 10.0
_PONG_S: Final = 30.0
_MAKE_WAY_S: Final = 0.5
_MOST_NOTES: Final = 20
_BACKLOG: Final = 64
_log = structlog.get_logger("keeper")


class ServerLink:
    """How a keeper's authority reaches the server, whichever it is at the moment."""

    def __init__(self) -> None:
        self._peer: Peer | None = None

    def __repr__(self) -> str:
        return f"<ServerLink {'up' if self.connected else 'down'}>"

    @property
    def connected(self) -> bool:
        """Whether a server holds this sandbox now."""
        return self._peer is not None and not self._peer.closed.is_set()

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask the server, as `handoff.ask` does. Raises what it answers; `Unavailable` without a server."""
        if self._peer is None:
            raise Unavailable("this sandbox has no server at the moment; try again in a few seconds")
        return await self._peer.request(method, params)

    def emit(self, event: str, params: dict[str, Any]) -> None:
        """Tell the server, if there is one."""
        if self._peer is not None:
            self._peer.emit(event, params)


class Keeper:
    """Owns one sandbox. Create it inside a running loop and `serve` once; it returns when everything is removed."""

    def __init__(
        self, config: KeeperConfig, make_authority: Callable[[ServerLink], Authority], clock: Clock | None = None
    ) -> None:
        self.config = config
        self.fence = Fence()
        self.link = ServerLink()
        self._clock = clock or SystemClock()
        self._authority = make_authority(self.link)
        self.fence.listen(self._authority.pushed)
        self._news = News(self.link)
        self._assembly: Assembly | None = None
        self._control: Control | None = None
        self._blockers: Blockers | None = None
        self._ready = asyncio.Event()
        self._failure: BatonError | None = None
        self._dead: str | None = None
        self._notes: list[str] = []
        self._ending = asyncio.Event()
        self._adoption: asyncio.TimerHandle | None = None
        self._current: tuple[Peer, ServerConnection] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_close: list[Callable[[], Awaitable[None]]] = []

    def __repr__(self) -> str:
        state = "ending" if self._ending.is_set() else self._dead or ("up" if self._ready.is_set() else "starting")
        return f"<Keeper {self.config.sandbox} {state} {self.fence}>"

    # What the composer uses in its routes; they are only called while the sandbox is up.

    @property
    def screen(self) -> KeptScreen:
        """The screen. Raises `Gone` while there is none."""
        return self._up().screen

    @property
    def pages(self) -> Pages:
        """The pages. Raises `Gone` while there are none."""
        return self._up().pages

    @property
    def assembly(self) -> Assembly:
        """All parts. Raises `Gone` while there are none."""
        return self._up()

    def at_close(self, step: Callable[[], Awaitable[None]]) -> None:
        """Await `step` before display and browser end (a stream hub lets go of the screen)."""
        self._at_close.append(step)

    async def serve(self, routes: Mapping[str, Handler] | None = None) -> None:
        """Start the sandbox, answer on its socket, end it: by `close`, SIGTERM, or when nobody adopts it in time.

        `routes` are further paths; `/control` and `/cdp` are the keeper's own.
        """
        directory = self.config.directory
        KeeperRecord(self.config.sandbox, Process.of(os.getpid()) or Process(os.getpid(), 0)).write(directory)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        paths: dict[str, Handler] = {**(routes or {}), "/cdp": self._serve_cdp, "/control": self._serve_control}
        server = await serve(
            lambda connection: self._route(connection, paths), sock=self._bind(),
            compression=None, max_size=None, ping_interval=None, close_timeout=1, server_header=None,
            create_connection=CdpConnection,
        )  # fmt: skip
        handed = Handed(self._bind(HANDING), lambda connection: self._route(connection, paths))
        self._wait_for_adoption()
        self._spawn(self._start())
        try:
            await self._ending.wait()
        finally:
            _log.info("ending", sandbox=self.config.sandbox)
            await self._end()
            handed.close()
            server.close()
            await server.wait_closed()

    def _bind(self, name: str = SOCKET) -> socket.socket:
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # It gets its name when it listens: whoever sees it can connect.
        new = f".{name}"
        (self.config.directory / new).unlink(missing_ok=True)
        # The directory may be open to the sandbox's own user; the socket never is.
        before = os.umask(0o177)
        try:
            with socket_address(self.config.directory, new) as address:
                plug.bind(address)
        finally:
            os.umask(before)
        plug.listen(_BACKLOG)
        plug.setblocking(False)
        (self.config.directory / new).replace(self.config.directory / name)
        return plug

    async def _start(self) -> None:
        try:
            assembly = self._assembly = await Assembly.open(
                self.config, self.fence, self._authority, self._clock, self._news.download
            )
        except BatonError as error:
            _log.error("did not start", error=type(error).__name__, why=error.message)
            self._failure = error
            self._ready.set()
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, the server must be told
            _log.error("did not start", error=type(error).__name__, where=where(error))
            self._failure = Unavailable(f"the sandbox did not start: {type(error).__name__}; its log says where")
            self._ready.set()
            return
        self._control = Control(
            self.fence, assembly.pages, assembly.screen, assembly.state, assembly.gate, self._note, self.link.emit
        )
        self._news.follow(assembly, self._note)
        self._blockers = Blockers(
            assembly.pages, self.fence, assembly.gate, self.link, read_policies(self.config.blockers), self._clock
        )
        self._ready.set()
        _log.info("up", sandbox=self.config.sandbox, browser=assembly.product, isolation=assembly.isolation.level)
        if self.config.url:
            self._spawn(self._open_first(assembly, self.config.url))
        self._spawn(self._watch_browser(assembly))

    async def _open_first(self, assembly: Assembly, url: str) -> None:
        try:
            await open_page(assembly.pages, url, self._note)
        except BatonError as error:
            self._note(f"the first page did not open: {error.message}")

    async def _watch_browser(self, assembly: Assembly) -> None:
        self._dead = await assembly.ended()
        if not self._ending.is_set():
            _log.error("browser died", reason=self._dead)
            self.fence.shut()
            self.link.emit("browser.died", {"reason": self._dead})

    # The socket.

    async def _route(self, connection: ServerConnection, paths: Mapping[str, Handler]) -> None:
        assert connection.request is not None  # noqa: S101 - a handler runs after the handshake
        parts = urlsplit(connection.request.path)
        handler = paths.get(parts.path)
        try:
            if handler is None:
                await connection.close(CODES[Kind.MISSING].ws, "a keeper has no such path")
                return
            if parts.path != "/control":
                await self._ready.wait()
                self._up()
            await handler(connection, dict(parse_qsl(parts.query)))
        except BatonError as error:
            await connection.close(error.codes.ws, error.message.encode()[:120].decode(errors="ignore"))
        except ConnectionClosed:
            return
        except Exception as error:  # noqa: BLE001 - one connection's failure ends that connection
            _log.error("connection failed", path=parts.path, error=type(error).__name__, where=where(error))
            await connection.close(CODES[Kind.BUG].ws, "the keeper failed; its log says where")

    async def _serve_cdp(self, connection: ServerConnection, query: Mapping[str, str]) -> None:
        self._news.agent_soon()
        try:
            await self._up().gate.serve(cast("CdpConnection", connection), query.get("client", ""), _while_held(query))
        finally:
            self._news.agent_soon()

    async def _serve_control(self, connection: ServerConnection, _query: Mapping[str, str]) -> None:
        await self._make_way()
        peer = Peer(connection, self._answer, lambda _event, _params: None)
        self._current = (peer, connection)
        self.link._peer = peer  # noqa: SLF001 - the link is this keeper's own
        if self._adoption is not None:
            self._adoption.cancel()
        pinging = asyncio.create_task(_keep_alive(connection))
        try:
            await peer.run()
        finally:
            pinging.cancel()
            self._on_server_lost(peer)

    async def _make_way(self) -> None:
        """Let a new server in only where the old one is gone. Raises `Conflict` otherwise."""
        while self._current is not None:
            peer, connection = self._current
            try:
                await asyncio.wait_for(peer.closed.wait(), _MAKE_WAY_S)
            except TimeoutError:
                holder = _process_behind(connection)
                if holder is not None and Process.of(holder) is not None:
                    message = f"another server (process {holder}) holds this sandbox; stop it first"
                    raise Conflict(message, pid=holder) from None
                connection.transport.abort()
                await peer.closed.wait()
            # Before the next one is greeted: what the old one had pushed must not outlive it.
            self._on_server_lost(peer)

    def _on_server_lost(self, peer: Peer) -> None:
        """Let nobody act until the next server pushes. Does nothing for a server that is lost already."""
        if self._current is None or self._current[0] is not peer:
            return
        self._current = self.link._peer = None  # noqa: SLF001 - the link is this keeper's own
        _log.warning("server lost", sandbox=self.config.sandbox)
        if self._control is not None:
            self._control.sever()
        else:
            self.fence.shut()
        if self._failure is not None:
            self._ending.set()
        self._wait_for_adoption()

    def _wait_for_adoption(self) -> None:
        if self._adoption is not None:
            self._adoption.cancel()
        self._adoption = asyncio.get_running_loop().call_later(self.config.adoption_s, self._ending.set)

    # What the server asks.

    async def _answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "close":
            await self._take_apart()
            asyncio.get_running_loop().call_soon(self._ending.set)
            return {}
        await self._ready.wait()
        if self._failure is not None:
            raise self._failure
        if method == "hello":
            return self._hello()
        self._up()
        assert self._control is not None and self._blockers is not None  # noqa: S101, PT018 - made with the assembly
        if method == "blockers.get":
            return self._blockers.to_wire()
        if method == "handoff.completed":
            self._blockers.completed(params["handoff"], params["result"])
        return await self._control.answer(method, params)

    def _hello(self) -> dict[str, Any]:
        assert self._assembly is not None  # noqa: S101 - ready and not failed
        if self._dead is not None:
            # Said again to every server: the one that heard it first may have died before it wrote it down.
            asyncio.get_running_loop().call_soon(self.link.emit, "browser.died", {"reason": self._dead})
        return {
            "sandbox": self.config.sandbox, "pid": os.getpid(),
            "width": self.config.size.width, "height": self.config.size.height,
            "holder": self.fence.holder.to_wire(), "epoch": self.fence.epoch,
            "browser": self._assembly.product, "isolation": self._assembly.isolation.to_wire(),
            "tabs": self._news.tabs(), "notes": [*self._notes, *([self._dead] if self._dead else [])],
        }  # fmt: skip

    def _note(self, note: str) -> None:
        self._notes.append(note)
        del self._notes[:-_MOST_NOTES]
        _log.warning("note", note=note)

    def _up(self) -> Assembly:
        if self._dead is not None:
            raise Gone(f"the browser of this sandbox has ended: {self._dead}", reason=self._dead)
        if self._assembly is None or self._ending.is_set():
            raise Gone("this sandbox has ended")
        return self._assembly

    # The end.

    async def _end(self) -> None:
        if self._adoption is not None:
            self._adoption.cancel()
        await self._take_apart()
        if self._current is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._current[0].flush(), 1)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_apart(self) -> None:
        """End the sandbox and remove its directory. Safe to call again."""
        self.fence.shut()
        self._news.close()
        while self._at_close:
            step = self._at_close.pop()
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - the sandbox must end all the same
                _log.error("could not end", part="composer", error=type(error).__name__, where=where(error))
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._blockers is not None:
            await self._blockers.close()
        if self._control is not None:
            await self._control.close()
        if self._assembly is not None:
            await self._assembly.close()
        shutil.rmtree(self.config.directory, ignore_errors=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task failed", error=type(error).__name__, where=where(error))


def _while_held(query: Mapping[str, str]) -> WhileHeld:
    try:
        return WhileHeld(query.get("while_held", WhileHeld.REFUSE))
    except ValueError as error:
        raise BadRequest("while_held is 'refuse' or 'wait'") from error


async def _keep_alive(connection: ServerConnection) -> None:
    """Close a connection whose other end has stopped answering."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            pong = await connection.ping()
            try:
                await asyncio.wait_for(pong, _PONG_S)
            except TimeoutError:
                connection.transport.abort()
                return
            await asyncio.sleep(_PING_S)


def _process_behind(connection: ServerConnection) -> int | None:
    """The process that connected (SO_PEERCRED, unix(7)); None where the system does not say."""
    plug = connection.transport.get_extra_info("socket")
    if plug is None or not hasattr(socket, "SO_PEERCRED"):
        return None
    pid: int = struct.unpack("3i", plug.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[0]
    return pid or None
