"""What keeps one sandbox from another: a user of its own, directories of its own, an environment without secrets.

As root each sandbox gets a throw-away uid, so that Chromium's own sandbox can be on and the kernel keeps the
sandboxes apart. Elsewhere isolation is *advisory*, and `Isolation.reasons` says why.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sandbox import processes
from sandbox.words import SandboxId, Unavailable

UIDS: Final = range(190_000, 200_000)
"""Throw-away users; nothing else on the machine should have them."""

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies
_PR_SET_PDEATHSIG: Final = 1
_IPC_RMID: Final = 0
# A Unix socket's path ends at 107 bytes; Chromium puts "/tmp/org.chromium.Chromium.XXXXXX/SingletonSocket" behind it.
_LONGEST_ROOM: Final = 56
_ENOUGH_SHARED_MEMORY: Final = 512 * 1024 * 1024
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "FONTCONFIG_PATH", "FONTCONFIG_FILE")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Isolation:
    """How far one sandbox is kept from the rest: `uid` or `advisory`, and what is missing."""

    uid: int | None
    reasons: tuple[str, ...] = ()

    @property
    def level(self) -> str:
        """`uid` where the kernel keeps sandboxes apart, else `advisory`."""
        return "advisory" if self.uid is None or self.reasons else "uid"

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: `{"level", "reasons"}`."""
        return {"level": self.level, "reasons": list(self.reasons)}


class UidLock:
    """A throw-away uid, ours alone on this machine until `release` or the end of this process."""

    def __init__(self, uid: int, path: Path, descriptor: int) -> None:
        self.uid = uid
        self._path = path
        self._descriptor = descriptor

    def __repr__(self) -> str:
        return f"<UidLock {self.uid}>"

    def release(self) -> None:
        """Give the uid back. Nothing of it may run any more."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def lock_path(uid: int) -> Path:
    """Where the lock of `uid` lies: one place for the whole machine, whatever the state directory."""
    run = Path("/run/lock")
    return (run if run.is_dir() else Path(tempfile.gettempdir())) / f"baton-uid-{uid}"


def claim_uid() -> UidLock:
    """Take a uid that no keeper has and nothing runs under. Only for root. Raises `Unavailable`."""
    start = random.randrange(len(UIDS))  # noqa: S311 - spreads, hides nothing
    for step in range(len(UIDS)):
        uid = UIDS[(start + step) % len(UIDS)]
        lock = try_lock(uid)
        if lock is None:
            continue
        if not processes.of_uid(uid):
            return lock
        lock.release()
    raise Unavailable("every uid for sandboxes is taken; close some sandboxes", first=UIDS.start, last=UIDS.stop - 1)


def try_lock(uid: int) -> UidLock | None:
    """Take one uid, unless some keeper has it."""
    path = lock_path(uid)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it may have removed the file between our open and our lock; then the lock is on nothing.
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return UidLock(uid, path, descriptor)
    except OSError:
        pass
    os.close(descriptor)
    return None


def becoming(uid: int | None, parent: int) -> Callable[[], None]:
    """Return what a child does between fork and exec: take `uid`, and die with `parent`, our own process number."""

    def become() -> None:
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        # A change of uid clears the wish to die with the parent, so it comes last (prctl(2)).
        if hasattr(_libc, "prctl"):
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return become


def shared_memory_flags() -> tuple[str, ...]:
    """Keep Chromium off /dev/shm where it is too small for it; there it unlinks every file as soon as it is open."""
    try:
        room = os.statvfs(SHARED_MEMORY)
    except OSError:
        return ("--disable-dev-shm-usage",)
    return () if room.f_frsize * room.f_blocks >= _ENOUGH_SHARED_MEMORY else ("--disable-dev-shm-usage",)


def clean_env(home: Path) -> dict[str, str]:
    """Return an environment without anything of ours but path, language and time zone."""
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, "HOME": str(home), "NO_AT_BRIDGE": "1"}


@dataclass(frozen=True, slots=True)
class Room:
    """The directories of one sandbox that its browser and display may enter; everything else is closed to them."""

    path: Path

    @property
    def profile(self) -> Path:
        """Chromium's user data."""
        return self.path / "profile"

    @property
    def display(self) -> Path:
        """Xvfb's frame buffer and authority; Xvfb's starter makes it."""
        return self.path / "display"

    @property
    def downloads(self) -> Path:
        """What pages give."""
        return self.path / "downloads"

    @property
    def uploads(self) -> Path:
        """What operators give to pages."""
        return self.path / "uploads"

    @property
    def home(self) -> Path:
        """`HOME`."""
        return self.path / "home"

    @property
    def temp(self) -> Path:
        """`TMPDIR`; the name is short because a socket's path goes on behind it."""
        return self.path / "tmp"

    def env(self) -> dict[str, str]:
        """The whole environment of what runs inside: nothing of ours but path, language and time zone."""
        runtime = self.home / ".run"
        return {
            **clean_env(self.home),
            "TMPDIR": str(self.temp),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_DATA_HOME": str(self.home / ".local"),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }

    def remove(self) -> None:
        """Remove it and all it holds."""
        shutil.rmtree(self.path, ignore_errors=True)


def make_room(directory: Path, sandbox: SandboxId, uid: int | None) -> Room:
    """Make the directories of `sandbox`, owned by `uid`.

    They lie in `directory` where `uid` can reach them there and the path is short enough for a socket, else in the
    system's temporary directory.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if uid is not None:
        directory.chmod(0o711)
    path = directory.resolve()
    if len(os.fsencode(path)) > _LONGEST_ROOM or not _reachable(path, uid):
        path = Path(tempfile.gettempdir()).resolve() / f"baton-{sandbox}"
        path.mkdir(mode=0o711 if uid is not None else 0o700)
    room = Room(path)
    for part in (room.profile, room.downloads, room.uploads, room.home, room.home / ".run", room.temp):
        part.mkdir(mode=0o700, exist_ok=True)
        if uid is not None:
            os.chown(part, uid, uid)
    return room


def _reachable(path: Path, uid: int | None) -> bool:
    """Whether another user may walk down to `path`."""
    return uid is None or all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents))


async def wipe_uid(uid: int) -> bool:
    """End everything that runs as `uid` and remove its shared memory and temporary files; False if a process stayed."""
    if uid not in UIDS or os.geteuid() != 0:
        return True
    ended = await processes.kill_all(lambda: processes.of_uid(uid))
    for folder in (SHARED_MEMORY, Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            for entry in folder.iterdir():
                if entry.lstat().st_uid == uid:
                    _remove(entry)
    _remove_segments(uid)
    return ended


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _remove_segments(uid: int) -> None:
    """Remove the System V segments of `uid` (MIT-SHM pictures between Chromium and Xvfb)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[7]) == uid:
                _libc.shmctl(int(fields[1]), _IPC_RMID, None)
