"""The datagrams of the way, version 1. All numbers in network byte order; a datagram is at most ~1150 bytes.

The first byte of every datagram is 16 * version + kind. Kinds 1 to 3 go down (server to browser), 4 goes up.

Down, each:

    u8 0x11 data, 0x12 repair, 0x13 beat     u32 packet: 1, 2, 3, … over everything sent down, copies too
    u32 pieces: the browser's pieces up to this one have been taken

    data     u32 message number   u32 length of the message, + 2^31 if it is text (UTF-8)
             u16 index   u16 size: the message is cut every `size` bytes, this is cut number `index`; its bytes follow
    repair   u32 message number   u32 length (as above)   u8 block   u8 row   u16 size, then `size` bytes.
             With count = max(1, ceil(length / size)) cuts there are blocks = ceil(count / 64) blocks; block b holds the
             cuts b, b + blocks, b + 2 * blocks, …, which are its columns 0, 1, 2, …; `row` says which sum (fec.py).
             Where there is one block, block 1 says linked: the cuts of the message numbered one less (at most 32) are
             summed in too, with the factors of row + 16; the bytes are then as many as the longer message's size
    beat     any bytes: a sign of life, an acknowledgement, padding that measures the way

Up:

    u8 0x14   u8 sections: 1 feedback, 2 shown, 4 pieces, 8 loose; the sections follow in this order

    feedback u32 delivered: all messages up to this number are delivered   u32 highest packet number that came
             u32 clock: microseconds of the browser's clock, modulo 2^32, when this was sent
             u8 n   u8 m   n * (u8 back, u24 before)   m bytes of map
             Arrivals since the last feedback, newest number first: the packet `back` below the one before (the first:
             below `highest`) came `before` microseconds before `clock`.
             Bit i of the map (bit 0 is the lowest of the first byte): packet highest - 1 - i has come.
    shown    u32 number of the newest frame on the canvas   u16 tenths of a millisecond it took to decode
    pieces   u8 n, n * (u32 piece number   u8 flags: 1 first, 2 last of its message, 4 bytes, not text
             u16 length, bytes). Pieces count from 1; messages up are cut into pieces in order.
    loose    u8 n, n * (u8 kind 0..7   u16 sequence, modulo 2^16   u32 after: the piece it was made after
             u16 length, UTF-8). Kind 0 is `move`.

Anything else is nonsense and is dropped whole (`Nonsense`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.words import BadRequest
from streaming.datagrams import fec

VERSION: Final = 1
DATA: Final = VERSION << 4 | 1
REPAIR: Final = VERSION << 4 | 2
BEAT: Final = VERSION << 4 | 3
UP: Final = VERSION << 4 | 4
TEXT: Final = 1 << 31
MAX_MESSAGE: Final = 8 * 1024 * 1024
"""The longest message down."""
MAX_UP: Final = 256 * 1024
"""The longest message up on this way; a longer one takes the socket."""
MAX_MAP: Final = 64
MAX_ARRIVALS: Final = 200
MAX_LOOSE_KIND: Final = 7
FIRST: Final = 1
LAST: Final = 2
BYTES: Final = 4
_FURTHEST: Final = 0xFF
_FEEDBACK, _SHOWN, _PIECES, _LOOSE = 1, 2, 4, 8

_DOWN: Final = struct.Struct("!BII")
_PART: Final = struct.Struct("!IIHH")
_FEEDBACK_HEAD: Final = struct.Struct("!IIIBB")
_SHOWN_HEAD: Final = struct.Struct("!IH")
_PIECE_HEAD: Final = struct.Struct("!IBH")
_LOOSE_HEAD: Final = struct.Struct("!BHIH")
PART_HEADER: Final = _DOWN.size + _PART.size
"""Bytes before the payload of a data or repair datagram."""


class Nonsense(BadRequest):
    """A datagram that breaks the format."""


@dataclass(frozen=True, slots=True)
class Part:
    """A cut of a message or a repair packet: for repair, `index` is 256 * block + row."""

    packet: int
    pieces: int
    repair: bool
    number: int
    length: int
    text: bool
    index: int
    size: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life."""

    packet: int
    pieces: int


