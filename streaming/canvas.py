"""What a viewer shows after a frame: the operations painted on an array. Recordings and tests read streams with it."""

from __future__ import annotations

import io
import zlib
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sandbox.screen import Rect, Size
from sandbox.words import BadRequest
from streaming.ops import HISTORY, Coding, Copy, Fill, Flag, Frame, Keep, Op, Pixels, Show, Video

type Rgb = NDArray[np.uint8]
"""Shape (height, width, 3)."""


class Canvas:
    """Paints frames in their order. The first must be a key frame."""

    def __init__(self) -> None:
        self.pixels: Rgb = np.zeros((0, 0, 3), np.uint8)
        self._kept: dict[int, Rgb] = {}
        self._decoders: dict[int, _Decoder] = {}
        self._greens = b""

    def __repr__(self) -> str:
        return f"<Canvas {self.pixels.shape[1]}x{self.pixels.shape[0]} kept={len(self._kept)}>"

    def paint(self, frame: Frame) -> None:
        """Paint one frame. Raises `BadRequest` for what refers to nothing or cannot be painted."""
        if Flag.KEY in frame.flags:
            size = frame.size or Size(0, 0)
            self.pixels = np.zeros((size.height, size.width, 3), np.uint8)
            self._kept.clear()
            self._decoders.clear()
            self._greens = b""
        for op in frame.ops:
            self._paint(op, key=Flag.KEY in frame.flags)

    def _paint(self, op: Op, *, key: bool) -> None:
        match op:
            case Fill(rect, colour):
                self.pixels[self._area(rect)] = colour
            case Pixels():
                greens = self._pixels(op)
                self._greens = self._greens if key else (self._greens + greens)[-HISTORY:]
            case Copy(rect, dx, dy):
                moved = Rect(rect.x + dx, rect.y + dy, rect.width, rect.height)
                self.pixels[self._area(moved)] = self.pixels[self._area(rect)].copy()
            case Keep(slot):
                self._kept[slot] = self.pixels.copy()
            case Show(slot, rects):
                if slot not in self._kept:
                    raise BadRequest(f"nothing was kept in slot {slot}")
                for rect in rects:
                    self.pixels[self._area(rect)] = self._kept[slot][self._area(rect)]
            case Video():
                self._video(op)

    def _pixels(self, op: Pixels) -> bytes:
        count = sum(rect.width * rect.height for rect in op.rects)
        tinted = sum(rect.width * rect.height for _, rect in op.tints)
        raw = op.data if op.stored else self._inflate(op)
        if len(raw) != count + 2 * tinted:
            raise BadRequest("pixels that do not fill their rectangles")
        planes = np.frombuffer(raw, np.uint8)
        at = 0
        for rect in op.rects:
            greens = planes[at : at + rect.width * rect.height].reshape(rect.height, rect.width, 1)
            self.pixels[self._area(rect)] = greens
            at += greens.size
        for _, rect in op.tints:
            size = rect.width * rect.height
            part = self.pixels[self._area(rect)]
            part[..., 2] += planes[at : at + size].reshape(rect.height, rect.width)
            part[..., 0] += planes[at + tinted : at + tinted + size].reshape(rect.height, rect.width)
            at += size
        return raw[:count]

    def _inflate(self, op: Pixels) -> bytes:
        inflater = zlib.decompressobj(-15, zdict=self._greens) if op.goes_on else zlib.decompressobj(-15)
        try:
            return inflater.decompress(op.data) + inflater.flush()
        except zlib.error as error:
            raise BadRequest("pixels that cannot be unpacked") from error

    def _area(self, rect: Rect) -> tuple[slice, slice]:
        height, width = self.pixels.shape[:2]
        if min(rect.x, rect.y) < 0 or rect.x + rect.width > width or rect.y + rect.height > height:
            raise BadRequest("a rectangle that lies outside the picture")
        return slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width)

    def _video(self, op: Video) -> None:
        if op.coding is Coding.H264 and op.stream not in self._decoders:
            if not op.key:
                raise BadRequest(f"video stream {op.stream} does not begin with a key picture")
            self._decoders[op.stream] = _Decoder()
        try:
            picture = (
                np.asarray(Image.open(io.BytesIO(op.data)).convert("RGB"))
                if op.coding is Coding.JPEG
                else self._decoders[op.stream].decode(op.data)
            )
            self.pixels[self._area(op.rect)] = picture[: op.rect.height, : op.rect.width]
        except (OSError, ValueError, SyntaxError) as error:  # what Pillow, libav and numpy raise
            raise BadRequest("a video picture that cannot be shown") from error


class _Decoder:
    def __init__(self) -> None:
        self._codec: Any = av.CodecContext.create("h264", "r")
        self._codec.thread_count = 1
        self._codec.options = {"flags": "low_delay"}

    def decode(self, data: bytes) -> Rgb:
        frames = self._codec.decode(av.Packet(data))
        if len(frames) != 1:
            raise BadRequest("one packet of video must give one picture at once")
        return to_rgb(frames[0])


def to_rgb(frame: Any) -> Rgb:
    """Return a decoded BT.709 full-range picture as a browser's canvas shows it."""
    planes = []
    for plane in frame.planes:
        raw = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].astype(float)
        step = frame.height // plane.height
        planes.append(raw.repeat(step, 0).repeat(step, 1)[: frame.height, : frame.width])
    luma, blue, red = planes[0], planes[1] - 128, planes[2] - 128
    rgb = np.stack([luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue], -1)
    return np.clip(rgb + 0.5, 0, 255).astype(np.uint8)
