"""The part of the picture that really moves, as video: H.264 of one rectangle, or JPEG where the viewer has no H.264.

Colour is BT.709 full range, said in the bitstream. 4:4:4 costs about a millisecond and is worth 3 dB and more on the
saturated colours that pages use; 4:2:0 is for viewers that cannot decode it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Protocol

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from PIL import Image

from sandbox.screen import Picture, Rect
from streaming.ops import Coding
from streaming.protocol import Pictures

_COMMON: Final = (
    "merange=16:aq-mode=0:no-psy=1:qcomp=1:scenecut=0:bframes=0:ref=1:cabac=1"
    ":fullrange=on:colorprim=bt709:transfer=iec61966-2-1:colormatrix=bt709"
)
_OPEN_RATE: Final = 120_000_000
"""Bits a second: far above need, but the encoder takes another bound later only if it starts with one."""
ENCODER_FPS: Final = 60
_BUFFER_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Setting:
    """How x264 is set for one use."""

    preset: str
    params: str
    motion: str


FILM: Final = Setting("superfast", _COMMON, "hex")
"""Moving pictures. Measured on the film of the rulers, 640x360: 39 dB at 2.3 Mbit/s and 2.6 ms a picture."""
GLIMPSE: Final = Setting("ultrafast", f"{_COMMON}:no-deblock=1", "dia")
"""A first look at a page on a slow network: deblocking would cost its text 8 dB."""


class VideoEncoder(Protocol):
    """One rectangle's encoder; used by one thread."""

    coding: Coding

    def encode(self, picture: Picture, *, key: bool) -> tuple[bytes, bool]:
        """Encode the rectangle cut out of `picture`. Returns the data and whether it is a key picture."""
        ...

    def cap(self, bits_per_second: float | None) -> None:
        """Bound the rate from the next picture on, without a key picture; None lifts the bound."""
        ...


class H264Encoder:
    """x264 for one rectangle; `full_colour` is 4:4:4."""

    coding = Coding.H264

    def __init__(self, rect: Rect, *, full_colour: bool, quality: float, setting: Setting, rate: float | None) -> None:
        self._area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width)
        self._format = "yuv444p" if full_colour else "yuv420p"
        self._reformatter = VideoReformatter()
        self._count = 0
        context: Any = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = rect.width, rect.height, self._format
        context.time_base, context.framerate = Fraction(1, ENCODER_FPS), Fraction(ENCODER_FPS)
        context.gop_size, context.max_b_frames, context.thread_count = 1 << 20, 0, 1
        context.color_range, context.colorspace = ColorRange.JPEG, Colorspace.ITU709
        bound = self._bound(rate)
        context.options = {
            "preset": setting.preset, "tune": "zerolatency", "crf": f"{quality:g}", "motion-est": setting.motion,
            "forced-idr": "1", "maxrate": str(bound), "bufsize": str(int(bound * _BUFFER_S)),
            "x264-params": setting.params,
        }  # fmt: skip
        self._context = context
        self._rate = bound

    def __repr__(self) -> str:
        return f"<H264Encoder {self._context.width}x{self._context.height} {self._format} pictures={self._count}>"

    @staticmethod
    def _bound(rate: float | None) -> int:
        return int(min(rate or _OPEN_RATE, _OPEN_RATE))

    def cap(self, bits_per_second: float | None) -> None:
        """See `VideoEncoder.cap`."""
        bound = self._bound(bits_per_second)
        # a bound that follows every estimate would reconfigure the encoder with every picture
        if abs(bound - self._rate) > bound // 20:
            self._rate = self._context.max_bit_rate = bound
            self._context.rc_buffer_size = int(bound * _BUFFER_S)

    def encode(self, picture: Picture, *, key: bool) -> tuple[bytes, bool]:
        """See `VideoEncoder.encode`."""
        source = VideoFrame.from_numpy_buffer(picture[self._area], "bgra")
        frame = self._reformatter.reformat(
            source, format=self._format, dst_colorspace=Colorspace.ITU709, src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG, interpolation=Interpolation.BILINEAR, threads=1,
        )  # fmt: skip
        frame.pts = self._count
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._count += 1
        packets = self._context.encode(frame)
        return b"".join(bytes(packet) for packet in packets), any(packet.is_keyframe for packet in packets)


class JpegEncoder:
    """Single JPEGs, for viewers without a video decoder. They have no rate to bound: the viewer's window paces them."""

    coding = Coding.JPEG

    def __init__(self, rect: Rect, *, quality: int = 80) -> None:
        self._area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width)
        self._quality = quality

    def cap(self, bits_per_second: float | None) -> None:
        """See `VideoEncoder.cap`."""

    def encode(self, picture: Picture, *, key: bool) -> tuple[bytes, bool]:  # noqa: ARG002 - every JPEG is whole
        """See `VideoEncoder.encode`."""
        out = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(picture[self._area][:, :, 2::-1]), "RGB")
        image.save(out, "JPEG", quality=self._quality, subsampling=0)
        return out.getvalue(), True


def make_encoder(kind: Pictures, rect: Rect, setting: Setting, quality: float, rate: float | None) -> VideoEncoder:
    """Return a new encoder of `rect` for viewers of `kind`."""
    if kind is Pictures.JPEG:
        return JpegEncoder(rect)
    return H264Encoder(rect, full_colour=kind is Pictures.H264_444, quality=quality, setting=setting, rate=rate)
