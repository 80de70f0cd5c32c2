"""A picture as drawing commands: what changed, said the cheapest way that is exact, and video only where it moves.

One frame is one binary message in network byte order, painted as a whole and in its place in the order:

    u8 kind = 2    u8 flags (1 key, 2 masked, 4 quiet)    u32 frame    u32 microseconds since the hub began, mod 2^32
    key only: u16 width  u16 height
    then operations to the end:
    1 FILL    u16 x y w h   u8 r g b
    2 PIXELS  u8 form (1 colour, 2 stored, 4 goes on)  u16 n  n of (u16 x y w h)
              colour only: u16 m  m of (u16 which, u16 x y w h)    then u32 length  bytes
    3 COPY    u16 x y w h   i16 dx dy
    4 KEEP    u8 slot
    5 SHOW    u8 slot  u16 n  n of (u16 x y w h)
    6 VIDEO   u8 stream  u8 coding (0 H.264, 1 JPEG)  u8 key  u16 x y w h  u32 length  data

*Key* frames begin anew: a black canvas, nothing kept, no decoders. *Quiet* frames are not acknowledged.
PIXELS are planes, raw deflate (RFC 1951) unless stored: the green of every pixel of the n rectangles, one after the
other, row by row; it is also their red and blue but in the m coloured parts (`which` counts the rectangle that each
lies in), whose (blue - green) mod 256 follow, then their (red - green) mod 256. What *goes on* may refer, as deflate
does to what it has just unpacked, to the last 32768 greens of earlier PIXELS; those of key frames do not count, and a
key frame forgets them. KEEP remembers the whole canvas as
the operations before it left it; SHOW paints parts of what was kept at the same place. COPY moves a rectangle like
memmove. VIDEO shows the top left w by h pixels of the decoded picture at (x, y); each `stream` is one decoder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Final

from sandbox.screen import Rect, Size
from sandbox.words import BadRequest

KIND: Final = 2
SLOTS: Final = 16
"""How many pictures a viewer keeps at most."""
_HEAD: Final = struct.Struct("!BBII")
_SIZE: Final = struct.Struct("!HH")
_RECT: Final = struct.Struct("!HHHH")
_FILL: Final = struct.Struct("!BHHHHBBB")
_PIXELS: Final = struct.Struct("!BBH")
_COPY: Final = struct.Struct("!BHHHHhh")
_KEEP: Final = struct.Struct("!BB")
_SHOW: Final = struct.Struct("!BBH")
_VIDEO: Final = struct.Struct("!BBBBHHHHI")
_LENGTH: Final = struct.Struct("!I")
_COUNT: Final = struct.Struct("!H")
_COLOUR, _STORED, _GOES_ON = 1, 2, 4
HISTORY: Final = 32768
"""Greens that PIXELS may refer back to: deflate's own window."""


class Flag(IntFlag):
    """What a frame's header says about it."""

    KEY = 1
    MASKED = 2
    QUIET = 4


_NONE: Final = Flag(0)


class Coding(IntEnum):
    """How a VIDEO operation's data is coded."""

    H264 = 0
    JPEG = 1


class _Code(IntEnum):
    FILL = 1
    PIXELS = 2
    COPY = 3
    KEEP = 4
    SHOW = 5
    VIDEO = 6


@dataclass(frozen=True, slots=True)
class Fill:
    """One colour (red, green, blue) over a rectangle."""

    rect: Rect
    colour: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Pixels:
    """Exact pixels of some rectangles: planes as the module says, deflated unless `stored`."""

    rects: tuple[Rect, ...]
    data: bytes = field(repr=False)
    tints: tuple[tuple[int, Rect], ...] = ()
    """The coloured parts, each with the index of the rectangle that it lies in."""
    stored: bool = False
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """What is shown in `rect` is also `dx` to the right and `dy` further down."""

    rect: Rect
    dx: int
    dy: int


@dataclass(frozen=True, slots=True)
class Keep:
    """The viewer remembers what it shows."""

    slot: int


@dataclass(frozen=True, slots=True)
class Show:
    """Parts of a picture that the viewer has kept."""

    slot: int
    rects: tuple[Rect, ...]


@dataclass(frozen=True, slots=True)
class Video:
    """One picture of a moving rectangle."""

    stream: int
    coding: Coding
    key: bool
    rect: Rect
    data: bytes = field(repr=False)


