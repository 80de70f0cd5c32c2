"""Chromium's DevTools pipe: NUL-separated JSON on two descriptors (`--remote-debugging-pipe`).

One pipe serves Baton itself and every client of the gate. Baton's own calls go through `Connection.call`; the gate
sends messages it has already rewritten with `Connection.forward` and hears each reply as raw bytes, so that a large
result is not decoded and encoded again on its way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from sandbox.words import BatonError, Gone, Kind

type Listener = Callable[[str, dict[str, Any]], None]
type RawReply = Callable[[bytes], None]
type RawEvent = Callable[[str, dict[str, Any], bytes], None]
type RawHook = Callable[[bytes], None]

LONGEST: Final = 256 * 1024 * 1024
"""Bytes of one message; a page that makes Chromium say more loses its browser, not the keeper its memory."""

_TAIL = len(',"sessionId":"') + 32 + len('"}')
"""Chromium writes the session last, 32 hex digits; quotes inside other strings are escaped: nothing else looks so."""


def session_of(raw: bytes) -> str | None:
    """Return the CDP session a raw message from Chromium belongs to, without decoding it; None is the pipe's root."""
    tail = raw[-_TAIL:]
    return tail[14:46].decode() if tail.startswith(b',"sessionId":"') and tail.endswith(b'"}') else None


def strip_session(raw: bytes) -> bytes:
    """Return a raw message of a session as if it came from the root."""
    return raw[:-_TAIL] + b"}"


class CdpError(BatonError):
    """Chromium refused a command of Baton's own; `fields` carry its code and the method."""

    kind = Kind.DOWN


class Connection(asyncio.Protocol):
    """The one owner of a pipe. Create it with `open`; after `close` or the browser's end every call raises `Gone`.

    A message is dispatched in the callback that read its last byte: no task wakes up in between.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._transport: asyncio.BaseTransport | None = None
        self._parts: list[bytes] = []
        self._begun = 0
        self._next_id = 0
        self._replies: dict[int, RawReply] = {}
        self._listeners: dict[str | None, list[Listener]] = {}
        self._taps: list[RawEvent] = []
        self._hooks: dict[str, RawHook] = {}
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        state = "ended" if self._ended.is_set() else "open"
        return f"<Connection {state} [calls: {len(self._replies)} waiting | sessions heard: {len(self._listeners)}]>"

    @classmethod
    async def open(cls, read_fd: int, write_fd: int) -> Connection:
        """Take over both descriptors: `read_fd` is what Chromium writes (its fd 4), `write_fd` what it reads (fd 3)."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin,
            open(write_fd, "wb", buffering=0),  # noqa: SIM115, ASYNC230 - the transport owns it
        )
        connection = cls(asyncio.StreamWriter(transport, protocol, None, loop))
        await loop.connect_read_pipe(lambda: connection, open(read_fd, "rb", buffering=0))  # noqa: SIM115, ASYNC230 - the transport owns it
        return connection

    @property
    def ended(self) -> asyncio.Event:
        """Set once Chromium has closed its end or `close` was called."""
        return self._ended

    def forward(self, message: dict[str, Any], on_reply: RawReply) -> int:
        """Send `message` under an id of the pipe's (returned); `on_reply` gets the raw reply once. Raises `Gone`."""
        if self._ended.is_set():
            raise Gone("the browser of this sandbox has ended")
        self._next_id += 1
        message["id"] = self._next_id
        self._replies[self._next_id] = on_reply
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\0")
        return self._next_id

    def forget(self, pipe_id: int) -> None:
        """Drop the reply to a forwarded message, whenever it comes."""
        if pipe_id in self._replies:
            self._replies[pipe_id] = lambda _raw: None

    def replace(self, pipe_id: int, on_reply: RawReply) -> None:
        """Let another function have the reply to a forwarded message, if it is still to come."""
        if pipe_id in self._replies:
            self._replies[pipe_id] = on_reply

    async def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        session: str | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> dict[str, Any]:
        """Call `method` and return its result. Raises `CdpError`, `Gone`, or `TimeoutError` after `timeout` seconds."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": 0, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session

        def answer(raw: bytes) -> None:
            if not future.done():
                future.set_result(raw)

        pipe_id = self.forward(message, answer)
        try:
            raw = await asyncio.wait_for(future, timeout)
        except TimeoutError:
            self.forget(pipe_id)
            raise
        reply = json.loads(raw)
        if "error" in reply:
            error = reply["error"]
            if error.get("baton") == "gone":
                raise Gone("the browser of this sandbox has ended")
            raise CdpError(f"{method}: {error.get('message', '')}", method=method, code=error.get("code"))
        result: dict[str, Any] = reply.get("result", {})
        return result

    def listen(self, session: str | None, listener: Listener) -> Callable[[], None]:
        """Hear the events of one CDP session (None: the pipe's root); returns a function that ends it."""
        self._listeners.setdefault(session, []).append(listener)

        def end() -> None:
            heard = self._listeners.get(session, [])
            if listener in heard:
                heard.remove(listener)
            if not heard:
                self._listeners.pop(session, None)

        return end

    def hook(self, session: str, hook: RawHook) -> Callable[[], None]:
        """Hear the events of one CDP session as raw bytes; one hook a session. Returns a function that ends it."""
        self._hooks[session] = hook
        return lambda: self._hooks.pop(session, None) and None

    def tap(self, tap: RawEvent) -> Callable[[], None]:
        """Hear every event of every session as (session, parsed, raw); session is "" for the root."""
        self._taps.append(tap)
        return lambda: self._taps.remove(tap) if tap in self._taps else None

    async def close(self) -> None:
        """Let go of the pipe; every waiting call raises `Gone`."""
        self._finish()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`: what came of the pipe, cut anywhere."""
        *ends, rest = data.split(b"\0")
        try:
            for end in ends:
                raw = end
                if self._parts:
                    raw = b"".join((*self._parts, end))
                    self._parts.clear()
                    self._begun = 0
                if not self._ended.is_set():
                    self._dispatch(raw)
        except Exception:
            # What a message would have taught is lost: nothing that comes after it can be trusted.
            self._finish()
            raise
        if rest:
            self._parts.append(rest)
            self._begun += len(rest)
        if self._begun > LONGEST:
            self._finish()

    def connection_lost(self, _exc: Exception | None) -> None:
        """See `asyncio.Protocol`: Chromium has closed its end."""
        self._finish()

    def _dispatch(self, raw: bytes) -> None:
        if raw.startswith(b'{"id":'):
            on_reply = self._replies.pop(int(raw[6 : raw.index(b",", 6)]), None)
            if on_reply is not None:
                on_reply(raw)
            return
        session = session_of(raw)
        if session is not None and (hook := self._hooks.get(session)) is not None:
            hook(raw)
            if not self._taps and session not in self._listeners:
                return
        event = json.loads(raw)
        for tap in list(self._taps):
            tap(session or "", event, raw)
        for listener in list(self._listeners.get(session, ())):
            listener(event["method"], event.get("params", {}))

    def _finish(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        self._writer.close()
        if self._transport is not None:
            self._transport.close()
        gone = b'{"id":0,"error":{"code":-32011,"message":"the browser has ended","baton":"gone"}}'
        waiting, self._replies = self._replies, {}
        for on_reply in waiting.values():
            on_reply(gone)
