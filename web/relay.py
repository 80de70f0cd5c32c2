"""The relay: a viewer's WebSocket joined to one of its keeper's, message by message, unchanged.

Each direction has at most a few messages under way: a slow reader stops the reading of its sender. When either side
closes, the other is closed with the same code. When the credential behind the socket ends, both are closed. A viewer's
messages may go by datagrams too; its socket stays the spine, and what ends the socket ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from agent_bridge.access.service import Access
from agent_bridge.access.words import Caller
from sandbox.words import CODES, BatonError, Kind
from streaming.rtc.edge import Datagrams, Edge

log = structlog.get_logger(__name__)

CDP_LIMIT: Final = 256 * 1024 * 1024
LIVE_LIMIT: Final = 80 * 1024 * 1024
RECHECK_S: Final = 5.0
"""How often an open socket's credential is judged again: a token may be revoked by another process."""

_UNSENDABLE: Final = frozenset({1004, 1005, 1006, 1015})


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a relay ended."""

    code: int
    reason: str = ""


def sendable(code: int | None) -> int:
    """Return a close code that may be put on the wire in place of one that may not (RFC 6455, 7.4.1)."""
    if code is None or code == 1005:  # noqa: PLR2004 - "no code was given"
        return 1000
    return 1001 if code in _UNSENDABLE or not 1000 <= code < 5000 else code  # noqa: PLR2004 - the range RFC 6455 gives


def short(reason: str) -> str:
    """Return a reason cut to the 123 bytes that a close frame has room for (RFC 6455, 5.5)."""
    return reason.encode()[:123].decode(errors="ignore")


type _Send = Callable[[str | bytes], Awaitable[None]]


async def relay_viewer(
    websocket: WebSocket,
    upstream: ClientConnection,
    datagrams: Datagrams | None,
    *,
    limit: int,
    ended: Awaitable[Closed],
    note: Callable[[str | bytes], None] = lambda _: None,
) -> Closed:
    """Join a viewer's accepted WebSocket to its keeper's until either closes or `ended` says so; closes both.

    Its messages go by datagrams where it asks for that and they are there. `note` hears every message down.
    """
    edge = Edge(_sender(websocket), upstream.send, datagrams)

    async def say(message: str | bytes) -> None:
        note(message)
        await edge.say(message)

    try:
        ways = [_up(websocket, edge.hear, limit), _down(upstream, say), _failed(edge)]
        return await _joined(websocket, upstream, ways, ended)
    finally:
        await edge.close()


async def _joined(
    websocket: WebSocket,
    upstream: ClientConnection,
    ways: list[Coroutine[None, None, Closed]],
    ended: Awaitable[Closed],
) -> Closed:
    tasks = [*(asyncio.create_task(way) for way in ways), asyncio.ensure_future(ended)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        closed = next(task.result() for task in tasks if task in done)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(close_client(websocket, closed), upstream.close(sendable(closed.code), short(closed.reason)))
    return closed


def _sender(websocket: WebSocket) -> _Send:
    async def send(payload: str | bytes) -> None:
        key = "text" if isinstance(payload, str) else "bytes"
        await websocket.send({"type": "websocket.send", key: payload})

    return send


async def _up(websocket: WebSocket, send: _Send, limit: int) -> Closed:
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return Closed(message.get("code") or 1005, message.get("reason") or "")
            text = message.get("text")
            payload = text if text is not None else message["bytes"]
            if len(payload) > limit:
                return Closed(1009, f"a message may be at most {limit} bytes")
            await send(payload)
    except ConnectionClosed as error:
        return _closed_by(error)


async def _down(upstream: ClientConnection, send: _Send) -> Closed:
    try:
        while True:
            await send(await upstream.recv())
    except ConnectionClosed as error:
        return _closed_by(error)
    except (WebSocketDisconnect, RuntimeError, OSError):
        return Closed(1001, "")


async def _failed(edge: Edge) -> Closed:
    try:
        await edge.failed
    except ConnectionClosed as error:
        return _closed_by(error)
    except (WebSocketDisconnect, RuntimeError, OSError):
        pass
    return Closed(1001, "")


def _closed_by(error: ConnectionClosed) -> Closed:
    if error.rcvd is not None:
        return Closed(error.rcvd.code, error.rcvd.reason)
    return Closed(CODES[Kind.DOWN].ws, "the sandbox has ended")


async def close_client(websocket: WebSocket, closed: Closed) -> None:
    """Close a WebSocket with a code that may be sent, if it is still open."""
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):
        await websocket.close(sendable(closed.code), short(closed.reason))


@contextlib.asynccontextmanager
async def credential_ends(
    access: Access, caller: Caller, recheck: Callable[[], Awaitable[Caller]]
) -> AsyncIterator[Awaitable[Closed]]:
    """Give an awaitable that is done when the credential behind a socket is revoked, expires or signs out."""
    told = asyncio.Event()
    stop = access.on_end(lambda ended: told.set() if ended == caller.id else None)

    async def watch() -> Closed:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), RECHECK_S)
            told.clear()
            try:
                await recheck()
            except BatonError as error:
                return Closed(error.codes.ws, error.message)

    task = asyncio.create_task(watch())
    try:
        yield task
    finally:
        stop()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def refuse(websocket: WebSocket, error: BatonError, *, browser: bool) -> None:
    """Turn a WebSocket away: a browser sees only close codes, a program reads the HTTP answer."""
    if browser:
        await websocket.accept()
        await websocket.close(error.codes.ws, short(error.message))
        return
    await websocket.send_denial_response(JSONResponse(error.to_wire(), error.codes.http))
