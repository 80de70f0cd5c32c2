"""The one composition root: it alone knows every room. Used by the command line, the server and the keeper process.

What each part needs is imported where it is composed, so that a keeper starts without FastAPI and a command that only
prints a token starts without Chromium.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

    from sandbox.words import OperatorId
    from streaming.hub import StreamHub


# --------------------------------------------------------------------------------------------------- the keeper


def keep(directory: Path) -> None:
    """Run one sandbox's keeper until it ends. The server starts this with the directory it has prepared."""
    import uvloop

    uvloop.run(_keep(directory))


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
            hub = StreamHub(keeper.screen, clock, sandbox=keeper.config.sandbox, on_activity=active)
            keeper.at_close(hub.close)
        await hub.serve(socket, query)

    await keeper.serve({"/stream": stream})


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "keeper":  # noqa: PLR2004
        raise SystemExit("usage: python -m web.runtime keeper DIRECTORY")
    keep(Path(sys.argv[2]))
