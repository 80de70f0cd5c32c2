"""A sandbox has its own sound server: it hears its pages and nobody else's, sleeps while idle, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from sandbox import processes
from sandbox.audio import BLOCK, RATE, PageSound
from sandbox.browser import launch
from sandbox.display.xvfb import start_xvfb
from sandbox.isolation import Room, UidLock, becoming, claim_uid, make_room, wipe_uid
from sandbox.pages import Pages
from sandbox.screen import Size
from sandbox.words import SandboxId, Unavailable, new_id

ROOT = os.geteuid() == 0
needs_sound = pytest.mark.skipif(
    not (shutil.which("pulseaudio") and shutil.which("parec")), reason="needs Debian's pulseaudio"
)

type Rooms = Callable[[], Path]

TONE = """(hertz => { const sound = new AudioContext(), tone = new OscillatorNode(sound, {frequency: hertz});
  tone.connect(sound.destination); tone.start(); return sound.resume().then(() => sound.state) })"""


class Sounding:
    """A room with its sound server."""

    def __init__(self, room: Room, lock: UidLock | None, sound: PageSound) -> None:
        self.room = room
        self.lock = lock
        self.sound = sound

    @property
    def uid(self) -> int | None:
        """Its user, where the tests run as root."""
        return self.lock.uid if self.lock else None

    def run(self, *command: str, uid: int | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a client of its server, as `uid`."""
        return subprocess.run(
            command, env={**self.room.env(), **self.sound.env}, preexec_fn=becoming(uid, os.getpid()),
            capture_output=True, timeout=10, check=False,
        )  # fmt: skip

    async def hear(self, seconds: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        """Record the left channel."""
        async with self.sound.record() as stream:
            data = await asyncio.wait_for(stream.readexactly(BLOCK * int(seconds * 50)), seconds + 5)
        return np.frombuffer(data, "<i2")[::2]


@asynccontextmanager
async def sounding(directory: Path) -> AsyncIterator[Sounding]:
    """Make a room with sound, and leave nothing."""
    lock = claim_uid() if ROOT else None
    room = make_room(directory, SandboxId(new_id("sb")), lock.uid if lock else None)
    sound = PageSound(room, lock.uid if lock else None)
    try:
        await sound.start()
        await sound.ready()
        yield Sounding(room, lock, sound)
    finally:
        await sound.close()
        if lock:
            await wipe_uid(lock.uid)
            lock.release()
        room.remove()


@asynccontextmanager
async def tone(place: Sounding, hertz: int) -> AsyncIterator[None]:
    """A real Chromium whose page plays a tone."""
    async with AsyncExitStack() as stack:
        xvfb = await start_xvfb(place.room.display, Size(320, 240), place.uid)
        stack.push_async_callback(xvfb.close)
        env = {**place.room.env(), **place.sound.env, **xvfb.env}
        browser = await launch(place.room.profile, xvfb.size, display=xvfb.display, env=env, uid=place.uid)
        stack.push_async_callback(browser.close)
        pages = Pages(browser.connection)
        await pages.start()
        params = {"expression": f"{TONE}({hertz})", "userGesture": True, "awaitPromise": True, "returnByValue": True}
        reply = await pages.call(pages.get(None), "Runtime.evaluate", params)
        assert reply["result"]["value"] == "running"
        yield


def dominant(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> float:
    """The loudest frequency in hertz; 0 for silence."""
    if not samples.any():
        return 0.0
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(power)) * RATE / len(samples)


def ticks(pid: int) -> tuple[int, int]:
    """Processor time of a process in ticks of 10 ms, and how often its threads were woken."""
    stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    woken = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        lines = (thread / "status").read_text().splitlines()
        woken += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
    return int(stat[11]) + int(stat[12]), woken


@pytest.fixture
def rooms() -> Iterator[Rooms]:
    """Directories that every user may walk to, and that are short enough for sockets."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="b-")))
        return made[-1]

    yield make
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


@needs_sound
async def test_an_idle_server_sleeps(rooms: Rooms) -> None:
    """While nothing plays and nobody listens there is no recorder, no processor time and no wake-up."""
    async with sounding(rooms()) as place:
        pid = place.sound.pid
        assert pid is not None
        await asyncio.sleep(1.5)  # it goes to sleep a second after its start
        before = ticks(pid)
        await asyncio.sleep(3)
        after = ticks(pid)

        assert after[0] == before[0]
        assert after[1] - before[1] <= 2
        if place.uid is not None:
            assert [each.pid for each in processes.of_uid(place.uid)] == [pid]


@needs_sound
async def test_the_first_sound_comes_at_once_and_in_real_time(rooms: Rooms) -> None:
    """A recorder starts within a fraction of a second, gives 20 ms every 20 ms, and ends with its context."""
    async with sounding(rooms()) as place:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with place.sound.record() as stream:
            await stream.readexactly(BLOCK)
            first = loop.time()
            await stream.readexactly(BLOCK * 50)
            took = loop.time() - first
        assert first - began < 0.5
        assert took == pytest.approx(1.0, abs=0.15)
        if place.uid is not None:
            assert [each.pid for each in processes.of_uid(place.uid)] == [place.sound.pid]


@needs_sound
@pytest.mark.skipif(not ROOT, reason="needs root for other users")
async def test_another_sandbox_cannot_connect(rooms: Rooms) -> None:
    """The sandbox's own user is let in; another sandbox's user is not."""
    async with sounding(rooms()) as place, sounding(rooms()) as other:
        assert place.run("pactl", "info", uid=place.uid).returncode == 0
        refused = place.run("pactl", "info", uid=other.uid)
        assert refused.returncode != 0
        assert refused.stdout == b""


@needs_sound
async def test_a_server_that_died_is_named(rooms: Rooms) -> None:
    """Whoever wants to listen after the daemon's death is told so."""
    async with sounding(rooms()) as place:
        assert place.sound.why == ""
        await place.sound.close()
        assert "has ended" in place.sound.why
        with pytest.raises(Unavailable, match="has ended"):
            await place.hear(0.1)


async def test_a_machine_without_sound_says_so(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PulseAudio is not installed nothing fails, and the reason names the package."""
    monkeypatch.setenv("PATH", "/nonexistent")
    async with sounding(rooms()) as place:
        assert "apt-get install pulseaudio" in place.sound.why
        with pytest.raises(Unavailable, match="no audio server"):
            await place.hear(0.1)


@needs_sound
async def test_a_server_that_cannot_start_is_named(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that ends at once costs no waiting and is said."""
    programs = rooms()
    for name in ("pulseaudio", "parec"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    programs.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    async with sounding(rooms()) as place:
        assert "did not start" in place.sound.why


@needs_sound
@pytest.mark.browser
async def test_two_sandboxes_hear_their_own_pages(rooms: Rooms) -> None:
    """440 Hz in one browser and 1 kHz in another are each heard in their own sandbox and not in the other."""
    async with sounding(rooms()) as first, sounding(rooms()) as second:
        async with tone(first, 440):
            assert dominant((await first.hear(1.0))[-24_000:]) == pytest.approx(440, abs=4)
            assert dominant(await second.hear(0.5)) == 0.0
        async with tone(second, 1000):
            assert dominant((await second.hear(1.0))[-24_000:]) == pytest.approx(1000, abs=4)
            assert dominant((await first.hear(0.5))[-12_000:]) == 0.0
