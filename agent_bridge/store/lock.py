"""One server per state directory.

A lock of the operating system, held for the process's life: it ends with the process, however that ends, so there is
nothing to clean up after SIGKILL.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from sandbox.words import Conflict

NAME: Final = "baton.lock"


class StateInUse(Conflict):
    """Another server works on this state directory."""


class StateLock:
    """Holds `baton.lock` in a state directory from `acquire` to `release` or the process's end."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / NAME
        self._fd: int | None = None

    def __repr__(self) -> str:
        return f"<StateLock {self.path} {'held' if self._fd is not None else 'free'}>"

    def acquire(self) -> None:
        """Take the lock. Raises `StateInUse`, naming the process that has it."""
        if self._fd is not None:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise StateInUse(
                f"another server (process {pid}) works on {self.path.parent}; stop it or set another BATON_STATE_DIR",
                pid=pid, state_dir=str(self.path.parent),
            ) from None  # fmt: skip
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Let go; again changes nothing."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
