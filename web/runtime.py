"""The one composition root: it alone knows every room. Used by the command line, the server and the keeper process.

What each part needs is imported where it is composed, so that a keeper starts without FastAPI and a command that only
prints a token starts without Chromium.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from agent_bridge.access.service import Access
    from agent_bridge.words import Role
    from sandbox.words import OperatorId
    from streaming.hub import StreamHub
    from web.services import Services
    from web.settings import Settings

_TURN_S: Final = 0.0005
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST: Final = 32 * 1024 * 1024
"""Bytes; the most that mallopt takes on 64-bit machines."""


def keep(directory: Path) -> None:
    """Run one sandbox's keeper until it ends. The server starts this with the directory it has prepared."""
    import uvloop

    _tune()
    uvloop.run(_keep(directory))


def _tune() -> None:
    """Let threads take turns quickly, and keep the memory of large arrays for the next picture (mallopt(3))."""
    sys.setswitchinterval(_TURN_S)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        libc.mallopt(_M_TRIM_THRESHOLD, 4 * _LARGEST)


async def _keep(directory: Path) -> None:
    from agent_bridge.authority import ControlAuthority
    from sandbox.keeper import Keeper, KeeperConfig, configure_log, log_uncaught
    from sandbox.words import SystemClock
    from streaming.hub import StreamHub

    configure_log()
    log_uncaught(asyncio.get_running_loop())
    clock = SystemClock()
    keeper = Keeper(KeeperConfig.read(directory), ControlAuthority, clock)
    hub: StreamHub | None = None

    def active(operator: OperatorId) -> None:
        keeper.link.emit("activity", {"operator": operator})

    async def stream(socket: ServerConnection, query: Mapping[str, str]) -> None:
        nonlocal hub
        if hub is None:
            hub = StreamHub(
                keeper.screen, clock, sandbox=keeper.config.sandbox, on_activity=active, sound=keeper.assembly.sound
            )  # fmt: skip
            keeper.at_close(hub.close)
        await hub.serve(socket, query)

    await keeper.serve({"/stream": stream})


@asynccontextmanager
async def stored(settings: Settings) -> AsyncIterator[Access]:
    """Open the state directory's database, also beside a running server, for tokens and links. Raises `StoreDown`."""
    from agent_bridge.store.database import Database
    from sandbox.words import SystemClock
    from web.services import access_of

    database = await Database.open(settings.state_dir)
    try:
        yield access_of(settings, SystemClock(), database)
    finally:
        await database.close()


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Services]:
    """Bring a whole server up, but for its port, and down again.

    Sandboxes that are open at the end stay for the next server; close them before, with `services.sandboxes.close_all`,
    where they should not. Raises `StateInUse` while another server works on the state directory.
    """
    from agent_bridge.store.database import Database
    from agent_bridge.store.lock import StateLock
    from sandbox.host import Keepers
    from sandbox.words import SystemClock
    from web.services import compose

    lock = StateLock(settings.state_dir)
    lock.acquire()
    try:
        database = await Database.open(settings.state_dir)
        try:
            keepers = Keepers(
                settings.state_dir, [sys.executable, "-m", "web.runtime", "keeper"],
                adoption_s=settings.adoption_s, launch_s=settings.launch_s,
            )  # fmt: skip
            services = compose(settings, SystemClock(), database, keepers)
            await services.start()
            try:
                yield services
            finally:
                await services.stop()
        finally:
            await database.close()
    finally:
        lock.release()


async def create_token(settings: Settings, role: str, name: str, days: float | None) -> str:
    """Make a token and return it. Raises `BadRequest` for an unknown role."""
    async with stored(settings) as access:
        expires_s = None if days is None else days * 86400
        return (await access.create_token(name or role, _role(role), expires_s=expires_s))[1]


def _role(name: str) -> Role:
    from agent_bridge.words import Role
    from sandbox.words import BadRequest

    if name not in set(Role):
        raise BadRequest(f"there is no role {name}; the roles are {', '.join(Role)}", field="role")
    return Role(name)


async def list_tokens(settings: Settings) -> list[dict[str, Any]]:
    """Return every token without its secret, oldest first."""
    async with stored(settings) as access:
        return [
            {
                "id": t.id,
                "name": t.name,
                "role": t.role.value,
                "expires_at": t.expires_at,
                "revoked": t.revoked_at is not None,
            }
            for t in await access.tokens()
        ]


async def revoke_token(settings: Settings, token: str) -> None:
    """Make a token useless. Raises `NotFound`."""
    async with stored(settings) as access:
        await access.revoke_token(token)


async def make_link(settings: Settings, name: str, role: str = "operator") -> str:
    """Make a one-use link that signs an operator, or a supervisor, in; returns its URL. Raises `BadRequest`."""
    async with stored(settings) as access:
        return (await access.create_link(name=name, role=_role(role)))[1]


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "keeper":  # noqa: PLR2004
        raise SystemExit("usage: python -m web.runtime keeper DIRECTORY")
    keep(Path(sys.argv[2]))
