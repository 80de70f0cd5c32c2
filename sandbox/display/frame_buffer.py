"""Xvfb's frame buffer as an array: a mapped XWD file, so that a picture costs a copy and no X request."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from sandbox.screen import Picture, Rect, Size
from sandbox.words import Unavailable

# XWDFileHeader: 25 big-endian CARD32; the colour map's cells of 12 bytes follow the header (X11/XWDFile.h).
_HEADER: Final = struct.Struct(">25I")
_HEADER_SIZE, _HEIGHT, _WIDTH, _BYTES_PER_LINE, _NCOLORS = 0, 5, 4, 12, 19
_COLOUR_CELL: Final = 12
_LSB_FIRST, _BYTE_ORDER, _BITS_PER_PIXEL, _BPP = 0, 7, 32, 11


class FrameBuffer:
    """A read-only view of the screen's pixels; it changes under the reader as the server paints."""

    def __init__(self, path: Path, size: Size) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        head = _HEADER.unpack_from(self._map)
        if (head[_WIDTH], head[_HEIGHT], head[_BPP], head[_BYTE_ORDER]) != (
            size.width, size.height, _BITS_PER_PIXEL, _LSB_FIRST,
        ):  # fmt: skip
            raise Unavailable("Xvfb's frame buffer has not the form we asked for; run `baton doctor`")
        offset, stride = head[_HEADER_SIZE] + head[_NCOLORS] * _COLOUR_CELL, head[_BYTES_PER_LINE]
        rows = np.frombuffer(self._map, np.uint8, stride * size.height, offset).reshape(size.height, stride)
        self._pixels = rows[:, : size.width * 4].reshape(size.height, size.width, 4)

    def copy(self, out: Picture, rects: Sequence[Rect] | None = None) -> None:
        """Copy the picture, or `rects` of it, into `out`.

        Its last column and row, which no window reaches, repeat their neighbours: Chromium makes a window that would
        cover the screen one pixel smaller, so that no window manager takes it for full screen, and Baton leaves it at
        that. Pages are then laid out exactly as in a Chromium of that size elsewhere.
        """
        if rects is None:
            np.copyto(out, self._pixels)
        else:
            for rect in rects:
                top, left = max(0, rect.y), max(0, rect.x)
                area = slice(top, max(top, rect.y + rect.height)), slice(left, max(left, rect.x + rect.width))
                out[area] = self._pixels[area]
        out[:, -1] = out[:, -2]
        out[-1] = out[-2]
