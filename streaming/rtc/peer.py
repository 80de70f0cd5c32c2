"""One browser's datagrams: its offer answered, its data channel as bytes in and bytes out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog
from aiortc import RTCIceTransport, RTCSctpCapabilities
from aiortc.rtcdtlstransport import RTCDtlsParameters
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.sdp import MediaDescription, SessionDescription

from sandbox.words import BadRequest
from streaming.rtc.dtls import Dtls
from streaming.rtc.ice import SharedGatherer
from streaming.rtc.places import Ports
from streaming.rtc.sctp import Messages
from streaming.rtc.settings import Relay

log = structlog.get_logger(__name__)

OPEN_S: Final = 10.0
"""How long a connection may take to come up before it is given up."""
MAX_OFFER: Final = 16384
_MESSAGE: Final = 65536


class Peer:
    """A WebRTC connection with one unordered, unreliable channel (`negotiated: true, id: 0`).

    `heard` gets the browser's datagrams, `opened` is called when they can be sent, `closed` once, at the end.
    """

    def __init__(
        self,
        ports: Ports,
        relay: Relay | None,
        *,
        heard: Callable[[bytes], None],
        opened: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        self._gatherer = SharedGatherer(ports, relay)
        self._dtls = Dtls(self._gatherer, self._feed, self._end)
        self._messages = Messages(self._dtls, heard)
        self._opened = opened
        self._closed = closed
        self._ended = False
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether datagrams go through."""
        return not self._ended and self._messages.established

    async def answer(self, offer: str) -> str:
        """Answer the browser's SDP offer with ours, all candidates in it, and begin to connect. Once.

        Raises `BadRequest` when it is no offer of a data channel, `OSError` when there is no UDP port.
        """
        media = _media_of(offer)
        await self._gatherer.gather()
        ice = self._dtls.transport
        for candidate in media.ice_candidates:
            await ice.addRemoteCandidate(candidate)
        self._dtls._set_role("client")  # noqa: SLF001 - aiortc's own way to say what the answer says
        self._starting = asyncio.ensure_future(self._start(ice, media))
        return self._describe(media)

    def send(self, datagram: bytes) -> None:
        """Send one datagram at once; it may be lost, and is when the channel is not open."""
        self._messages.send_message(datagram)

    async def close(self) -> None:
        """End it and give its port back; `closed` is called if it was not."""
        self._end()
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def _start(self, ice: RTCIceTransport, media: MediaDescription) -> None:
        try:
            async with asyncio.timeout(OPEN_S):
                await ice.start(media.ice or RTCIceParameters())
                if ice.state == "completed":
                    await self._dtls.start(media.dtls or RTCDtlsParameters())
                if self._dtls.state == "connected":
                    await self._messages.start(RTCSctpCapabilities(maxMessageSize=_MESSAGE), media.sctp_port or 5000)
                    await self._messages.opened.wait()
        except (TimeoutError, OSError) as error:
            log.info("stream.rtc.failed", reason=repr(error), ice=ice.state, dtls=self._dtls.state)
        if not self._ended:
            if self._messages.established:
                self._opened()
            else:
                self._end()

    def _feed(self, data: bytes) -> None:
        self._messages.feed(data)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._stopping = asyncio.ensure_future(self._stop())
        self._closed()

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starting
        with contextlib.suppress(OSError):
            await self._messages.stop()
            await self._dtls.stop()
        await self._dtls.transport.stop()

    def _describe(self, media: MediaDescription) -> str:
        parameters = self._gatherer.getLocalParameters()
        prints = [f"a=fingerprint:{p.algorithm} {p.value}" for p in self._dtls.getLocalParameters().fingerprints]
        candidates = [f"a=candidate:{each.to_sdp()}" for each in self._gatherer.connection.local_candidates]
        lines = [
            "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {media.rtp.muxId}",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", f"a=mid:{media.rtp.muxId}",
            "a=sctp-port:5000", f"a=max-message-size:{_MESSAGE}", *candidates, "a=end-of-candidates",
            f"a=ice-ufrag:{parameters.usernameFragment}", f"a=ice-pwd:{parameters.password}", *prints, "a=setup:active",
        ]  # fmt: skip
        return "\r\n".join(lines) + "\r\n"


def _media_of(offer: str) -> MediaDescription:
    """Read the one data channel section of an offer."""
    if len(offer) > MAX_OFFER:
        raise BadRequest(f"an offer is at most {MAX_OFFER} characters")
    try:
        description = SessionDescription.parse(offer)
    except Exception:  # noqa: BLE001 - the parser trusts its input: anything may come out of a broken offer
        raise BadRequest("this is not an SDP offer") from None
    media = [each for each in description.media if each.kind == "application"]
    if len(media) != 1 or len(description.media) != 1:
        raise BadRequest("an offer must be of one data channel and nothing else")
    ice = media[0].ice or RTCIceParameters()
    if not (ice.usernameFragment and ice.password and media[0].dtls and media[0].dtls.fingerprints):
        raise BadRequest("an offer must carry ICE and DTLS parameters")
    if not str(media[0].rtp.muxId).isalnum():
        raise BadRequest("an offer's section must have a plain name")
    return media[0]
