"""A keeper that streams, with an authority that lets the agent do everything: `python streamer.py DIR`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import uvloop
from websockets.asyncio.server import ServerConnection

from sandbox.keeper import Keeper, KeeperConfig, configure_log, log_uncaught
from sandbox.words import SystemClock
from streaming.hub import StreamHub
from tests.sandbox.keeper.composer import Simple


async def main(directory: Path) -> None:
    """Run one keeper."""
    configure_log()
    log_uncaught(asyncio.get_running_loop())
    keeper = Keeper(KeeperConfig.read(directory), Simple)
    hubs: list[StreamHub] = []

    async def stream(socket: ServerConnection, query: Mapping[str, str]) -> None:
        if not hubs:
            hubs.append(StreamHub(keeper.screen, SystemClock(), sandbox=keeper.config.sandbox))
            keeper.at_close(hubs[0].close)
        await hubs[0].serve(socket, query)

    await keeper.serve({"/stream": stream})


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
