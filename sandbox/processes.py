"""Processes by number and start time, so that a recycled number is never taken for the old process (Linux: /proc)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

PROC: Final = Path("/proc")
_LOOK_AGAIN_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """One process: its number, and when it started in clock ticks since boot (0 where there is no /proc)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Return the process that has this number now; None when there is none, or only its zombie."""
        if not PROC.is_dir():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, 0)
                return cls(pid, 0)
            return None
        fields = _stat(pid)
        # While other threads of a zombie leader are still ending, its files and locks are still held.
        if fields is None or (fields[0] in {"Z", "X"} and int(fields[17]) <= 1):
            return None
        return cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Process.of(self.pid) == self

    def kill(self) -> None:
        """SIGKILL, if it is still this process."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)

    def to_wire(self) -> dict[str, int]:
        """Return the JSON form."""
        return {"pid": self.pid, "started": self.started}

    @classmethod
    def from_wire(cls, data: dict[str, Any] | None) -> Self | None:
        """Read the JSON form back."""
        return None if data is None else cls(int(data["pid"]), int(data["started"]))


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: session at 3, threads at 17, start time at 19 (proc(5))."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    # The second field is the program's name in parentheses and may itself hold blanks and parentheses.
    return text.rpartition(")")[2].split()


def _pids() -> Iterator[int]:
    if PROC.is_dir():
        for entry in os.listdir(PROC):  # noqa: PTH208 - names are all that is needed, and there are thousands
            if entry.isdecimal():
                yield int(entry)


def of_uid(uid: int) -> list[Process]:
    """Every live process whose user is `uid`."""

    def owned(pid: int) -> bool:
        # The directory's owner is root where a process is not dumpable; its status tells the truth.
        status = (PROC / str(pid) / "status").read_text()
        return any(line.split()[1] == str(uid) for line in status.splitlines() if line.startswith("Uid:"))

    return _those(owned)


def of_session(leader: Process) -> list[Process]:
    """Every live process in the session that `leader` made, dead or not, and none of a later leader of that number."""
    present = Process.of(leader.pid)
    if present is not None and present != leader:
        return []

    def inside(pid: int) -> bool:
        fields = _stat(pid)
        return fields is not None and int(fields[3]) == leader.pid and int(fields[19]) >= leader.started

    return _those(inside)


def mentioning(path: Path) -> list[Process]:
    """Every live process of ours whose command line names something inside `path`."""
    needle = os.fsencode(path) + b"/"
    mine = os.geteuid()

    def mentions(pid: int) -> bool:
        folder = PROC / str(pid)
        return needle in (folder / "cmdline").read_bytes() and (mine == 0 or folder.stat().st_uid == mine)

    return _those(mentions)


def _those(wanted: Callable[[int], bool]) -> list[Process]:
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError, IndexError, ValueError):
            if pid != os.getpid() and wanted(pid) and (process := Process.of(pid)):
                found.append(process)
    return found


async def kill_all(find: Callable[[], list[Process]], within_s: float = 3.0) -> bool:
    """SIGKILL what `find` names until it names nothing; False when something outlived `within_s`."""
    deadline = time.monotonic() + within_s
    while found := find():
        for process in found:
            process.kill()
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_LOOK_AGAIN_S)
    return True
