"""Removing what a keeper that died could not remove itself."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from sandbox import processes
from sandbox.display.xvfb import SOCKETS, lock_of
from sandbox.isolation import try_lock, wipe_uid
from sandbox.keeper.files import KeeperRecord
from sandbox.processes import Process
from sandbox.words import SandboxId

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Left:
    """A sandbox's directory found at a server's start, and its keeper if that still runs."""

    sandbox: SandboxId
    directory: Path
    keeper: Process | None


def find(sandboxes: Path) -> Iterator[Left]:
    """Name every sandbox that has a directory."""
    if not sandboxes.is_dir():
        return
    for directory in sorted(sandboxes.iterdir()):
        if directory.is_dir():
            yield Left(SandboxId(directory.name), directory, keeper_of(directory))


def keeper_of(directory: Path) -> Process | None:
    """Return the live keeper of a directory, if it has one."""
    record = KeeperRecord.read(directory)
    if record is not None:
        return record.keeper if record.keeper.alive else None
    # Between its start and its first words a keeper is known by its command line alone.
    needle = str(directory)
    return next((each for each in processes.mentioning(directory.parent) if needle in _words(each.pid)), None)


def _words(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return (processes.PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


async def clean(directory: Path) -> None:
    """End and remove everything that the sandbox of `directory` left; its keeper must be dead.

    Nothing else is touched: processes count only with the start time they were recorded with, a display only while
    its lock names the recorded server, a uid only from our own range.
    """
    record = KeeperRecord.read(directory)
    if record is not None:
        # A uid that another keeper has by now is no longer this sandbox's; nothing of ours can run under it.
        lock = None if record.uid is None else try_lock(record.uid)
        if record.uid is None or lock is not None:
            await _end_processes(record)
        _remove_display(record)
        if record.room is not None and record.room.resolve() != directory.resolve():
            shutil.rmtree(record.room, ignore_errors=True)
        if lock is not None:
            lock.release()
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    _log.info("removed what a dead keeper left", sandbox=directory.name)


async def _end_processes(record: KeeperRecord) -> None:
    if record.uid is not None:
        if not await wipe_uid(record.uid):
            _log.error("processes of a dead sandbox do not end", uid=record.uid, sandbox=record.sandbox)
        return
    leaders = [each for each in (record.chromium, record.xvfb) if each is not None]

    def left() -> list[Process]:
        found = {each for leader in leaders for each in processes.of_session(leader)}
        if record.room is not None:
            found.update(processes.mentioning(record.room))
        return list(found)

    if not await processes.kill_all(left):
        _log.error("processes of a dead sandbox do not end", sandbox=record.sandbox)


def _remove_display(record: KeeperRecord) -> None:
    if record.display is None or record.xvfb is None or record.xvfb.alive:
        return
    lock = lock_of(record.display)
    with contextlib.suppress(OSError, ValueError):
        # Another server may have taken the number since; the lock says whose it is.
        if int(lock.read_text()) == record.xvfb.pid:
            (SOCKETS / f"X{record.display[1:]}").unlink(missing_ok=True)
            lock.unlink()
