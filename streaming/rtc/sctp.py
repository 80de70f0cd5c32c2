"""SCTP as a plain datagram service (RFC 9260, RFC 3758, RFC 8831): nothing sent twice, nothing held back.

aiortc's association does the handshake and everything rare. Messages take a way of their own: each goes out at once,
in one DATA chunk, unordered; congestion is the business of whoever sends them. There is no retransmission timer, as
there is nothing to retransmit. What was lost is skipped by a FORWARD TSN, one for all losses of some milliseconds,
so that the browser's list of gaps, and the acknowledgements that repeat it, stay short.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import google_crc32c
import structlog
from aiortc.rtcsctptransport import RTCSctpTransport, SackChunk

from streaming.rtc.dtls import Dtls

log = structlog.get_logger(__name__)

STREAM: Final = 0
"""The data channel's stream: both sides agreed on it beforehand (`negotiated: true, id: 0`)."""
REORDER_S: Final = 0.03
"""How late a datagram may come before it is skipped: later ones are lost to the browser."""
SKIP_S: Final = 0.02
ACK_S: Final = 0.15
"""How long the browser's messages wait for their acknowledgement when there are few of them."""
ACK_BYTES: Final = 1200
ACK_COUNT: Final = 6
SHARED_BYTES: Final = 1000
"""A message of at most this length takes an acknowledgement along that is owed."""
MAX_EARLY: Final = 8

_HEADER: Final = struct.Struct("!HHI")
_CHECK: Final = struct.Struct("<I")
_CHUNK: Final = struct.Struct("!BBH")
_DATA: Final = struct.Struct("!BBHIHHI")
_SACK: Final = struct.Struct("!BBHIIHH")
_GAP: Final = struct.Struct("!HH")
_SKIP: Final = struct.Struct("!BBHI")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")
_WHOLE: Final = 7
"""Unordered, and both the first and the last fragment."""
_BINARY: Final = 53
_TYPE_DATA: Final = 0
_TYPE_SACK: Final = 3
_TYPE_FORWARD: Final = 192


def _after(a: int, b: int) -> bool:
    """Whether TSN `a` is later than `b` (RFC 1982)."""
    return 0 < ((a - b) & 0xFFFFFFFF) < 1 << 31


