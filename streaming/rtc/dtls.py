"""DTLS for data alone (RFC 8261): aiortc's handshake, then datagrams straight through, without queue or task."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceTransport
from aiortc.rtcdtlstransport import State
from OpenSSL import SSL

from streaming.rtc.ice import SharedGatherer

_LARGEST: Final = 2048


class Dtls(RTCDtlsTransport):
    """One connection's encryption. `heard` gets what the browser sent, `ended` is called when it closes."""

    def __init__(self, gatherer: SharedGatherer, heard: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        super().__init__(RTCIceTransport(gatherer), [RTCCertificate.generateCertificate()])
        self._connection = gatherer.connection
        self._heard = heard
        self._ended = ended

    def send_now(self, data: bytes) -> None:
        """Encrypt and send one datagram; lost when the connection is not up."""
        if self._state is not State.CONNECTED or self._ssl is None:
            return
        with contextlib.suppress(SSL.Error):
            self._ssl.send(data)
            self._connection.send_now(self._ssl.bio_read(_LARGEST))

    def feed(self, data: bytes) -> None:
        """Take one datagram from the network."""
        if not 19 < data[0] < 64 or self._ssl is None:  # noqa: PLR2004 - RFC 7983: 20 to 63 is DTLS
            return
        plain = b""
        try:
            self._ssl.bio_write(data)
            plain = self._ssl.recv(_LARGEST)
        except SSL.ZeroReturnError:
            self._set_state(State.CLOSED)
            return
        except SSL.Error:
            pass
        with contextlib.suppress(SSL.Error):
            self._connection.send_now(self._ssl.bio_read(_LARGEST))
        if plain:
            self._heard(plain)

    def _setup_srtp(self) -> None:
        """Need no keys for media: there is none, and a browser need not offer any."""

    async def _send_data(self, data: bytes) -> None:
        if self._state is not State.CONNECTED:
            raise ConnectionError("the datagram channel is not up")
        self.send_now(data)

    def _set_state(self, state: State) -> None:
        super()._set_state(state)
        if state is State.CONNECTED:
            self._connection.sink = self.feed
        elif state in {State.CLOSED, State.FAILED}:
            self._connection.sink = None
            self._ended()
