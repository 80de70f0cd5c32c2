"""The sound of the page: recorded while somebody listens, encoded once, the same packet to every listener.

One Opus packet (RFC 6716) holds 20 ms of 48 kHz stereo, about 64 kbit/s while something plays. While the page is
silent nothing is sent. While something secret is on screen only the holder hears anything, and for a moment after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

import av
import numpy as np
import structlog
from numpy.typing import NDArray

from sandbox.words import BadRequest, BatonError, Clock
from streaming.protocol import say_sound

KIND: Final = 3
"""The first byte of a sound message, which tells it from a picture's."""
RATE: Final = 48_000
CHANNELS: Final = 2
BLOCK_S: Final = 0.02
SAMPLES: Final = int(RATE * BLOCK_S)
_BLOCK: Final = SAMPLES * CHANNELS * 2
_BITS: Final = 64_000
_HEADER: Final = struct.Struct("!BBII")
_SILENT: Final = 8
"""Samples up to this are silence: 72 dB below full scale."""
_TAIL_BLOCKS: Final = 10
_HUSH_S: Final = 0.5
"""What is recorded now was played up to this long ago."""
_log = structlog.get_logger(__name__)


class SoundSource(Protocol):
    """Where a sandbox's sound comes from."""

    @property
    def why(self) -> str:
        """Why there is none, as a sentence for the operator; empty where there is."""
        ...

    def record(self) -> AbstractAsyncContextManager[asyncio.StreamReader]:
        """Record from now to the end of the context: 48 kHz, stereo, interleaved signed 16-bit little endian.

        Raises `Unavailable` where there is no sound.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """One viewer that can hear. `send` takes a whole binary message and must not block."""

    say: Callable[[str], None]
    send: Callable[[bytes], None]
    may_hear: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class SoundStatistics:
    """One sandbox's sound. `packets` stands still while nobody listens or nothing plays."""

    listeners: int
    recording: bool
    packets: int
    bytes: int


class OpusEncoder:
    """20 ms of samples to one Opus packet, or to none while there is silence."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "w")
        if not isinstance(codec, av.AudioCodecContext):
            raise BatonError("libopus is not an audio encoder here")
        codec.sample_rate, codec.layout, codec.format = RATE, "stereo", "s16"
        codec.bit_rate = _BITS
        codec.time_base = Fraction(1, RATE)
        codec.options = {"application": "audio", "frame_duration": "20", "compression_level": "5", "vbr": "on"}
        self._codec = codec
        self._quiet = _TAIL_BLOCKS
        self._at = 0

    def encode(self, block: bytes) -> bytes | None:
        """Encode one block. Silence is coded for a fifth of a second, so that what went before can fade away."""
        samples = np.frombuffer(block, "<i2")
        self._quiet = 0 if _audible(samples) else self._quiet + 1
        if self._quiet > _TAIL_BLOCKS:
            return None
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = RATE, self._at
        self._at += SAMPLES
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


def _audible(samples: NDArray[np.int16]) -> bool:
    return int(samples.max()) > _SILENT or int(samples.min()) < -_SILENT


def pack(number: int, taken_us: int, packet: bytes) -> bytes:
    """Return the binary message of one packet: kind, 0, number, microseconds since the hub started, Opus."""
    return _HEADER.pack(KIND, 0, number & 0xFFFFFFFF, taken_us & 0xFFFFFFFF) + packet


def unpack(message: bytes) -> tuple[int, int, bytes]:
    """Read a sound message back: number, microseconds, Opus packet. Raises `BadRequest`."""
    if len(message) <= _HEADER.size or message[0] != KIND:
        raise BadRequest("this is no sound message")
    _, _, number, taken_us = _HEADER.unpack_from(message)
    return number, taken_us, message[_HEADER.size :]


class Sound:
    """The sound of one sandbox for any number of viewers. Call it on the event loop; end it with `close`."""

    def __init__(self, source: SoundSource | None, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._started = clock.monotonic()
        self._listeners: dict[Listener, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._number = self._bytes = 0

    def __repr__(self) -> str:
        return f"<Sound listeners={len(self._listeners)} packets={self._number}>"

    def turn(self, listener: Listener, on: bool) -> None:
        """Let a viewer hear from now on, and tell it what became of that, or no more. The first starts the recorder."""
        if not on:
            self.leave(listener)
            return
        if self._source is None or self._source.why:
            listener.say(say_sound(self._source.why if self._source else "The sound of this sandbox cannot be heard."))
            return
        self._listeners.setdefault(listener, 0.0)
        listener.say(say_sound())
        if self._task is None:
            self._task = asyncio.create_task(self._record(self._source))

    def leave(self, listener: Listener) -> None:
        """Forget a viewer. The last one ends the recorder."""
        self._listeners.pop(listener, None)
        if not self._listeners:
            self._stop()

    async def close(self) -> None:
        """End the recorder and wait for its end. May be called twice."""
        self._listeners.clear()
        self._stop()
        if self._ending:
            await asyncio.wait(self._ending)

    def statistics(self) -> SoundStatistics:
        """Return a frozen copy of the counters."""
        return SoundStatistics(len(self._listeners), self._task is not None, self._number, self._bytes)

    def _stop(self) -> None:
        if self._task is not None:
            self._ending.add(self._task)
            self._task.add_done_callback(self._ending.discard)
            self._task.cancel()
            self._task = None

    async def _record(self, source: SoundSource) -> None:
        why = "The recorder of this sandbox's sound has ended; turn the sound on again."
        try:
            encoder = OpusEncoder()
            async with source.record() as samples:
                while True:
                    self._hand_out(encoder.encode(await samples.readexactly(_BLOCK)))
        except asyncio.IncompleteReadError:
            pass
        except BatonError as error:
            why = error.message
        except Exception as error:  # noqa: BLE001 - a task has nobody to raise to: the listeners are told
            _log.exception("the sound stopped", error=type(error).__name__)
        self._task = None
        for listener in list(self._listeners):
            self._listeners.pop(listener)
            with contextlib.suppress(BatonError):
                listener.say(say_sound(source.why or why))

    def _hand_out(self, packet: bytes | None) -> None:
        """Send a packet to whoever may hear it; without a packet only mark who may not."""
        now = self._clock.monotonic()
        for listener in [listener for listener in self._listeners if not listener.may_hear()]:
            self._listeners[listener] = now + _HUSH_S
        if not packet:
            return
        self._number += 1
        self._bytes += len(packet)
        message = pack(self._number, int((now - self._started) * 1e6), packet)
        for listener, hushed_until in list(self._listeners.items()):
            if now >= hushed_until:
                listener.send(message)
