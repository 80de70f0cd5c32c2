"""A private PulseAudio for one sandbox: one sink that plays to nobody, recorded while somebody listens.

The daemon is the sandbox's own, under its uid, without any configuration of the machine and without D-Bus. While no
page plays and nobody listens it sleeps: measured, not one wake-up in six seconds, 8 MB. The recorder is a process of
the same uid, so that what a hostile page could make of the daemon never speaks to the keeper but by plain samples.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sandbox.isolation import Room, becoming
from sandbox.words import Gone, Unavailable

RATE: Final = 48_000
CHANNELS: Final = 2
BLOCK: Final = RATE // 50 * CHANNELS * 2
"""Bytes of 20 ms: interleaved signed 16-bit samples, little endian."""

NOT_INSTALLED: Final = (
    "This machine has no audio server, so the page's sound cannot be heard; on Debian: apt-get install pulseaudio"
)
_SINK: Final = "page"
_START_S: Final = 3.0
_END_S: Final = 1.0
_FORMAT: Final = f"rate={RATE} channels={CHANNELS} format=s16le"


class PageSound:
    """The sound server of one sandbox. `start`, then `ready` before the browser; `close` leaves nothing.

    Where there is no sound server all of it still works, `why` says so, and `record` raises.
    """

    def __init__(self, room: Room, uid: int | None) -> None:
        self._env = room.env()
        # The place where libpulse looks by itself, below XDG_RUNTIME_DIR.
        self._directory = Path(self._env["XDG_RUNTIME_DIR"]) / "pulse"
        self._uid = uid
        self._why = ""
        self._daemon: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        return f"<PageSound {self.why or 'up'}>"

    @property
    def why(self) -> str:
        """Why there is no sound, as a sentence for the operator; empty where there is."""
        if not self._why and self._daemon is not None and self._daemon.returncode is not None:
            return "The audio server of this sandbox has ended; a new sandbox has a new one."
        return self._why

    @property
    def pid(self) -> int | None:
        """The daemon's process number."""
        return self._daemon.pid if self._daemon else None

    @property
    def env(self) -> dict[str, str]:
        """What a client's environment needs to play here, and nowhere else."""
        return {
            "PULSE_SERVER": f"unix:{self._socket}", "PULSE_COOKIE": str(self._directory / "cookie"),
            "PULSE_RUNTIME_PATH": str(self._directory), "PULSE_STATE_PATH": str(self._directory),
            "PULSE_CLIENTCONFIG": os.devnull, "PULSE_CONFIG": os.devnull,
        }  # fmt: skip

    @property
    def _socket(self) -> Path:
        return self._directory / "native"

    async def start(self) -> None:
        """Start the daemon, without waiting for it. Never raises: `why` says what is missing."""
        program = shutil.which("pulseaudio")
        if program is None or shutil.which("parec") is None:
            self._why = NOT_INSTALLED
            return
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if self._uid is not None:
            os.chown(self._directory, self._uid, self._uid)
        arguments = [
            program, "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--realtime=no",
            "--high-priority=no", "--disallow-module-loading", "--disallow-exit", "--log-target=stderr",
            # Without rewinds it never works further ahead than 50 ms; by default a recorder's first sound is 2 s late.
            f"--load=module-null-sink sink_name={_SINK} {_FORMAT} norewinds=1",
            "--load=module-suspend-on-idle timeout=1",
            f"--load=module-native-protocol-unix socket={self._socket} auth-cookie={self._directory / 'cookie'}",
        ]  # fmt: skip
        try:
            self._daemon = await self._run(arguments, asyncio.subprocess.DEVNULL)
        except OSError:
            self._why = "The audio server of this sandbox did not start; run `baton doctor`."

    async def ready(self) -> None:
        """Return when a client can connect, or it is clear that none ever will; `why` tells the two apart."""
        if self._daemon is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                while self._daemon.returncode is None:
                    if self._socket.exists():
                        return
                    await asyncio.sleep(0.005)
        self._why = "The audio server of this sandbox did not start; run `baton doctor`."
        await self.close()

    @asynccontextmanager
    async def record(self) -> AsyncIterator[asyncio.StreamReader]:
        """Record what the pages play, from now to the end of the context: blocks of `BLOCK` bytes, in real time.

        Costs a process and about a hundredth of a core. Raises `Unavailable` where there is no sound.
        """
        if self.why or self._daemon is None:
            raise Unavailable(self.why or "the audio server of this sandbox is not started", package="pulseaudio")
        program = shutil.which("parec") or "parec"
        arguments = [
            program, f"--device={_SINK}.monitor", "--raw", f"--rate={RATE}", f"--channels={CHANNELS}",
            "--format=s16le", "--latency-msec=20", "--client-name=baton",
        ]  # fmt: skip
        starting = asyncio.ensure_future(self._run(arguments, asyncio.subprocess.PIPE))
        try:
            recorder = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await _end(await starting)
            raise
        if recorder.stdout is None:
            raise Gone("the recorder has no output")
        try:
            yield recorder.stdout
        finally:
            await asyncio.shield(_end(recorder))

    async def close(self) -> None:
        """End the daemon. Safe to call again."""
        if self._daemon is not None:
            await _end(self._daemon)

    async def _run(self, arguments: Sequence[str], output: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *arguments, preexec_fn=becoming(self._uid, os.getpid()), start_new_session=True, cwd=self._directory,
            env={**self._env, **self.env},
            stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process, by SIGKILL where it does not listen."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_S)
