"""Sound is encoded once for all listeners, not at all in silence, and kept from watchers while a secret shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import av
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from sandbox.screen import Rect
from sandbox.words import BadRequest, Holder, OperatorId, Side, SystemClock, Unavailable
from streaming.hub import StreamHub
from streaming.sound import RATE, SAMPLES, Listener, OpusEncoder, Sound, pack, unpack
from streaming.testing import PaintedScreen, until


def sine(hertz: float, block: int) -> bytes:
    """One block of a tone, both channels."""
    at = np.arange(block * SAMPLES, (block + 1) * SAMPLES)
    return np.repeat(np.sin(2 * np.pi * hertz * at / RATE) * 8000, 2).astype("<i2").tobytes()


SILENCE = bytes(SAMPLES * 4)


def dominant(packets: list[bytes]) -> float:
    """The loudest frequency in Opus packets, in hertz."""
    codec: Any = av.CodecContext.create("libopus", "r")
    codec.sample_rate, codec.layout = RATE, "stereo"
    frames = [frame.to_ndarray()[0, ::2] for packet in packets for frame in codec.decode(av.Packet(packet))]
    samples = np.concatenate(frames)[-24_000:]
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))))) * RATE / len(samples)


class Tape:
    """A sound source that plays what it is given."""

    def __init__(self) -> None:
        self.why = ""
        self.recorders = 0
        self.stream: asyncio.StreamReader | None = None

    @asynccontextmanager
    async def record(self) -> AsyncIterator[asyncio.StreamReader]:
        """See `SoundSource`."""
        if self.why:
            raise Unavailable(self.why)
        self.recorders += 1
        self.stream = asyncio.StreamReader()
        try:
            yield self.stream
        finally:
            self.recorders -= 1
            self.stream = None

    async def play(self, *blocks: bytes) -> None:
        """Let these be recorded, and wait until they have been dealt with."""
        await settled()
        assert self.stream is not None
        for block in blocks:
            self.stream.feed_data(block)
            await settled()


async def settled() -> None:
    """Let what is ready run."""
    for _ in range(6):
        await asyncio.sleep(0)


@dataclass
class Now:
    """A clock that is set."""

    at: float = 100.0

    def monotonic(self) -> float:
        """See `Clock`."""
        return self.at

    def now(self) -> float:
        """See `Clock`."""
        return self.at


@dataclass
class Ear:
    """A viewer that keeps what it hears."""

    may_hear: bool = True
    said: list[tuple[str, str]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = Listener(self._say, self.messages.append, lambda: self.may_hear)

    def _say(self, text: str) -> None:
        message = json.loads(text)
        assert message["t"] == "sound"
        self.said.append((message["state"], message["why"]))


def test_a_tone_comes_through() -> None:
    """What is encoded is what was played, at about 64 kbit/s at most."""
    for hertz in (440, 1000):
        encoder = OpusEncoder()
        packets = [packet for block in range(50) if (packet := encoder.encode(sine(hertz, block)))]
        assert len(packets) == 50
        assert sum(map(len, packets)) * 8 < 80_000
        assert dominant(packets) == pytest.approx(hertz, abs=4)


def test_silence_costs_nothing() -> None:
    """After a fifth of a second of silence nothing is sent, until something is audible again."""
    encoder = OpusEncoder()
    assert encoder.encode(SILENCE) is None
    assert encoder.encode(sine(440, 0))
    tail = [encoder.encode(SILENCE) for _ in range(50)]
    assert all(tail[:10])
    assert not any(tail[10:])
    assert encoder.encode(sine(440, 1))


def test_a_message_reads_back() -> None:
    """Kind, number, microseconds, packet; anything else is refused."""
    message = pack(0x1_0000_0007, 0x1_0000_0009, b"opus")
    assert message[:2] == b"\x03\x00"
    assert unpack(message) == (7, 9, b"opus")
    for bad in (b"", message[:10], b"\x02" + message[1:]):
        with pytest.raises(BadRequest):
            unpack(bad)


async def test_all_listeners_get_the_same_packet() -> None:
    """It is encoded once, and the recorder runs from the first listener to the last."""
    tape, ann, bob = Tape(), Ear(), Ear()
    sound = Sound(tape, Now())
    assert tape.recorders == 0
    sound.turn(ann.listener, True)
    sound.turn(bob.listener, True)
    await tape.play(sine(440, 0), sine(440, 1))
    assert tape.recorders == 1
    assert len(ann.messages) == 2
    assert all(one is other for one, other in zip(ann.messages, bob.messages, strict=True))

    sound.turn(ann.listener, False)
    await tape.play(sine(440, 2))
    assert (len(ann.messages), len(bob.messages)) == (2, 3)
    sound.leave(bob.listener)
    await settled()
    assert tape.recorders == 0
    assert not sound.statistics().recording
    assert ann.said == [("on", "")]
    await sound.close()


async def test_watchers_hear_nothing_while_a_secret_shows() -> None:
    """From the mask until half a second after it only the holder hears; silence in between does not end it early."""
    tape, clock, ann, bob = Tape(), Now(), Ear(), Ear()
    sound = Sound(tape, clock)
    sound.turn(ann.listener, True)
    sound.turn(bob.listener, True)
    await tape.play(sine(440, 0))
    bob.may_hear = False
    await tape.play(sine(440, 1), SILENCE)
    bob.may_hear = True
    clock.at += 0.4
    await tape.play(sine(440, 2))
    assert (len(ann.messages), len(bob.messages)) == (4, 1)
    clock.at += 0.2
    await tape.play(sine(440, 3))
    assert (len(ann.messages), len(bob.messages)) == (5, 2)
    await sound.close()
    assert tape.recorders == 0


async def test_no_sound_is_said() -> None:
    """Without a source, without a server, and when the recorder ends, the viewer is told why."""
    ann, tape = Ear(), Tape()
    Sound(None, Now()).turn(ann.listener, True)
    tape.why = "This machine has no audio server."
    Sound(tape, Now()).turn(ann.listener, True)
    assert [state for state, _ in ann.said] == ["none", "none"]
    assert ann.said[1][1] == tape.why

    tape.why = ""
    sound = Sound(tape, Now())
    sound.turn(ann.listener, True)
    await settled()
    assert tape.stream is not None
    tape.stream.feed_eof()
    await settled()
    assert ann.said[2] == ("on", "")
    assert ann.said[3][0] == "none"
    assert sound.statistics().listeners == 0
    sound.turn(ann.listener, True)
    await settled()
    assert tape.recorders == 1
    await sound.close()


@asynccontextmanager
async def heard_by(port: int, operator: str) -> AsyncIterator[list[bytes]]:
    """A viewer that asked for the sound; yields what it hears."""
    sounds: list[bytes] = []

    async def listen(socket: ClientConnection) -> None:
        while True:
            message = await socket.recv()
            if isinstance(message, bytes):
                sounds.append(message)

    async with connect(f"ws://127.0.0.1:{port}/stream?operator={operator}") as socket:
        await socket.send('{"t":"sound","on":true}')
        async for message in socket:
            if isinstance(message, str) and json.loads(message)["t"] == "sound":
                break
        task = asyncio.create_task(listen(socket))
        yield sounds
        task.cancel()


async def test_the_hub_lets_only_the_holder_hear_a_secret() -> None:
    """While masks are on the screen a watcher of the same hub gets nothing; a viewer that leaves ends the recorder."""
    tape, screen = Tape(), PaintedScreen()
    screen.set_control(Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann"), 1)
    hub = StreamHub(screen, SystemClock(), sound=tape)

    async def handle(socket: ServerConnection) -> None:
        path = socket.request.path if socket.request else ""
        await hub.serve(socket, dict(parse_qsl(urlsplit(path).query)))

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with heard_by(port, "op_ann") as ann, heard_by(port, "op_bob") as bob:
            await tape.play(sine(440, 0))
            await until(lambda: len(ann) == len(bob) == 1)
            screen.set_masks([Rect(0, 0, 10, 10)])
            await tape.play(sine(440, 1))
            await until(lambda: len(ann) == 2)
            screen.set_masks([])
            await tape.play(sine(440, 2))
            await until(lambda: len(ann) == 3)
            assert len(bob) == 1
            assert hub.statistics().sound.listeners == 2
        await until(lambda: not hub.statistics().sound.recording)
        await hub.close()
    assert tape.recorders == 0
