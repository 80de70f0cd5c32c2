"""Shared by the sandbox's tests: a state directory, keepers of a tiny composer, and a search for what was left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox import processes
from sandbox.display.xvfb import SOCKETS, lock_of
from sandbox.host import Keepers
from sandbox.isolation import SHARED_MEMORY, lock_path
from sandbox.keeper.files import KeeperRecord

ROOT = Path(__file__).parents[2]
COMPOSER = ROOT / "tests" / "sandbox" / "keeper" / "composer.py"

type Until = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Traces:
    """What one sandbox had while it ran, and so what may be left of it."""

    directory: Path
    record: KeeperRecord

    @classmethod
    def of(cls, directory: Path) -> Traces:
        """Read the record of a running keeper."""
        record = KeeperRecord.read(directory)
        assert record is not None
        assert record.chromium is not None
        return cls(directory, record)

    def listening(self) -> list[str]:
        """TCP ports that something of this sandbox's own user listens on."""
        lines = [
            line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()
        ]
        return [line[1] for line in lines if line[3] == "0A" and line[7] == str(self.record.uid)]

    def left(self) -> list[str]:
        """Name everything that is still there."""
        record, room = self.record, self.record.room
        assert room is not None
        found = {each for path in {room, self.directory} for each in processes.mentioning(path)}
        found |= {p for p in (record.keeper, record.xvfb, record.chromium) if p and p.alive}
        things = [path for path in (room, self.directory) if path.exists()]
        if record.uid is not None:
            found |= set(processes.of_uid(record.uid))
            for folder in (SHARED_MEMORY, Path(tempfile.gettempdir())):
                things += [each for each in folder.iterdir() if self._mine(each)]
            things += [lock_path(record.uid)] if lock_path(record.uid).exists() else []
        if record.display and record.xvfb:
            lock, socket = lock_of(record.display), SOCKETS / f"X{record.display[1:]}"
            with contextlib.suppress(OSError, ValueError):
                # Another display may have taken the number.
                if int(lock.read_text()) == record.xvfb.pid:
                    things += [lock, socket]
        with contextlib.suppress(OSError):
            things += [socket for socket in (SOCKETS / f"X{(record.display or ':none')[1:]}",) if self._mine(socket)]
        sockets = [line for line in Path("/proc/net/unix").read_text().splitlines() if f"{room}/" in line]
        segments = [
            line
            for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
            if line.split()[7] == str(record.uid)
        ]
        return [*(str(thing) for thing in (*found, *things)), *sockets, *segments, *self.listening()]

    def _mine(self, path: Path) -> bool:
        try:
            return self.record.uid is not None and path.lstat().st_uid == self.record.uid
        except OSError:
            return False


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait until something is true, at most 15 s."""

    async def wait(read: Callable[[], object], wanted: object = True) -> None:
        deadline = time.monotonic() + 15
        while (value := read()) != wanted:
            assert time.monotonic() < deadline, f"after 15 s it is still {value}"
            await asyncio.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def traces() -> Callable[[Path], Traces]:
    """Read what a running sandbox has, to look for it later."""
    return Traces.of


@pytest.fixture(scope="session")
def keeper_command() -> tuple[str, ...]:
    """The command that runs the tests' composer."""
    os.environ["PYTHONPATH"] = str(ROOT)
    return (sys.executable, str(COMPOSER))


@pytest.fixture(scope="module")
def state_dir() -> Iterator[Path]:
    """A state directory that every user may walk through, as the server makes it for root."""
    path = Path(tempfile.mkdtemp(prefix="b-"))
    path.chmod(0o711)
    yield path
    left = sorted(str(each) for each in (path / "sandboxes").glob("*"))
    shutil.rmtree(path, ignore_errors=True)
    assert left == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def keepers(state_dir: Path, keeper_command: tuple[str, ...]) -> AsyncIterator[Keepers]:
    """The keepers of one server; what a test left open is closed at the end."""
    made = Keepers(state_dir, keeper_command, adoption_s=20)
    yield made
    for sandbox in made.all:
        await made.close(sandbox)
    for sandbox in await made.sweep():
        await made.close(sandbox)
