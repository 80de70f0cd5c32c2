"""Starting Xvfb: private frame buffer, cookie, no abstract socket, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import secrets
import shutil
import signal
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import xcffib
import xcffib.xproto
from xcffib import ffi, lib

from sandbox.isolation import clean_env
from sandbox.screen import Size
from sandbox.words import Gone, Unavailable

SOCKETS: Final = Path("/tmp/.X11-unix")  # noqa: S108 - where X puts its sockets, by convention of every client
_LOCKS: Final = Path("/tmp")  # noqa: S108 - where X puts its locks, by convention of every server
_NUMBERS: Final = range(100, 1000)
_COOKIE_NAME: Final = b"MIT-MAGIC-COOKIE-1"
_FAMILY_WILD: Final = 0xFFFF
_START_S: Final = 15.0
_PR_SET_PDEATHSIG: Final = 1
# The server would repeat a held key by itself, out of step with the operator's own repeats, which are forwarded.
_NEVER_REPEAT_MS: Final = "65000"

_libc = ctypes.CDLL(None, use_errno=True)


def _write_authority(path: Path, cookie: bytes) -> None:
    """Write an Xauthority file with one cookie for every display (Xvfb picks its number after this)."""
    parts = (b"", b"", _COOKIE_NAME, cookie)
    record = struct.pack(">H", _FAMILY_WILD) + b"".join(struct.pack(">H", len(part)) + part for part in parts)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(record)


@dataclass(slots=True)
class Xvfb:
    """A running X server with one screen. Clients need `DISPLAY=display` and `XAUTHORITY=auth_file`."""

    display: str
    auth_file: Path
    frame_buffer: Path
    process: asyncio.subprocess.Process
    size: Size
    cookie: bytes = field(repr=False)

    @property
    def pid(self) -> int:
        """The server's process id, which is also its process group and session."""
        return self.process.pid

    @property
    def env(self) -> dict[str, str]:
        """What a client's environment needs."""
        return {"DISPLAY": self.display, "XAUTHORITY": str(self.auth_file)}

    def connect(self) -> tuple[xcffib.Connection, socket.socket]:
        """Open a connection over the file-system socket.

        Returns it with a duplicate of its socket, whose `shutdown` wakes a thread that waits for events.
        Raises `Gone` when the server has ended.
        """
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            plug.connect(str(SOCKETS / f"X{self.display[1:]}"))
            spare = plug.dup()
            # Not xcffib's own constructor: it lets the strings of `auth` be freed before they are sent (1.13).
            name, data = ffi.new("char[]", _COOKIE_NAME), ffi.new("char[]", self.cookie)
            auth = ffi.new("xcb_auth_info_t *", (len(_COOKIE_NAME), name, len(self.cookie), data))
            return xcffib.wrap(lib.xcb_connect_to_fd(plug.detach(), auth)), spare
        except (OSError, xcffib.XcffibException) as error:
            plug.close()
            raise Gone("the display of this sandbox has ended") from error

    async def close(self) -> None:
        """End the server and remove its socket and lock; safe to call again."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 2)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                await self.process.wait()
        number, lock = self.display[1:], lock_of(self.display)
        with contextlib.suppress(OSError, ValueError):
            # Another server may have taken the number since.
            if int(lock.read_text()) != self.process.pid:
                return
        for left in (lock, SOCKETS / f"X{number}"):
            with contextlib.suppress(OSError):
                left.unlink()
        with contextlib.suppress(OSError):
            self.frame_buffer.unlink()


def lock_of(display: str) -> Path:
    """Return the file that says whose a display number is: the server's process number in ten columns."""
    return _LOCKS / f".X{display[1:]}-lock"


def _take_number() -> int:
    """Reserve a display number as X servers do, by its lock file.

    Told to choose for itself (`-displayfd`) Xvfb makes no lock, and without an abstract socket a second server of the
    same user takes the first one's number and socket away (measured).
    """
    start = random.randrange(len(_NUMBERS))  # noqa: S311 - spreads, hides nothing
    for step in range(len(_NUMBERS)):
        number = _NUMBERS[(start + step) % len(_NUMBERS)]
        if (SOCKETS / f"X{number}").exists():
            continue
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(lock_of(f":{number}"), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "w") as lock:
                lock.write(f"{os.getpid():>10}\n")
            return number
    raise Unavailable("every display number is taken; remove stale /tmp/.X*-lock files", package="xvfb")


async def start_xvfb(directory: Path, size: Size, uid: int | None) -> Xvfb:
    """Start Xvfb with its frame buffer and authority file in `directory`, as user `uid` where given.

    `directory` is made (mode 0700) and given to `uid`. The server dies with the process that called this.
    Raises `Unavailable` when Xvfb is not installed or does not start.
    """
    program = shutil.which("Xvfb")
    if program is None:
        raise Unavailable("Xvfb is not installed; on Debian: apt-get install xvfb", package="xvfb")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    cookie = secrets.token_hex(16).encode()
    auth_file = directory / "Xauthority"
    _write_authority(auth_file, cookie)
    if os.geteuid() == 0:
        SOCKETS.mkdir(exist_ok=True)
        SOCKETS.chmod(0o1777)
    if uid is not None:
        os.chown(directory, uid, uid)
        os.chown(auth_file, uid, uid)
    read_fd, write_fd = os.pipe()
    parent = os.getpid()

    def become() -> None:
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        # A change of uid clears the wish to die with the parent, so it comes last.
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    display = f":{_take_number()}"
    arguments = [
        program, display, "-displayfd", str(write_fd), "-screen", "0", f"{size.width}x{size.height}x24",
        "-fbdir", str(directory), "-auth", str(auth_file), "-nolisten", "tcp", "-nolisten", "local", "-noreset",
        "-nocursor", "-dpi", "96", "-ardelay", _NEVER_REPEAT_MS, "-arinterval", _NEVER_REPEAT_MS,
    ]  # fmt: skip
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments, pass_fds=(write_fd,), preexec_fn=become, start_new_session=True, cwd=directory,
            env=clean_env(directory),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        lock_of(display).write_text(f"{process.pid:>10}\n")
    except BaseException:
        lock_of(display).unlink(missing_ok=True)
        raise
    finally:
        os.close(write_fd)
    if not await _read_number(read_fd):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        lock_of(display).unlink(missing_ok=True)
        raise Unavailable("Xvfb did not start; run `baton doctor`", package="xvfb")
    return Xvfb(display, auth_file, directory / "Xvfb_screen0", process, size, cookie)


async def _read_number(read_fd: int) -> str:
    """Return the display number Xvfb writes once it is ready; empty when it ends or takes too long."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader),
        open(read_fd, "rb", buffering=0),  # noqa: SIM115, ASYNC230 - the transport owns it
    )
    try:
        return (await asyncio.wait_for(reader.readline(), _START_S)).decode().strip()
    except TimeoutError:
        return ""
    finally:
        transport.close()
