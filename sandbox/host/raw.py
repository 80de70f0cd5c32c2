"""A WebSocket to a keeper whose handshake is done here and whose frames are somebody else's to read.

For relays that pass bytes on: nothing is decoded between the two ends, so that a command costs the relay two system
calls and no message.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from sandbox.words import Unavailable

_HEAD_END: Final = b"\r\n\r\n"
_LONGEST_HEAD: Final = 16 * 1024


class Other(Protocol):
    """Whom what the keeper sends is handed to."""

    def from_keeper(self, data: bytes) -> None:
        """Take some bytes of frames, cut anywhere."""
        ...

    def keeper_lost(self) -> None:
        """The keeper's end is gone."""
        ...

    def keeper_slow(self, slow: bool) -> None:
        """Stop or go on giving it bytes."""
        ...


class RawEnd(asyncio.Protocol):
    """The keeper's end. `opened` is done once the handshake is; then `join` says where the bytes go."""

    def __init__(self, address: str) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._handshake = ClientProtocol(parse_uri(address), max_size=None)
        self._transport: asyncio.Transport | None = None
        self._early = b""
        self._other: Other | None = None
        self._lost = False

    def join(self, other: Other) -> None:
        """Hand everything to `other` from now on, beginning with what came already."""
        self._other = other
        early, self._early = self._early, b""
        if early:
            other.from_keeper(early)
        if self._lost:
            other.keeper_lost()

    def write(self, data: bytes) -> None:
        """Send bytes of masked frames, cut anywhere."""
        if self._transport is not None:
            self._transport.write(data)

    def slow(self, slow: bool) -> None:
        """Stop or go on reading."""
        if self._transport is None or self._transport.is_closing():
            return
        if slow:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Let go, once what was written is out."""
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        self._transport = cast("asyncio.Transport", transport)
        self._handshake.send_request(self._handshake.connect())
        self._transport.write(b"".join(self._handshake.data_to_send()))

    def data_received(self, data: bytes) -> None:
        """Pass on, or read the answer to the handshake."""
        if self._other is not None:
            self._other.from_keeper(data)
            return
        self._early += data
        if not self.opened.done():
            self._answered()

    def _answered(self) -> None:
        head, end, rest = self._early.partition(_HEAD_END)
        if not end:
            if len(head) > _LONGEST_HEAD:
                self._fail()
            return
        self._handshake.receive_data(head + end)
        self._handshake.events_received()
        if self._handshake.handshake_exc is not None:
            self._fail()
            return
        self._early = rest
        self.opened.set_result(None)

    def _fail(self) -> None:
        if not self.opened.done():
            self.opened.set_exception(
                Unavailable("this sandbox's keeper does not answer; it may just have ended, look again")
            )
        self.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Say so."""
        self._lost = True
        self._fail()
        if self._other is not None:
            self._other.keeper_lost()

    def pause_writing(self) -> None:
        """The keeper reads more slowly than the client sends."""
        if self._other is not None:
            self._other.keeper_slow(True)

    def resume_writing(self) -> None:
        """The keeper has caught up."""
        if self._other is not None:
            self._other.keeper_slow(False)
