"""The server's end of one keeper's control link."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException

from sandbox.host.handing import Line
from sandbox.host.raw import RawEnd
from sandbox.keeper.files import HANDING, SOCKET, socket_address
from sandbox.keeper.peer import EventHandler, Peer, RequestHandler
from sandbox.words import CODES, Conflict, Epoch, Holder, Kind, SandboxId, Unavailable

_OPEN_S: Final = 10.0
_PING_S: Final = 10.0
_PONG_S: Final = 30.0
_END_S: Final = 20.0
_SLOW_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Hello:
    """What a keeper says of itself."""

    sandbox: SandboxId
    pid: int
    width: int
    height: int
    holder: Holder
    epoch: Epoch
    browser: str
    isolation: Mapping[str, Any]
    tabs: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form."""
        return cls(
            SandboxId(data["sandbox"]), data["pid"], data["width"], data["height"], Holder.from_wire(data["holder"]),
            Epoch(data["epoch"]), data["browser"], data["isolation"], tuple(data["tabs"]), tuple(data["notes"]),
        )  # fmt: skip


class KeeperLink:
    """One live control link. `closed` is set when it has gone, whoever ended it."""

    def __init__(self, sandbox: SandboxId, directory: Path, connection: ClientConnection) -> None:
        self.sandbox = sandbox
        self.directory = directory
        self._connection = connection
        self._listeners: list[EventHandler] = []
        self._handler: RequestHandler | None = None
        self._missed: list[tuple[str, dict[str, Any]]] = []
        self._peer = Peer(connection, self._on_request, self._on_event)
        self.closed = self._peer.closed
        self.hello: Hello | None = None
        self._running = asyncio.create_task(self._peer.run(), name=f"keeper-{sandbox}")

    def __repr__(self) -> str:
        return f"<KeeperLink {self.sandbox} {'closed' if self.closed.is_set() else 'open'}>"

    @classmethod
    async def open(cls, sandbox: SandboxId, directory: Path, server: str) -> Self:
        """Connect and say hello; returns once the sandbox is up.

        Raises `Unavailable` when no keeper answers, `Conflict` when another server holds it, and what kept the
        sandbox from starting.
        """
        link = cls(sandbox, directory, await _connect(directory, "/control", keep_alive=True))
        try:
            link.hello = Hello.from_wire(await link.call("hello", {"server": server}, _SLOW_S))
        except BaseException as error:
            await link.detach()
            code = link._connection.close_code
            if code == CODES[Kind.CONFLICT].ws:
                raise Conflict(link._connection.close_reason or "another server holds this sandbox") from error
            raise
        return link

    @property
    def alive(self) -> bool:
        """Whether the link still stands."""
        return not self.closed.is_set()

    async def connect(self, path: str, query: Mapping[str, str]) -> ClientConnection:
        """Open another WebSocket to the keeper, for a relay. Raises `Unavailable`."""
        return await _connect(self.directory, f"{path}?{urlencode(query)}", keep_alive=False)

    def hand_over(self, path: str, query: Mapping[str, str]) -> Line:
        """Open a line on which a client's connection can be handed to the keeper. Raises `Unavailable`."""
        return Line(_plug(self.directory, HANDING), f"{path}?{urlencode(query)}")

    async def connect_raw(self, path: str, query: Mapping[str, str]) -> RawEnd:
        """Open another WebSocket to the keeper, for a relay that passes bytes on. Raises `Unavailable`."""
        plug = _plug(self.directory)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_OPEN_S):
                _, end = await loop.create_unix_connection(
                    lambda: RawEnd(f"ws://keeper{path}?{urlencode(query)}"), sock=plug
                )
                await end.opened
        except (OSError, TimeoutError) as error:
            plug.close()
            raise _silent() from error
        return end

    def on_event(self, listener: EventHandler) -> Callable[[], None]:
        """Hear what the keeper tells, from the first event on; returns a function that ends it."""
        self._listeners.append(listener)
        missed, self._missed = self._missed, []
        for event, params in missed:
            listener(event, params)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def serve_requests(self, handler: RequestHandler) -> None:
        """Answer the keeper's requests (`handoff.ask` and the like) with `handler(method, params)`."""
        self._handler = handler

    async def call(self, method: str, params: dict[str, Any], timeout: float = _END_S) -> dict[str, Any]:  # noqa: ASYNC109 - handed on
        """Ask the keeper. Raises what it answers, or `Unavailable`."""
        return await self._peer.request(method, params, timeout)

    async def close_gate(self, epoch: Epoch, holder: Holder, since: float, drain_s: float) -> list[dict[str, Any]]:
        """Stop the agent; returns the commands whose outcome is unknown. After it a lease may be granted."""
        params = {"epoch": epoch, "holder": holder.to_wire(), "since": since, "drain_s": drain_s}
        unknown: list[dict[str, Any]] = (await self.call("gate.close", params, _SLOW_S + drain_s))["unknown"]
        return unknown

    async def push_control(
        self, epoch: Epoch, holder: Holder, since: float, *, secret: bool = False, handoff: str | None = None
    ) -> list[str]:
        """Say who holds control while the gate stays shut; returns the tabs in which the agent has left code."""
        params = {"epoch": epoch, "holder": holder.to_wire(), "since": since, "secret": secret, "handoff": handoff}
        tabs: list[str] = (await self.call("control.push", params))["agent_code"]
        return tabs

    async def open_gate(self, epoch: Epoch, since: float) -> dict[str, Any]:
        """Give control to the agent; returns `{"notes", "stale"}`: what it must know, and which handles are gone."""
        return await self.call("gate.open", {"epoch": epoch, "since": since}, _SLOW_S)

    async def mark(self, label: str) -> dict[str, Any]:
        """Take the snapshot *before*; returns `{"url", "title"}`."""
        return await self.call("state.mark", {"label": label})

    async def diff(self, label: str) -> dict[str, Any]:
        """Take the snapshot *after*; returns `{"diff", "text", "images"}`."""
        return await self.call("state.diff", {"label": label})

    async def check(self, condition: Mapping[str, Any]) -> dict[str, Any]:
        """Judge a condition; returns `{"met", "parts"}`."""
        return await self.call("state.check", {"condition": dict(condition)})

    async def watch(self, handoff: str, condition: Mapping[str, Any]) -> None:
        """Look at a condition until the lease ends, and tell by the event `condition`."""
        await self.call("state.watch", {"handoff": handoff, "condition": dict(condition)})

    async def handoff_completed(self, handoff: str, result: Mapping[str, Any]) -> None:
        """Tell the CDP session that asked."""
        await self.call("handoff.completed", {"handoff": handoff, "result": dict(result)})

    async def ask_approval(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Have the keeper ask for approval of one command of its agent: `{target, method, params, reason, timeoutS?}`.

        The keeper keeps the command, and asks the server; returns the approval's wire form.
        """
        return await self.call("approval.ask", dict(said))

    async def approval_decided(self, approval: str, wire: Mapping[str, Any]) -> None:
        """Tell the CDP session that asked."""
        await self.call("approval.decided", {"approval": approval, "decision": dict(wire)})

    async def blockers(self) -> dict[str, Any]:
        """Return what stops the agent now: `{"policies", "pages": [{"target", "url", "title", "findings"}]}`."""
        return await self.call("blockers.get", {})

    async def thumbnail(self, width: int) -> bytes:
        """Return a masked JPEG of the screen."""
        return base64.b64decode((await self.call("thumbnail", {"width": width}))["jpeg"])

    async def open_page(self, url: str) -> None:
        """Bring the first tab to `url`."""
        await self.call("page.open", {"url": url}, _SLOW_S)

    async def close(self) -> None:
        """End the sandbox; returns when its parts are gone. Raises `Unavailable`."""
        await self.call("close", {}, _END_S)

    async def detach(self) -> None:
        """Close the link; the keeper shuts its fence and waits to be adopted."""
        with contextlib.suppress(OSError):
            await self._connection.close()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _on_request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        if self._handler is None:
            raise Unavailable("the server is not ready for this sandbox yet; try again")
        return await self._handler(method, params)

    def _on_event(self, event: str, params: dict[str, Any]) -> None:
        if not self._listeners:
            self._missed.append((event, params))
        for listener in list(self._listeners):
            listener(event, params)


def _silent() -> Unavailable:
    return Unavailable("this sandbox's keeper does not answer; it may just have ended, look again")


def _plug(directory: Path, name: str = SOCKET) -> socket.socket:
    """Return a socket connected to a keeper. Raises `Unavailable`."""
    plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        plug.setblocking(False)
        with socket_address(directory, name) as address:
            plug.connect(address)
    except OSError as error:
        plug.close()
        raise _silent() from error
    return plug


async def _connect(directory: Path, uri_path: str, *, keep_alive: bool) -> ClientConnection:
    plug = _plug(directory)
    try:
        return await unix_connect(
            uri=f"ws://keeper{uri_path}", sock=plug, compression=None, max_size=None, open_timeout=_OPEN_S,
            close_timeout=1, user_agent_header=None, proxy=None,
            ping_interval=_PING_S if keep_alive else None, ping_timeout=_PONG_S,
        )  # fmt: skip
    except (OSError, WebSocketException, TimeoutError) as error:
        plug.close()
        raise _silent() from error
