"""An agent's CDP socket, brought to its keeper: handed over, socket and all, or joined byte by byte.

Handing over takes the server out of the way altogether; it needs a plain socket. Behind TLS, whose keys are this
process's, the bytes are passed on instead.

Both handshakes are done, both sides speak the same frames (RFC 6455: the client's are masked, the keeper's are not, no
extension on either side), so nothing needs to be read in between. Only where frames end is followed, on the way down:
a close frame of ours must not fall into the middle of one of the keeper's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol, cast

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.frames import Close, Frame, Opcode

from sandbox.host.handing import Line
from sandbox.host.raw import RawEnd
from sandbox.words import CODES, Kind
from web.distance import MeasuredWebSocket
from web.relay import Closed, sendable, short

_EXTENSION: Final = "baton.splice"
_HANDING: Final = "baton.handing"
_LAST_WORD_S: Final = 2.0
_CLOSE: Final = 8
_SHORT: Final = 126
_PROBES: Final = (
    ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), 20),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPINTVL), 15),
    ((socket.IPPROTO_TCP, socket.TCP_KEEPCNT), 4),
)
"""(level, name), value: a client that is gone is noticed within 80 s."""


class FrameEnds:
    """Follows unmasked frames through a stream of bytes that is cut anywhere (RFC 6455, 5.2)."""

    def __init__(self) -> None:
        self._head = b""
        self._rest = 0
        self.closed = False
        """Whether a close frame has begun."""

    @property
    def between(self) -> bool:
        """Whether the last byte seen was the last of a frame."""
        return not self._rest and not self._head

    def feed(self, data: bytes) -> None:
        """Follow some bytes."""
        at, size = 0, len(data)
        while at < size:
            if self._rest:
                step = min(self._rest, size - at)
                self._rest -= step
                at += step
                continue
            self._head += data[at : at + 1]
            at += 1
            length = self._payload()
            if length is not None:
                self.closed = self.closed or self._head[0] & 0x0F == _CLOSE
                self._head, self._rest = b"", length

    def _payload(self) -> int | None:
        """Return the length of the payload, None while the header is not whole."""
        head = self._head
        if len(head) < 2:  # noqa: PLR2004 - RFC 6455, 5.2
            return None
        announced = head[1] & 0x7F
        if announced < _SHORT:
            return announced
        more = 2 if announced == _SHORT else 8
        return int.from_bytes(head[2:]) if len(head) == 2 + more else None


class Splice:
    """Two ends joined. `ended` is done when the client's is gone."""

    def __init__(self, down: asyncio.Transport, up: RawEnd) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._down, self._up = down, up
        self._ends = FrameEnds()
        self._last_word: tuple[int, str] | None = None
        self._over = False

    # From the client.

    def from_client(self, data: bytes) -> None:
        """Take bytes of its frames."""
        if not self._over:
            self._up.write(data)

    def client_slow(self, slow: bool) -> None:
        """Stop or go on giving it bytes."""
        self._up.slow(slow)

    def client_lost(self) -> None:
        """It is gone."""
        self._over = True
        self._up.close()
        if not self.ended.done():
            self.ended.set_result(None)

    # From the keeper: `sandbox.host.raw.Other`.

    def from_keeper(self, data: bytes) -> None:
        """Take bytes of its frames."""
        if self._over:
            return
        self._ends.feed(data)
        self._down.write(data)
        if self._last_word is not None and self._ends.between:
            self._say_last(*self._last_word)

    def keeper_slow(self, slow: bool) -> None:
        """Stop or go on reading from the client."""
        if self._down.is_closing():
            return
        if slow:
            self._down.pause_reading()
        else:
            self._down.resume_reading()

    def keeper_lost(self) -> None:
        """It is gone: the client is told, unless it was told by the keeper itself."""
        if self._over:
            return
        if self._ends.closed or not self._ends.between:
            self._finish()
        else:
            self._say_last(CODES[Kind.DOWN].ws, "the sandbox has ended")

    # From the server.

    def close(self, code: int, reason: str = "") -> None:
        """End it with a close frame, as soon as the keeper's present frame is whole."""
        if self._over or self._last_word is not None:
            return
        if self._ends.between:
            self._say_last(code, reason)
        else:
            self._last_word = (code, reason)
            asyncio.get_running_loop().call_later(_LAST_WORD_S, self._finish)

    def _say_last(self, code: int, reason: str) -> None:
        payload = Close(sendable(code), short(reason)).serialize()
        self._down.write(Frame(Opcode.CLOSE, payload).serialize(mask=False))
        self._finish()

    def _finish(self) -> None:
        """Let go of the keeper; the client gets a moment to read and to close its end."""
        if self._over:
            return
        self._over = True
        self._up.close()
        self._down.resume_reading()
        asyncio.get_running_loop().call_later(_LAST_WORD_S, self._down.close)


