"""What lies in a sandbox's directory: the order it was opened with, and the record of the keeper that runs it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from sandbox.processes import Process
from sandbox.screen import Size
from sandbox.words import NotFound, SandboxId

SPEC: Final = "spec.json"
RECORD: Final = "keeper.json"
SOCKET: Final = "keeper.sock"
HANDING: Final = "keeper.handing"
"""Where the server hands agents' connections over."""
LOG: Final = "keeper.log"
# sockaddr_un.sun_path holds 108 bytes with its closing zero (unix(7)).
_LONGEST_SOCKET: Final = 107


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    """What a keeper is told at its start; written by the server, read by the keeper."""

    sandbox: SandboxId
    directory: Path
    size: Size
    url: str | None = None
    adoption_s: float = 60.0
    blockers: Mapping[str, str] = field(default_factory=dict)
    """What to do about blockers, kind → policy."""

    def write(self) -> None:
        """Put it into the directory."""
        data = {
            "sandbox": self.sandbox, "width": self.size.width, "height": self.size.height, "url": self.url,
            "adoption_s": self.adoption_s, "blockers": dict(self.blockers),
        }  # fmt: skip
        write_json(self.directory / SPEC, data)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read what the server wrote. Raises `NotFound`."""
        data = read_json(directory / SPEC)
        if data is None:
            raise NotFound(f"{directory} holds no sandbox: there is no {SPEC}")
        size = Size(data["width"], data["height"])
        blockers = data.get("blockers", {})
        return cls(SandboxId(data["sandbox"]), directory, size, data["url"], data["adoption_s"], blockers)


@dataclass(frozen=True, slots=True)
class KeeperRecord:
    """Everything a janitor needs to remove what a dead keeper left."""

    sandbox: SandboxId
    keeper: Process
    uid: int | None = None
    room: Path | None = None
    display: str | None = None
    xvfb: Process | None = None
    chromium: Process | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "sandbox": self.sandbox, "uid": self.uid, "room": None if self.room is None else str(self.room),
            "display": self.display, **self.keeper.to_wire(),
            "xvfb": self.xvfb and self.xvfb.to_wire(), "chromium": self.chromium and self.chromium.to_wire(),
        }  # fmt: skip

    def write(self, directory: Path) -> None:
        """Put it into the directory, whole or not at all."""
        write_json(directory / RECORD, self.to_wire())

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """Read it back; None when there is none yet."""
        data = read_json(directory / RECORD)
        if data is None:
            return None
        keeper = Process(int(data["pid"]), int(data["started"]))
        room = None if data["room"] is None else Path(data["room"])
        return cls(
            SandboxId(data["sandbox"]), keeper, data["uid"], room, data["display"],
            Process.from_wire(data["xvfb"]), Process.from_wire(data["chromium"]),
        )  # fmt: skip


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a file that a reader, or a crash, sees whole or not at all; only for our own eyes."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file)
    Path(name).replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read an object; None when there is no such file, or not such a one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


@contextlib.contextmanager
def socket_address(directory: Path, name: str = SOCKET) -> Iterator[str]:
    """Yield an address of a socket in the directory that is short enough, however long the directory's path is."""
    path = directory / name
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        yield str(path)
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
