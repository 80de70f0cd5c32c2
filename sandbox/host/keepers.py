"""Where the server's keepers run: started, adopted, closed, cleaned up after."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from sandbox import processes
from sandbox.host import janitor
from sandbox.host.link import KeeperLink
from sandbox.keeper.files import LOG, SOCKET, KeeperConfig
from sandbox.processes import Process
from sandbox.screen import Size
from sandbox.words import Conflict, Gone, NotFound, SandboxId, Unavailable

_LOOK_AGAIN_S: Final = 0.005
_END_S: Final = 5.0
_LAST_LINES: Final = 3
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What a sandbox is opened with."""

    id: SandboxId
    width: int
    height: int
    url: str | None = None
    blockers: Mapping[str, str] = field(default_factory=dict)


class Child:
    """A keeper that this server started.

    Not asyncio's: its transports kill what still runs when the event loop ends, and a keeper outlives its server.
    """

    def __init__(self, command: Sequence[str], log: int) -> None:
        self._process = subprocess.Popen(
            command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, once it has ended; looking also buries it."""
        return self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Return its exit status once it has ended."""
        while (status := self.returncode) is None:  # noqa: ASYNC110 - only the kernel knows, and it has no event
            await asyncio.sleep(_LOOK_AGAIN_S)
        return status


@dataclass(slots=True)
class _Kept:
    link: KeeperLink
    keeper: Process
    child: Child | None
    watch: asyncio.Task[None] | None = None


class Keepers:
    """The keepers of one server, on this machine.

    `command` starts a keeper when the sandbox's directory is put behind it. Call `sweep` once at the start, and
    `detach` at the end: keepers outlive their server.
    """

    def __init__(
        self,
        state_dir: Path,
        command: Sequence[str],
        *,
        adoption_s: float = 60.0,
        launch_s: float = 60.0,
        server: str = "",
    ) -> None:
        self._sandboxes = state_dir / "sandboxes"
        self._command = tuple(command)
        self._adoption_s = adoption_s
        self._launch_s = launch_s
        self._server = server or f"process {os.getpid()}"
        self._kept: dict[SandboxId, _Kept] = {}

    def __repr__(self) -> str:
        return f"<Keepers {len(self._kept)} linked in {self._sandboxes}>"

    def directory(self, sandbox: SandboxId) -> Path:
        """Where a sandbox's directory lies."""
        return self._sandboxes / sandbox

    @property
    def all(self) -> tuple[SandboxId, ...]:
        """The sandboxes this server holds."""
        return tuple(self._kept)

    def link(self, sandbox: SandboxId) -> KeeperLink:
        """Return the live link of a sandbox. Raises `NotFound`."""
        if sandbox not in self._kept:
            raise NotFound(f"no keeper runs for sandbox {sandbox}", sandbox=sandbox)
        return self._kept[sandbox].link

    async def sweep(self) -> list[SandboxId]:
        """Remove what dead keepers left; returns the sandboxes whose keepers live and wait to be adopted."""
        found = list(janitor.find(self._sandboxes))
        dead = [left for left in found if left.keeper is None and left.sandbox not in self._kept]
        await asyncio.gather(*(janitor.clean(left.directory) for left in dead))
        return [left.sandbox for left in found if left.keeper is not None]

    async def open(self, spec: SandboxSpec) -> KeeperLink:
        """Start a keeper and wait until its sandbox is up.

        Raises `Conflict` for a known id, `Unavailable` saying what is missing; then nothing is left.
        """
        directory = self.directory(spec.id)
        self._sandboxes.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # Each sandbox's own user must be able to walk through; what lies inside stays closed.
            self._sandboxes.chmod(0o711)
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            raise Conflict(f"there is a sandbox {spec.id} already", sandbox=spec.id) from None
        size = Size(spec.width, spec.height)
        KeeperConfig(spec.id, directory, size, spec.url, self._adoption_s, spec.blockers).write()
        child = self._spawn(directory)
        try:
            async with asyncio.timeout(self._launch_s):
                link = await self._first_link(spec.id, directory, child)
        except BaseException as error:
            await _end(child)
            why = _last_words(directory)
            await janitor.clean(directory)
            if isinstance(error, TimeoutError):
                message = f"the sandbox was not up within {self._launch_s:g} s{why}"
                raise Unavailable(message, sandbox=spec.id) from error
            raise
        return self._keep(link, Process.of(child.pid) or Process(child.pid, 0), child)

    async def adopt(self, sandbox: SandboxId, directory: Path | None = None) -> KeeperLink:
        """Take over the keeper of a server that is gone. The caller pushes control again.

        Raises `Gone` when the keeper is dead (what it left is removed), `Conflict` while another server holds it.
        """
        directory = directory or self.directory(sandbox)
        keeper = janitor.keeper_of(directory) if directory.is_dir() else None
        if keeper is None:
            await janitor.clean(directory)
            raise Gone(f"the keeper of sandbox {sandbox} has ended", sandbox=sandbox)
        link = await KeeperLink.open(sandbox, directory, self._server)
        return self._keep(link, keeper, None)

    async def close(self, sandbox: SandboxId) -> None:
        """End a sandbox: returns when nothing of it is left. An unknown one is closed already."""
        kept = self._kept.pop(sandbox, None)
        if kept is None:
            directory = self.directory(sandbox)
            keeper = janitor.keeper_of(directory) if directory.is_dir() else None
            if keeper is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(keeper.pid, signal.SIGTERM)
                await _gone(keeper)
            await janitor.clean(directory)
            return
        if kept.watch is not None:
            kept.watch.cancel()
        with contextlib.suppress(Unavailable, Gone):
            await kept.link.close()
        await _gone(kept.keeper)
        if kept.child is not None:
            await kept.child.wait()
        await kept.link.detach()
        if self.directory(sandbox).exists():
            await janitor.clean(self.directory(sandbox))

    async def detach(self) -> None:
        """Let go of every keeper; they wait to be adopted."""
        for kept in self._kept.values():
            if kept.watch is not None:
                kept.watch.cancel()
        await asyncio.gather(*(kept.link.detach() for kept in self._kept.values()))
        self._kept.clear()

    def _keep(self, link: KeeperLink, keeper: Process, child: Child | None) -> KeeperLink:
        kept = self._kept[link.sandbox] = _Kept(link, keeper, child)
        kept.watch = asyncio.create_task(self._watch(kept))
        return link

    async def _watch(self, kept: _Kept) -> None:
        """Clean up behind a keeper that dies."""
        await kept.link.closed.wait()
        if self._kept.get(kept.link.sandbox) is kept:
            del self._kept[kept.link.sandbox]
        if kept.child is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(kept.child.wait(), 1)
        if kept.keeper.alive:
            _log.warning("a keeper's link closed, but it lives; it can be adopted again", sandbox=kept.link.sandbox)
            return
        _log.error("a keeper died", sandbox=kept.link.sandbox, pid=kept.keeper.pid)
        await janitor.clean(kept.link.directory)

    def _spawn(self, directory: Path) -> Child:
        log = os.open(directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return Child([*self._command, str(directory)], log)
        except OSError as error:
            raise Unavailable(f"the keeper could not be started: {error.strerror}") from error
        finally:
            os.close(log)

    async def _first_link(self, sandbox: SandboxId, directory: Path, child: Child) -> KeeperLink:
        while True:
            if child.returncode is not None:
                why = _last_words(directory)
                raise Unavailable(f"the keeper ended at once with status {child.returncode}{why}", sandbox=sandbox)
            if (directory / SOCKET).exists():
                return await KeeperLink.open(sandbox, directory, self._server)
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _end(child: Child) -> None:
    if child.returncode is not None:
        return
    child.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(child.wait(), _END_S)
    except TimeoutError:
        child.send_signal(signal.SIGKILL)
        await child.wait()


async def _gone(keeper: Process) -> None:
    """Return when the keeper has ended; after a while it is made to."""
    deadline = asyncio.get_running_loop().time() + _END_S
    while keeper.alive:
        if asyncio.get_running_loop().time() > deadline:
            await processes.kill_all(lambda: [keeper] if keeper.alive else [])
            return
        await asyncio.sleep(_LOOK_AGAIN_S)


def _last_words(directory: Path) -> str:
    """Return the end of a keeper's log as a clause, for errors at its start; nothing secret is known by then."""
    with contextlib.suppress(OSError):
        lines = (directory / LOG).read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
        return ": " + " | ".join(lines) if lines else ""
    return ""
