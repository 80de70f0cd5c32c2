"""A `baton serve` process that may be killed and started again, and what must not be left of its sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sandbox.keeper.files import KeeperRecord
from sandbox.processes import PROC, Process

ROOT = Path(__file__).resolve().parents[2]


async def until[T](look: Callable[[], T], what: str, seconds: float = 20) -> T:
    """Look until the answer is truthy, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:g} s"
        await asyncio.sleep(0.02)
    return found


@dataclass
class Server:
    """A `baton serve` process on a state directory of its own. Bound to no event loop: it may outlive a test."""

    state: Path
    port: int
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def up(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def serving(self, port: int, *arguments: str) -> list[str]:
        """Return the command line of a server on this state directory."""
        where = ["--port", str(port), "--state-dir", str(self.state)]
        return [sys.executable, "-m", "web.cli", "serve", *where, *arguments]

    def environment(self) -> dict[str, str]:
        """Return what it is started with."""
        return {**os.environ, "BATON_LOG_FORMAT": "json", "PYTHONPATH": str(ROOT), **self.env}

    async def start(self, *arguments: str) -> None:
        """Start it and wait until it answers."""
        with (self.state / "server.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it outlives the event loop
                self.serving(self.port, *arguments), cwd=ROOT, env=self.environment(), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        async with httpx.AsyncClient() as http:
            for _ in range(600):
                if not self.up:
                    break
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.url}/healthz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError(f"the server did not start: {self.log()[-2000:]}")

    def log(self) -> str:
        """What it has logged so far."""
        return (self.state / "server.log").read_text()

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self.process is not None
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    async def end(self, number: signal.Signals, seconds: float = 25) -> int:
        """Send a signal and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, seconds)

    async def stop(self) -> None:
        """SIGINT, as Ctrl-C would: it closes its sandboxes."""
        if not self.up:
            return
        try:
            await self.end(signal.SIGINT)
        except subprocess.TimeoutExpired:
            await self.kill()

    async def command(self, *arguments: str) -> str:
        """Run another `baton` command on the same state directory; returns what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "web.cli", *arguments, "--state-dir", str(self.state), cwd=ROOT,
            env={**os.environ, "BATON_PORT": str(self.port)},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode().strip()

    async def token(self, role: str = "agent") -> str:
        """Return a token of that role; the same one each time, since making it takes a second."""
        if role not in self._tokens:
            self._tokens[role] = await self.command("token", "create", "--role", role)
        return self._tokens[role]

    async def link(self) -> str:
        """Create a one-use sign-in link."""
        return await self.command("link")

    def directory(self, sandbox: str) -> Path:
        """Where a sandbox lives."""
        return self.state / "sandboxes" / sandbox

    def record(self, sandbox: str) -> KeeperRecord:
        """Read what a keeper wrote down for the janitor."""
        record = KeeperRecord.read(self.directory(sandbox))
        assert record is not None, f"{sandbox} has no record"
        return record

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """Read the database beside the running server."""
        with contextlib.closing(sqlite3.connect(f"file:{self.state / 'baton.db'}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()

    def write(self, statement: str, *values: str) -> None:
        """Change the database behind the server's back, as the passing of time would."""
        with contextlib.closing(sqlite3.connect(self.state / "baton.db", timeout=10)) as database, database:
            database.execute(statement, values)

    def journal(self, handoff: str) -> list[str]:
        """Return the kinds of everything that happened to a handoff, in order."""
        return [kind for (kind,) in self.rows("SELECT kind FROM journal WHERE handoff = ? ORDER BY seq", handoff)]


def remains(record: KeeperRecord, directory: Path) -> list[str]:
    """Name what is left of a sandbox: processes, display, directories."""
    left = [f"{name} {p.pid}" for name, p in _parts(record).items() if p is not None and p.alive]
    if record.uid is not None:
        left += [f"process {pid} of uid {record.uid}" for pid in processes_of(record.uid)]
    paths = [directory, *([record.room] if record.room else [])]
    if record.display is not None:
        number = record.display[1:]
        paths += [Path(f"/tmp/.X11-unix/X{number}"), Path(f"/tmp/.X{number}-lock")]
    return left + [str(path) for path in paths if path.exists()]


def _parts(record: KeeperRecord) -> dict[str, Process | None]:
    return {"keeper": record.keeper, "Xvfb": record.xvfb, "Chromium": record.chromium}


def processes_of(uid: int) -> list[int]:
    """Return the processes that run under a uid."""
    found = []
    for entry in PROC.iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid and Process.of(int(entry.name)) is not None:
                found.append(int(entry.name))
    return found


def renderers_of(record: KeeperRecord) -> list[int]:
    """Return the renderer processes of a sandbox's browser."""
    assert record.chromium is not None
    session = os.getsid(record.chromium.pid)
    found = []
    for entry in PROC.iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if b"--type=renderer" in words and os.getsid(int(entry.name)) == session:
                found.append(int(entry.name))
    return found
