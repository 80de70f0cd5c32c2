"""One viewer: its socket, what waits to be sent to it, and the input that waits to be done."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from sandbox.screen import PointerMove
from sandbox.words import CODES, BatonError, Kind, OperatorId, TooMany, ViewerId
from streaming import protocol
from streaming.pacing import Way, Window
from streaming.protocol import Input, Pictures, Up, WayReport
from streaming.rendition import Cut, Variant

_MAX_INPUTS: Final = 2000
_MAX_WAITING: Final = 2000
_LONGEST_MS: Final = 2000.0
_MAX_SOUNDS: Final = 25
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ViewerStatistics:
    """One viewer, as the hub sees it."""

    viewer: ViewerId
    operator: OperatorId
    kind: Pictures | None
    masked: bool
    frames: int
    bytes: int
    queue: int
    rtt_ms: float
    decode_ms: float
    inputs: int
    refused: int


class Viewer:
    """Everything the hub knows of one `/stream` socket. Used on the event loop alone."""

    def __init__(
        self, socket: ServerConnection, viewer: ViewerId, operator: OperatorId, name: str, window: int
    ) -> None:
        self.id = viewer
        self.operator = operator
        self.name = name
        self.pictures: tuple[Pictures, ...] = ()
        self.visible = True
        self.variant: Variant | None = None
        self.slow = False
        """Whether it has lagged behind the one that drives, and gets pictures of its own pace."""
        self.awaits_key = True
        self.window = Window(window)
        self._socket = socket
        self._reported: Way | None = None
        self._told: Variant | None = None
        self._out: deque[str | Cut | bytes] = deque()
        self._sounds = 0
        self._out_ready = asyncio.Event()
        self._inputs: deque[Input] = deque()
        self._inputs_ready = asyncio.Event()
        self._frames = self._bytes = self._done = self._refused = 0
        self._rtt_ms = self._decode_ms = 0.0

    def __repr__(self) -> str:
        return f"<Viewer {self.id} of {self.operator} {self.variant} flying={self.window.flying}>"

    # -- down ---------------------------------------------------------------------------------------------------

    def say(self, message: str) -> None:
        """Queue a text message. A viewer that reads nothing is dropped before its queue grows without bound."""
        if len(self._out) >= _MAX_WAITING:
            self._socket.transport.abort()
            return
        self._out.append(message)
        self._out_ready.set()

    def show(self, cut: Cut, now: float) -> None:
        """Queue a frame."""
        if self._told != cut.variant:
            self._told = cut.variant
            self.say(protocol.say_stream(cut.variant.kind, cut.variant.masked))
        if not cut.quiet:
            self.window.sent(cut.frame, len(cut.data), now)
        self._out.append(cut)
        self._out_ready.set()

    def hear(self, message: bytes) -> None:
        """Queue a packet of sound, unless half a second of it waits already: late sound is worth nothing."""
        if self._sounds < _MAX_SOUNDS:
            self._sounds += 1
            self._out.append(message)
            self._out_ready.set()

    def forget_pictures(self) -> None:
        """Drop the pictures that have not left yet; the next one must be a key frame."""
        self._out = deque(item for item in self._out if not isinstance(item, Cut))
        self.window.clear()
        self.awaits_key = True

    async def write(self) -> None:
        """Send what is queued, until cancelled or the socket closes."""
        while True:
            await self._out_ready.wait()
            self._out_ready.clear()
            while self._out:
                item = self._out.popleft()
                message = item.data if isinstance(item, Cut) else item
                self._frames += isinstance(item, Cut)
                self._sounds -= isinstance(item, bytes)
                self._bytes += len(message)
                await self._socket.send(message)

    # -- the way ------------------------------------------------------------------------------------------------

    @property
    def way(self) -> Way:
        """What the way to this viewer is like, as the server says or as its acknowledgements show."""
        return self._reported or self.window.way

    def lags(self, now: float) -> bool:
        """Whether it must miss the next frame; one that has a pace of its own is waited for while it answers."""
        return self.window.hung(now) if self.slow else self.window.lags(now)

    def began(self, opened_ms: float | None) -> None:
        """The viewer begins; its socket took so long to open (two round trips: TCP's and HTTP's)."""
        if opened_ms is not None:
            self.window.expect(min(opened_ms, _LONGEST_MS) / 2000)

    def report(self, way: WayReport) -> None:
        """Keep what the server says about the way; a socket's is seen better from here."""
        datagrams = Way(way.kind, way.rate, way.rtt_ms / 1000, way.loss, way.queue_ms / 1000)
        self._reported = datagrams if way.kind == "datagrams" else None

    # -- up -----------------------------------------------------------------------------------------------------

    async def read(self, handle: Callable[[Up], None], bad_messages: int) -> None:
        """Parse what arrives and hand it on; returns when the socket closes or too much of it was malformed."""
        bad = 0
        with contextlib.suppress(ConnectionClosed):
            async for message in self._socket:
                try:
                    handle(protocol.parse(message))
                except BatonError as error:
                    self.refuse(error, protocol.number_of(message))
                    bad += 1
                if bad >= bad_messages:
                    await self.close(Kind.INVALID, "too many malformed messages")

    def queue(self, what: Input) -> None:
        """Queue an input behind those before it; a move replaces a move that nobody has looked at yet."""
        if len(self._inputs) >= _MAX_INPUTS:
            self.refuse(TooMany("input comes faster than the page takes it; wait a moment"), what.number)
            return
        last = self._inputs[-1] if self._inputs else None
        moves = last and isinstance(last.event, PointerMove) and isinstance(what.event, PointerMove)
        if last and moves and last.epoch == what.epoch:
            self._inputs[-1] = what
        else:
            self._inputs.append(what)
        self._inputs_ready.set()

    async def act(self, do: Callable[[Input], Awaitable[None]]) -> None:
        """Do the queued inputs one after the other, until cancelled; what is refused is said and goes no further."""
        while True:
            await self._inputs_ready.wait()
            self._inputs_ready.clear()
            while self._inputs:
                await self._do(self._inputs.popleft(), do)

    async def _do(self, what: Input, do: Callable[[Input], Awaitable[None]]) -> None:
        try:
            await do(what)
        except BatonError as error:
            self.refuse(error, what.number)
        except Exception as error:  # noqa: BLE001 - one broken input must not end the operator's view
            # the message could repeat what was typed
            _log.error("input failed", viewer=self.id, what=type(what.event).__name__, error=type(error).__name__)
            self.refuse(BatonError("this input failed inside Baton and may have had no effect"), what.number)
        else:
            self._done += 1

    def refuse(self, error: BatonError, number: int | None) -> None:
        """Tell the viewer that an input had no effect."""
        self._refused += 1
        self.say(protocol.say_refused(error, number))

    def note(self, *, rtt_ms: float | None = None, decode_ms: float | None = None) -> None:
        """Keep what the viewer measured."""
        self._rtt_ms = self._rtt_ms if rtt_ms is None else rtt_ms
        self._decode_ms = self._decode_ms if decode_ms is None else decode_ms

    async def close(self, kind: Kind, reason: str) -> None:
        """Close the socket with the code of `kind`."""
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            # a close frame has room for 123 bytes (RFC 6455, 5.5)
            await self._socket.close(CODES[kind].ws, reason.encode()[:120].decode(errors="ignore"))

    def statistics(self) -> ViewerStatistics:
        """Return a frozen copy of the counters."""
        return ViewerStatistics(
            self.id, self.operator, self.variant.kind if self.variant else None,
            bool(self.variant and self.variant.masked), self._frames, self._bytes, self.window.flying,
            self._rtt_ms or self.window.rtt * 1000, self._decode_ms, self._done, self._refused,
        )  # fmt: skip
