"""A CDP client's connection: a `websockets` server connection whose messages need no task in between.

What comes is handed to the gate in the callback that read it, what goes is written at once while the client keeps up:
between a command and the pipe, and between its answer and the client, the event loop turns no more than it must.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

PATH: Final = "/cdp"
_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class Socket(Protocol):
    """A client's connection."""

    async def feed(self, receive: Callable[[bytes], None]) -> None:
        """Hand every message to `receive`, which never raises, until the client is gone."""
        ...

    def send_now(self, message: bytes) -> bool:
        """Send one text message at once; False where it has to wait its turn."""
        ...

    async def send(self, message: str | bytes) -> None:
        """Send one message (CDP is text) when the client keeps up."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the connection."""
        ...


class CdpConnection(ServerConnection):
    """See `Socket`; for paths that begin with `PATH`. Others are as `websockets` has them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._receive: Callable[[bytes], None] | None = None
        self._early: list[bytes] = []
        self._parts: list[bytes] = []

    def process_event(self, event: Any) -> None:
        """See `websockets`: one frame, or the request of the handshake."""
        if isinstance(event, Request) or not self._is_cdp() or event.opcode not in _DATA:
            super().process_event(event)
            return
        self._take(event)

    def _is_cdp(self) -> bool:
        return self.request is not None and self.request.path.startswith(PATH)

    def _take(self, frame: Frame) -> None:
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        message = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        if self._receive is None:
            self._early.append(message)
        else:
            self._receive(message)

    async def feed(self, receive: Callable[[bytes], None]) -> None:
        """See `Socket`."""
        early, self._early = self._early, []
        for message in early:
            receive(message)
        self._receive = receive
        try:
            await self.wait_closed()
        finally:
            self._receive = _nobody

    def send_now(self, message: bytes) -> bool:
        """See `Socket`. Text that may not be UTF-8 has to be looked at first, and waits its turn."""
        if self.paused or self.protocol.state is not State.OPEN or not message.isascii():
            return False
        self.protocol.send_text(message)
        self.send_data()
        return True


def _nobody(_message: bytes) -> None:
    """Whoever was fed has gone."""