class Messages(RTCSctpTransport):
    """The association of one browser. `heard` gets each message once, in the order of arrival."""

    def __init__(
        self, transport: Dtls, heard: Callable[[bytes], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(transport)
        self.opened = asyncio.Event()
        self._dtls = transport
        self._heard = heard
        self._clock = clock
        self._early: list[bytes] | None = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._marks: deque[tuple[float, int]] = deque()
        self._skipped_at = -SKIP_S
        self._owed = 0
        self._owed_bytes = 0
        self._ack_timer: asyncio.TimerHandle | None = None

    @property
    def established(self) -> bool:
        """Whether messages can be sent."""
        return self._association_state is self.State.ESTABLISHED

    async def start(self, remoteCaps: Any, remotePort: int) -> None:  # noqa: N803 - aiortc's names
        """Begin the handshake; what the browser has said meanwhile is heard first."""
        await super().start(remoteCaps, remotePort)
        early, self._early = self._early or [], None
        for packet in early:
            self.feed(packet)

    async def stop(self) -> None:
        """End the association and every timer."""
        if self._ack_timer is not None:
            self._ack_timer.cancel()
        await super().stop()

    def send_message(self, message: bytes) -> None:
        """Send one message at once; lost when the association is not up."""
        if self._association_state is not self.State.ESTABLISHED:
            return
        tsn = self._local_tsn
        self._local_tsn = (tsn + 1) & 0xFFFFFFFF
        now = self._clock()
        if not self._marks or now - self._marks[-1][0] >= SKIP_S / 2:
            self._marks.append((now, tsn))
        length = _DATA.size + len(message)
        chunk = _DATA.pack(_TYPE_DATA, _WHOLE, length, tsn, STREAM, 0, _BINARY) + message + _PADDING[length % 4]
        if self._owed and length <= SHARED_BYTES:
            chunk = self._sack() + chunk
        self._put(chunk)

    def feed(self, packet: bytes) -> None:
        """Take one SCTP packet; DATA and SACK are handled here, the rest by aiortc."""
        if self._early is not None:
            if len(self._early) < MAX_EARLY:
                self._early.append(packet)
            return
        chunks = self._plain(packet)
        if chunks is None:
            task = asyncio.ensure_future(self._handle_data(packet))
            self._tasks.add(task)
            task.add_done_callback(self._handled)
            return
        if not self._genuine(packet):
            return
        for kind, at, length in chunks:
            if kind == _TYPE_DATA:
                self._take(packet, at, length)
            else:
                self._read_sack(packet, at)
        if self._owed:
            self._acknowledge_soon()

    def _plain(self, packet: bytes) -> list[tuple[int, int, int]] | None:
        """Return type, place and length of the chunks when all are whole messages or SACKs, else None."""
        chunks, at = [], 12
        while at + 4 <= len(packet):
            kind, flags, length = _CHUNK.unpack_from(packet, at)
            plain = (kind == _TYPE_DATA and flags & _WHOLE == _WHOLE and length > _DATA.size) or (
                kind == _TYPE_SACK and length >= _SACK.size
            )
            if not plain or at + length > len(packet) or self._last_received_tsn is None:
                return None
            chunks.append((kind, at, length))
            at += length + (-length) % 4
        return chunks

    def _genuine(self, packet: bytes) -> bool:
        """Whether tag and checksum are right (RFC 9260, 6.8 and 8.5)."""
        tag, check = _HEADER.unpack_from(packet)[2], _CHECK.unpack_from(packet, 8)[0]
        if tag != self._local_verification_tag:
            return False
        return bool(google_crc32c.value(packet[:8] + b"\0\0\0\0" + packet[12:]) == check)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("stream.sctp.nonsense", error=repr(error))

    def _put(self, chunk: bytes) -> None:
        head = _HEADER.pack(self._local_port, self._remote_port or 0, self._remote_verification_tag)
        check: int = google_crc32c.value(head + b"\0\0\0\0" + chunk)
        self._dtls.send_now(head + _CHECK.pack(check) + chunk)

    # -- what the browser sends ------------------------------------------------------------------------------------

    def _take(self, packet: bytes, at: int, length: int) -> None:
        _, _, _, tsn, _, _, protocol = _DATA.unpack_from(packet, at)
        self._owed += 1
        self._owed_bytes += length
        if not self._mark_received(tsn) and protocol == _BINARY:
            self._heard(packet[at + _DATA.size : at + length])

    async def _receive(self, stream_id: int, pp_id: int, data: bytes) -> None:  # noqa: ARG002 - aiortc's
        if pp_id == _BINARY:
            self._heard(data)

    async def _send_sack(self) -> None:
        self._owed += 1
        self._acknowledge_soon()

    def _acknowledge_soon(self) -> None:
        if self._sack_misordered or self._owed >= ACK_COUNT or self._owed_bytes >= ACK_BYTES:
            self._acknowledge()
        elif self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(ACK_S, self._acknowledge)

    def _acknowledge(self) -> None:
        if chunk := self._sack():
            self._put(chunk)

    def _sack(self) -> bytes:
        """Return the acknowledgement of all that came (RFC 9260, 3.3.4); nothing is owed any more."""
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        self._owed = self._owed_bytes = 0
        self._sack_needed = False
        self._sack_duplicates.clear()
        last = self._last_received_tsn
        if last is None or not self.established:
            return b""
        gaps: list[list[int]] = []
        for place in sorted((tsn - last) & 0xFFFFFFFF for tsn in self._sack_misordered):
            if gaps and gaps[-1][1] == place - 1:
                gaps[-1][1] = place
            else:
                gaps.append([place, place])
        blocks = b"".join(_GAP.pack(*gap) for gap in gaps if gap[1] < 1 << 16)
        length = _SACK.size + len(blocks)
        room = max(0, self._advertised_rwnd)
        return _SACK.pack(_TYPE_SACK, 0, length, last, room, len(blocks) // _GAP.size, 0) + blocks

    # -- what the browser has had ----------------------------------------------------------------------------------

    def _read_sack(self, packet: bytes, at: int) -> None:
        _, _, length, cumulative, _, gaps, _ = _SACK.unpack_from(packet, at)
        end = 0
        if gaps and _SACK.size + gaps * _GAP.size <= length:
            end = _GAP.unpack_from(packet, at + _SACK.size + (gaps - 1) * _GAP.size)[1]
        self._sacked(cumulative, end)

    async def _receive_sack_chunk(self, chunk: SackChunk) -> None:
        self._sacked(chunk.cumulative_tsn, chunk.gaps[-1][1] if chunk.gaps else 0)

    def _sacked(self, cumulative: int, furthest: int) -> None:
        """Note what arrived: all to `cumulative`, and something as far as `furthest` after it (0: nothing)."""
        if _after(self._last_sacked_tsn, cumulative):
            return
        self._last_sacked_tsn = cumulative
        now = self._clock()
        while len(self._marks) > 1 and self._marks[1][0] <= now - REORDER_S:
            self._marks.popleft()
        if not furthest or not self._marks or self._marks[0][0] > now - REORDER_S or now - self._skipped_at < SKIP_S:
            return
        seen, settled = (cumulative + furthest) & 0xFFFFFFFF, self._marks[0][1]
        skip = settled if _after(seen, settled) else seen
        if _after(skip, cumulative):
            self._skipped_at = now
            self._put(_SKIP.pack(_TYPE_FORWARD, 0, _SKIP.size, skip))

    def _set_state(self, state: RTCSctpTransport.State) -> None:
        super()._set_state(state)
        if state is self.State.ESTABLISHED:
            self.opened.set()
