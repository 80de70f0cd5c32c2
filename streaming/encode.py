"""Pictures to H.264 or JPEG, one encoder for each distinct rendition.

H.264 is x264 through libav, set for pages: no deblocking (it smears text), a wide motion search (scrolling costs a
sixth), no adaptive quantisation, an endless group of pictures with key frames on request. Constant quality, so a
still picture costs a few bytes a frame; `cap` bounds the rate for a slow link, and the quality then rises with every
frame that repeats the picture.

Colour is BT.709 full range, said in the bitstream: then what the canvas shows is within ±3 of what was painted.
4:4:4 keeps coloured text exact; 4:2:0 cannot show it above about 41 dB, whatever it may spend.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, Protocol

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from sandbox.screen import Picture, Rect, Size
from streaming.protocol import Pictures

_X264: Final = (
    "merange=64:no-deblock=1:aq-mode=0:no-psy=1:qcomp=1:cabac=0:scenecut=0:bframes=0:ref=1"
    ":fullrange=on:colorprim=bt709:transfer=iec61966-2-1:colormatrix=bt709"
)
_OPEN_RATE: Final = 120_000_000
"""Bits a second: far above need, but the encoder takes another bound later only if it starts with one."""
_BUFFER_S: Final = 0.1
_MASK_GREY: Final = 0x80

type Rows = tuple[int, int]
"""First row and the row after the last."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One picture as it goes to viewers: an Annex-B access unit, or a JPEG file."""

    data: bytes = field(repr=False)
    key: bool
    codec: str


class Encoder(Protocol):
    """One rendition's encoder; used by one thread."""

    def encode(self, picture: Picture, rows: Rows | None, *, key: bool, still: bool) -> Encoded:
        """Encode `picture`, of which only `rows` may differ from the one before (None: nothing does).

        `key` asks for a key frame. `still` says that this repeats the picture before, for its quality.
        """
        ...

    def cap(self, bits_per_second: int | None) -> None:
        """Bound the rate from the next picture on; None lifts the bound. Takes effect without a key frame."""
        ...


def cover(picture: Picture, masks: Sequence[Rect]) -> None:
    """Fill `masks` with grey, in place; what lies outside the picture is cut off."""
    height, width = picture.shape[:2]
    for mask in masks:
        top, left = max(mask.y, 0), max(mask.x, 0)
        picture[top : min(mask.y + mask.height, height), left : min(mask.x + mask.width, width)] = _MASK_GREY


def codec_string(access_unit: bytes) -> str:
    """Return the RFC 6381 name of an Annex-B stream, from its sequence parameter set."""
    at = access_unit.find(b"\0\0\1\x67")
    return f"avc1.{access_unit[at + 4 : at + 7].hex().upper()}" if at >= 0 else "avc1.42E01F"


class H264Encoder:
    """x264 for one rendition; `full_colour` is 4:4:4. Converts only the rows that changed."""

    def __init__(self, size: Size, *, full_colour: bool, quality: float = 16.0, threads: int = 2) -> None:
        self._size = size
        self._format = "yuv444p" if full_colour else "yuv420p"
        self._reformatter = VideoReformatter()
        self._frame = VideoFrame(size.width, size.height, self._format)
        self._frame.color_range = ColorRange.JPEG
        self._frame.colorspace = Colorspace.ITU709
        self._planes = [self._view(index) for index in range(3)]
        self._context = self._open(quality, threads)
        self._count = 0
        self._codec = ""

    def __repr__(self) -> str:
        return (
            f"<H264Encoder {self._codec or self._format} {self._size.width}x{self._size.height} frames={self._count}>"
        )

    def _open(self, quality: float, threads: int) -> Any:
        context: Any = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = self._size.width, self._size.height, self._format
        context.time_base, context.framerate = Fraction(1, 60), Fraction(60)
        context.gop_size, context.max_b_frames, context.thread_count = 1 << 20, 0, threads
        context.color_range, context.colorspace = ColorRange.JPEG, Colorspace.ITU709
        context.options = {
            "preset": "ultrafast", "tune": "zerolatency", "crf": f"{quality:g}", "motion-est": "umh", "forced-idr": "1",
            "maxrate": str(_OPEN_RATE), "bufsize": str(int(_OPEN_RATE * _BUFFER_S)), "x264-params": _X264,
        }  # fmt: skip
        return context

    def _view(self, index: int) -> NDArray[np.uint8]:
        plane = self._frame.planes[index]
        memory: NDArray[np.uint8] = np.frombuffer(plane, np.uint8)
        return memory.reshape(plane.height, plane.line_size)[:, : plane.width]

    def cap(self, bits_per_second: int | None) -> None:
        """See `Encoder.cap`."""
        rate = min(bits_per_second or _OPEN_RATE, _OPEN_RATE)
        if self._context.max_bit_rate != rate:
            self._context.max_bit_rate = rate
            self._context.rc_buffer_size = int(rate * _BUFFER_S)

    def encode(self, picture: Picture, rows: Rows | None, *, key: bool, still: bool) -> Encoded:  # noqa: ARG002 - x264 refines by itself
        """See `Encoder.encode`."""
        if rows is not None:
            self._convert(picture, rows)
        self._frame.pts = self._count
        self._frame.pict_type = PictureType.I if key else PictureType.NONE
        self._count += 1
        packets = self._context.encode(self._frame)
        data = b"".join(bytes(packet) for packet in packets)
        made_key = any(packet.is_keyframe for packet in packets)
        if made_key:
            self._codec = codec_string(data)
        return Encoded(data, made_key, self._codec)

    def _convert(self, picture: Picture, rows: Rows) -> None:
        # chroma rows of 4:2:0 come in pairs
        top, bottom = max(rows[0], 0) & ~1, min(self._size.height, rows[1] + 1 & ~1)
        if bottom <= top:
            return
        source = VideoFrame.from_numpy_buffer(picture[top:bottom], "bgra")
        done = self._reformatter.reformat(
            source, format=self._format, dst_colorspace=Colorspace.ITU709, src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG, interpolation=Interpolation.BILINEAR, threads=1,
        )  # fmt: skip
        for index, whole in enumerate(self._planes):
            part = done.planes[index]
            memory = np.frombuffer(part, np.uint8).reshape(part.height, part.line_size)[:, : part.width]
            shift = 1 if part.height < bottom - top else 0
            whole[top >> shift : bottom >> shift] = memory


class JpegEncoder:
    """JPEG for viewers without WebCodecs: coarser while things move, fine once they rest."""

    def __init__(self, size: Size, *, moving: int = 80, resting: int = 96) -> None:
        self._size = size
        self._moving = moving
        self._resting = resting

    def cap(self, bits_per_second: int | None) -> None:
        """See `Encoder.cap`; a JPEG has no rate to bound, so the viewer's window alone paces it."""

    def encode(self, picture: Picture, rows: Rows | None, *, key: bool, still: bool) -> Encoded:  # noqa: ARG002 - every JPEG is whole
        """See `Encoder.encode`."""
        out = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(picture[:, :, 2::-1]), "RGB")
        image.save(out, "JPEG", quality=self._resting if still else self._moving, subsampling=0)
        return Encoded(out.getvalue(), key=True, codec="image/jpeg")


def make_encoder(kind: Pictures, size: Size, quality: float) -> Encoder:
    """Return a new encoder for `kind`."""
    if kind is Pictures.JPEG:
        return JpegEncoder(size)
    return H264Encoder(size, full_colour=kind is Pictures.H264_444, quality=quality)
