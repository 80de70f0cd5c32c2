"""Exact pixels, small: planes through deflate, grey where there is no colour, one number where there is one colour.

Text on a page is one grey plane that deflate takes to a tenth in a millisecond; the two colour differences are sent
for the few tiles that have colour. Measured on a full page of text, 1280x720: 84 KB in 1.4 ms at level 2, 76 KB in
3.2 ms at level 6, where H.264 at 48 dB takes 200 KB and 15 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from zlib_ng import zlib_ng

from sandbox.screen import Picture, Rect
from streaming.changes import Pixels32, Tiles, any_in_tiles, to_rects
from streaming.ops import Fill, Op, Pixels

QUICK: Final = 2
SMALL: Final = 6
"""Deflate levels: for a fast network, and for one where each byte takes longer than its thinking."""
_MOSTLY: Final = 0.5
_STORED_BELOW: Final = 24


def pixels32(picture: Picture) -> Pixels32:
    """Return the same memory as one 32-bit number a pixel."""
    view: Pixels32 = picture.view(np.uint32)[:, :, 0]
    return view


def _colourful(pixels: Pixels32) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    # 0xXXRRGGBB: grey when red = green and green = blue
    coloured: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = ((pixels ^ (pixels >> np.uint32(8))) & 0xFFFF) != 0
    return coloured


def pack_tiles(picture: Picture, tiles: Tiles, width: int, height: int, level: int) -> list[Op]:
    """Return operations that paint the true tiles of `tiles` exactly, cut to `width` and `height` pixels."""
    if not tiles.any():
        return []
    colour = tiles & any_in_tiles(_colourful(pixels32(picture)))
    if int(colour.sum()) > int(tiles.sum()) * _MOSTLY:
        return [_pack(picture, to_rects(tiles, width, height), level, colour=True)]
    ops: list[Op] = [_pack(picture, to_rects(tiles, width, height), level, colour=False)]
    if colour.any():
        # painted over the grey ones: splitting those around every coloured word would cost more
        ops.append(_pack(picture, to_rects(colour, width, height, gap=0), level, colour=True))
    return ops


def pack_rects(picture: Picture, rects: Sequence[Rect], level: int) -> list[Op]:
    """Return operations that paint a few small rectangles exactly."""
    ops: list[Op] = []
    grey: list[Rect] = []
    colour: list[Rect] = []
    whole = pixels32(picture)
    for rect in rects:
        part = whole[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
        first = int(part[0, 0])
        if (part == part[0, 0]).all():
            ops.append(Fill(rect, (first >> 16 & 255, first >> 8 & 255, first & 255)))
        elif _colourful(part).any():
            colour.append(rect)
        else:
            grey.append(rect)
    if grey:
        ops.append(_pack(picture, grey, level, colour=False))
    if colour:
        ops.append(_pack(picture, colour, level, colour=True))
    return ops


def _plane(picture: Picture, rects: Sequence[Rect], channel: int) -> Picture:
    parts = [picture[r.y : r.y + r.height, r.x : r.x + r.width, channel].ravel() for r in rects]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _pack(picture: Picture, rects: Sequence[Rect], level: int, *, colour: bool) -> Pixels:
    green = _plane(picture, rects, 1)
    planes = [green, _plane(picture, rects, 0) - green, _plane(picture, rects, 2) - green] if colour else [green]
    raw = b"".join(plane.tobytes() for plane in planes)
    if len(raw) >= _STORED_BELOW:
        deflater = zlib_ng.compressobj(level, zlib_ng.DEFLATED, -zlib_ng.MAX_WBITS)
        packed = deflater.compress(raw) + deflater.flush()
        if len(packed) < len(raw):
            return Pixels(tuple(rects), colour, False, packed)
    return Pixels(tuple(rects), colour, True, raw)


def size_of(ops: Sequence[Op]) -> int:
    """Return roughly how many bytes `ops` are on the wire."""
    return sum(8 + (len(op.data) + 8 * len(op.rects) if isinstance(op, Pixels) else 8) for op in ops)