@dataclass(frozen=True, slots=True)
class Feedback:
    """What has come: (packet, microseconds before `clock`) for the newest, a map for the rest."""

    delivered: int
    highest: int
    clock: int
    arrivals: Sequence[tuple[int, int]]
    seen: int
    """Bit i: packet highest - 1 - i has come."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a message up."""

    number: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class LooseText:
    """A message up that may be lost."""

    kind: int
    sequence: int
    after: int
    body: bytes


@dataclass(frozen=True, slots=True)
class UpDatagram:
    """One datagram of the browser; `shown` is (frame, tenths of a millisecond)."""

    feedback: Feedback | None = None
    shown: tuple[int, int] | None = None
    pieces: Sequence[Piece] = ()
    loose: Sequence[LooseText] = ()


def cuts(length: int, size: int) -> int:
    """How many cuts a message of `length` bytes has."""
    return max(1, -(-length // size))


def blocks(count: int, most: int) -> int:
    """Over how many blocks of at most `most` cuts they are dealt."""
    return -(-count // most)


def pack_part(part: Part) -> bytes:
    """A data or repair datagram."""
    first = REPAIR if part.repair else DATA
    length = part.length | TEXT if part.text else part.length
    head = _DOWN.pack(first, part.packet, part.pieces)
    return head + _PART.pack(part.number, length, part.index, part.size) + part.body


def pack_beat(packet: int, pieces: int, padding: int = 0) -> bytes:
    """A beat, `padding` bytes longer than it need be."""
    return _DOWN.pack(BEAT, packet, pieces) + bytes(padding)


def parse_down(datagram: bytes) -> Part | Beat:
    """What the server sent; raises `Nonsense`."""
    if len(datagram) < _DOWN.size:
        raise Nonsense("a datagram is cut short")
    first, packet, pieces = _DOWN.unpack_from(datagram)
    if first == BEAT:
        return Beat(packet, pieces)
    if first not in (DATA, REPAIR) or len(datagram) < PART_HEADER:
        raise Nonsense("a datagram of an unknown kind")
    number, length, index, size = _PART.unpack_from(datagram, _DOWN.size)
    body = datagram[PART_HEADER:]
    text, length = length >= TEXT, length & ~TEXT
    if length > MAX_MESSAGE or not size or not number:
        raise Nonsense("a cut of no message")
    count = cuts(length, size)
    if first == DATA:
        fits = index < count and len(body) == min(size, length - index * size)
    else:
        number_of_blocks = blocks(count, fec.MAX_BLOCK)
        linked = number_of_blocks == 1 and index >> 8 == 1
        fits = index & 0xFF < fec.MAX_REPAIR and (
            (linked and len(body) >= size) or (index >> 8 < number_of_blocks and len(body) == size)
        )
    if not fits:
        raise Nonsense("a cut that does not fit its message")
    return Part(packet, pieces, first == REPAIR, number, length, text, index, size, body)


def pack_up(up: UpDatagram) -> bytes:
    """A datagram of the browser."""
    sections, body = 0, bytearray()
    if up.feedback is not None:
        sections |= _FEEDBACK
        body += _pack_feedback(up.feedback)
    if up.shown is not None:
        sections |= _SHOWN
        body += _SHOWN_HEAD.pack(*up.shown)
    if up.pieces:
        sections |= _PIECES
        body.append(len(up.pieces))
        for piece in up.pieces:
            body += _PIECE_HEAD.pack(piece.number, piece.flags, len(piece.body)) + piece.body
    if up.loose:
        sections |= _LOOSE
        body.append(len(up.loose))
        for loose in up.loose:
            body += _LOOSE_HEAD.pack(loose.kind, loose.sequence, loose.after, len(loose.body)) + loose.body
    return bytes((UP, sections)) + bytes(body)


def _pack_feedback(feedback: Feedback) -> bytes:
    entries, previous, count = bytearray(), feedback.highest, 0
    for packet, before in feedback.arrivals:
        if previous - packet > _FURTHEST or count == MAX_ARRIVALS:
            break
        entries += ((previous - packet) << 24 | min(before, 0xFFFFFF)).to_bytes(4)
        previous, count = packet, count + 1
    seen = feedback.seen & ((1 << 8 * MAX_MAP) - 1)
    bitmap = seen.to_bytes(-(-seen.bit_length() // 8), "little")
    head = _FEEDBACK_HEAD.pack(feedback.delivered, feedback.highest, feedback.clock, count, len(bitmap))
    return head + bytes(entries) + bitmap


def parse_up(datagram: bytes) -> UpDatagram:
    """What the browser sent; raises `Nonsense`."""
    if len(datagram) < 2 or datagram[0] != UP or datagram[1] & 0xF0:  # noqa: PLR2004 - kind and sections
        raise Nonsense("a datagram of an unknown kind")
    sections, at = datagram[1], 2
    feedback: Feedback | None = None
    shown: tuple[int, int] | None = None
    pieces: list[Piece] = []
    loose: list[LooseText] = []
    try:
        if sections & _FEEDBACK:
            feedback, at = _parse_feedback(datagram, at)
        if sections & _SHOWN:
            shown, at = _SHOWN_HEAD.unpack_from(datagram, at), at + _SHOWN_HEAD.size
        if sections & _PIECES:
            pieces, at = _parse_pieces(datagram, at)
        if sections & _LOOSE:
            loose, at = _parse_loose(datagram, at)
    except (struct.error, IndexError):
        raise Nonsense("a datagram is cut short") from None
    if at != len(datagram):
        raise Nonsense("a datagram has a wrong length")
    return UpDatagram(feedback, shown, pieces, loose)


def _parse_feedback(datagram: bytes, at: int) -> tuple[Feedback, int]:
    delivered, highest, clock, count, map_length = _FEEDBACK_HEAD.unpack_from(datagram, at)
    at += _FEEDBACK_HEAD.size
    end = at + 4 * count + map_length
    if end > len(datagram) or map_length > MAX_MAP or count > MAX_ARRIVALS:
        raise Nonsense("a feedback is cut short")
    arrivals, packet = [], highest
    for (entry,) in struct.iter_unpack("!I", datagram[at : at + 4 * count]):
        packet -= entry >> 24
        arrivals.append((packet, entry & 0xFFFFFF))
    if packet < 1 and arrivals:
        raise Nonsense("a feedback names a packet before the first")
    return Feedback(
        delivered, highest, clock, arrivals, int.from_bytes(datagram[end - map_length : end], "little")
    ), end


def _parse_pieces(datagram: bytes, at: int) -> tuple[list[Piece], int]:
    count, at, pieces = datagram[at], at + 1, []
    for _ in range(count):
        number, flags, length = _PIECE_HEAD.unpack_from(datagram, at)
        at += _PIECE_HEAD.size + length
        if at > len(datagram) or flags > FIRST | LAST | BYTES or not number:
            raise Nonsense("a piece does not fit")
        pieces.append(Piece(number, flags, datagram[at - length : at]))
    return pieces, at


def _parse_loose(datagram: bytes, at: int) -> tuple[list[LooseText], int]:
    count, at, loose = datagram[at], at + 1, []
    for _ in range(count):
        kind, sequence, after, length = _LOOSE_HEAD.unpack_from(datagram, at)
        at += _LOOSE_HEAD.size + length
        if at > len(datagram) or kind > MAX_LOOSE_KIND:
            raise Nonsense("a loose message does not fit")
        loose.append(LooseText(kind, sequence, after, datagram[at - length : at]))
    return loose, at