class SpliceWebSocket(MeasuredWebSocket):
    """Uvicorn's WebSocket, which a handler can join to a keeper's, or hand to it, once it has accepted it."""

    _splice: Splice | None = None
    _line: Line | None = None

    async def run_asgi(self) -> None:
        """See uvicorn; the scope's extensions get the way to `splice`."""
        extensions = cast("MutableMapping[str, Any]", self.scope.setdefault("extensions", {}))
        extensions[_EXTENSION] = self._join
        if self.scheme == "ws":
            extensions[_HANDING] = self._hand
        await super().run_asgi()

    async def _hand(self, line: Line) -> None:
        # From here on the keeper reads; what is still to be written (the handshake's answer) goes first.
        self.transport.pause_reading()
        self.stop_keepalive()
        _probe(self.transport)
        while self.transport.get_write_buffer_size():  # noqa: ASYNC110 - a transport says when it is full, not empty
            await asyncio.sleep(0)
        line.give(self.transport.get_extra_info("socket").fileno())
        self._line = line

    def _join(self, up: RawEnd) -> Splice:
        # Nobody here would read the answer to a ping: TCP's own probes find out that a client is gone for good.
        self.stop_keepalive()
        _probe(self.transport)
        self._splice = Splice(self.transport, up)
        return self._splice

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self._splice is not None:
            self._splice.from_client(data)
        else:
            super().data_received(data)

    def pause_writing(self) -> None:
        """See asyncio."""
        super().pause_writing()
        if self._splice is not None:
            self._splice.client_slow(True)

    def resume_writing(self) -> None:
        """See asyncio."""
        super().resume_writing()
        if self._splice is not None:
            self._splice.client_slow(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        if self._splice is not None:
            self._splice.client_lost()

    def shutdown(self) -> None:
        """See uvicorn."""
        if self._line is not None:
            self._line.close(1012, "")
        elif self._splice is not None:
            self._splice.close(1012)
        else:
            super().shutdown()


def _probe(transport: asyncio.Transport) -> None:
    plug = transport.get_extra_info("socket")
    for option, value in _PROBES:
        plug.setsockopt(*option, value)


class _Joins(Protocol):
    def __call__(self, up: RawEnd) -> Splice: ...


def can_be_handed(websocket: WebSocket) -> bool:
    """Whether there is a plain socket that a keeper could serve by itself."""
    return _HANDING in (websocket.scope.get("extensions") or {})


async def hand(websocket: WebSocket, line: Line, ended: Awaitable[Closed]) -> None:
    """Accept a WebSocket and hand it to a keeper, until either closes or `ended` says so; closes both."""
    hand_to: Callable[[Line], Awaitable[None]] = websocket.scope["extensions"][_HANDING]
    watching = asyncio.ensure_future(ended)
    try:
        await websocket.accept()
        await hand_to(line)
        gone = asyncio.ensure_future(line.ended())
        await asyncio.wait((gone, watching), return_when=asyncio.FIRST_COMPLETED)
        if not gone.done():
            closed = watching.result()
            line.close(sendable(closed.code), short(closed.reason))
            await asyncio.wait((gone,), timeout=_LAST_WORD_S)
        gone.cancel()
        # For a client that nobody told, because the keeper died; behind a close frame of the keeper's it says nothing.
        await _say(websocket, CODES[Kind.DOWN].ws, "the sandbox has ended")
    except OSError:
        await _say(websocket, CODES[Kind.DOWN].ws, "the sandbox has ended")
    finally:
        watching.cancel()
        line.end()


async def _say(websocket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):
        await websocket.close(code, reason)


async def splice(websocket: WebSocket, up: RawEnd, ended: Awaitable[Closed]) -> None:
    """Accept a WebSocket and join it to a keeper's, until either closes or `ended` says so; closes both."""
    await websocket.accept()
    # No await between the acceptance and this: the client's first frame must find the join.
    join: _Joins = websocket.scope["extensions"][_EXTENSION]
    joined = join(up)
    up.join(joined)
    watching = asyncio.ensure_future(ended)
    try:
        done, _ = await asyncio.wait((joined.ended, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching in done:
            closed = watching.result()
            joined.close(closed.code, closed.reason)
            await joined.ended
    finally:
        watching.cancel()
        up.close()