type Op = Fill | Pixels | Copy | Keep | Show | Video


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. `size` is there exactly when it is a key frame."""

    number: int
    taken_us: int
    ops: tuple[Op, ...]
    flags: Flag = _NONE
    size: Size | None = None


def pack_frame(frame: Frame) -> bytes:
    """Return the message of `frame`; `parse_frame` reads it back."""
    parts = [_HEAD.pack(KIND, frame.flags, frame.number & 0xFFFFFFFF, frame.taken_us & 0xFFFFFFFF)]
    if frame.size is not None:
        parts.append(_SIZE.pack(frame.size.width, frame.size.height))
    for op in frame.ops:
        parts += _pack(op)
    return b"".join(parts)


def _pack(op: Op) -> Iterator[bytes]:
    match op:
        case Fill(rect, colour):
            yield _FILL.pack(_Code.FILL, rect.x, rect.y, rect.width, rect.height, *colour)
        case Pixels(rects, data, tints):
            form = (_COLOUR if tints else 0) | (_STORED if op.stored else 0) | (_GOES_ON if op.goes_on else 0)
            yield _PIXELS.pack(_Code.PIXELS, form, len(rects))
            yield from (_pack_rect(rect) for rect in rects)
            if tints:
                yield _COUNT.pack(len(tints))
                yield from (_COUNT.pack(which) + _pack_rect(rect) for which, rect in tints)
            yield _LENGTH.pack(len(data))
            yield data
        case Copy(rect, dx, dy):
            yield _COPY.pack(_Code.COPY, rect.x, rect.y, rect.width, rect.height, dx, dy)
        case Keep(slot):
            yield _KEEP.pack(_Code.KEEP, slot)
        case Show(slot, rects):
            yield _SHOW.pack(_Code.SHOW, slot, len(rects))
            yield from (_pack_rect(rect) for rect in rects)
        case Video(stream, coding, key, rect, data):
            yield _VIDEO.pack(_Code.VIDEO, stream, coding, key, rect.x, rect.y, rect.width, rect.height, len(data))
            yield data


def _pack_rect(rect: Rect) -> bytes:
    return _RECT.pack(rect.x, rect.y, rect.width, rect.height)


def parse_frame(message: bytes) -> Frame:
    """Read a message of `pack_frame`. Raises `BadRequest` when it is cut short or holds something unknown."""
    try:
        return _Reader(message).frame()
    except (struct.error, ValueError) as error:
        raise BadRequest("a frame that cannot be read") from error


class _Reader:
    def __init__(self, message: bytes) -> None:
        self._message = message
        self._at = 0

    def _take(self, form: struct.Struct) -> tuple[int, ...]:
        values: tuple[int, ...] = form.unpack_from(self._message, self._at)
        self._at += form.size
        return values

    def _rects(self, count: int) -> tuple[Rect, ...]:
        return tuple(Rect(*self._take(_RECT)) for _ in range(count))

    def _tint(self, rects: int) -> tuple[int, Rect]:
        (which,) = self._take(_COUNT)
        if which >= rects:
            raise ValueError("a coloured part of nothing")
        return which, Rect(*self._take(_RECT))

    def _bytes(self, count: int) -> bytes:
        data = self._message[self._at : self._at + count]
        if len(data) != count:
            raise ValueError("cut short")
        self._at += count
        return data

    def frame(self) -> Frame:
        kind, flags, number, taken = self._take(_HEAD)
        if kind != KIND:
            raise ValueError("not a frame")
        size = Size(*self._take(_SIZE)) if flags & Flag.KEY else None
        ops: list[Op] = []
        while self._at < len(self._message):
            ops.append(self._op())
        return Frame(number, taken, tuple(ops), Flag(flags), size)

    def _op(self) -> Op:
        match _Code(self._message[self._at]):
            case _Code.FILL:
                _, *box, red, green, blue = self._take(_FILL)
                return Fill(Rect(*box), (red, green, blue))
            case _Code.PIXELS:
                _, form, count = self._take(_PIXELS)
                rects = self._rects(count)
                tints = tuple(self._tint(count) for _ in range(self._take(_COUNT)[0])) if form & _COLOUR else ()
                data = self._bytes(self._take(_LENGTH)[0])
                return Pixels(rects, data, tints, bool(form & _STORED), bool(form & _GOES_ON))
            case _Code.COPY:
                _, *box, dx, dy = self._take(_COPY)
                return Copy(Rect(*box), dx, dy)
            case _Code.KEEP:
                return Keep(_slot(self._take(_KEEP)[1]))
            case _Code.SHOW:
                _, slot, count = self._take(_SHOW)
                return Show(_slot(slot), self._rects(count))
            case _Code.VIDEO:
                _, stream, coding, key, x, y, width, height, length = self._take(_VIDEO)
                return Video(stream, Coding(coding), bool(key), Rect(x, y, width, height), self._bytes(length))


def _slot(number: int) -> int:
    if number >= SLOTS:
        raise ValueError("no such slot")
    return number
