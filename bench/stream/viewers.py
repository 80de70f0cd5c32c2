"""Viewers that look at nothing: they sign in, acknowledge what they get as a browser does, and decode none of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from sandbox.words import SandboxId
from web.runtime import stored
from web.settings import Settings

PICTURE: Final = 2
QUIET: Final = 4
PING_S: Final = 2.0
_HEAD: Final = struct.Struct("!BBI")


async def make_link(sandbox: str, *, take: bool) -> str:
    """Make one more one-use link to the live view of `sandbox` (`BENCH_STATE`, `BENCH_URL` name the server)."""
    host, _, port = os.environ["BENCH_URL"].removeprefix("http://").partition(":")
    settings = Settings(state_dir=Path(os.environ["BENCH_STATE"]), host=host, port=int(port))
    async with stored(settings) as access:
        return (await access.create_link(name="You", sandbox=SandboxId(sandbox), take=take))[1]


def acknowledgement(message: bytes) -> str | None:
    """Return what a viewer answers to a binary message: nothing to what is no picture, or wants no answer."""
    if len(message) < _HEAD.size:
        return None
    kind, flags, frame = _HEAD.unpack_from(message)
    return json.dumps({"t": "ack", "f": frame, "d": 2.0}) if kind == PICTURE and not flags & QUIET else None


def hello_of(said: str) -> str:
    """Return a browser's own first message for another viewer of the same abilities."""
    return json.dumps({key: value for key, value in json.loads(said).items() if key not in {"opened", "seen"}})


@asynccontextmanager
async def lean_viewers(sandbox: str, count: int, hello: str) -> AsyncIterator[list[int]]:
    """Keep `count` viewers on a sandbox while the block runs; yields how many pictures each has had so far."""
    pictures = [0] * count
    async with contextlib.AsyncExitStack() as stack:
        group = await stack.enter_async_context(_tasks())
        for number in range(count):
            socket = await stack.enter_async_context(await _dial(sandbox))
            await socket.send(hello_of(hello))
            await socket.send(json.dumps({"t": "visible", "on": True}))
            group.append(asyncio.create_task(_watch(socket, pictures, number)))
            group.append(asyncio.create_task(_ping(socket)))
        yield pictures


@asynccontextmanager
async def _tasks() -> AsyncIterator[list[asyncio.Task[None]]]:
    group: list[asyncio.Task[None]] = []
    try:
        yield group
    finally:
        for task in group:
            task.cancel()
        await asyncio.gather(*group, return_exceptions=True)


async def _dial(sandbox: str) -> Any:
    origin = os.environ["BENCH_URL"]
    secret = (await make_link(sandbox, take=False)).partition("#")[2]
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{origin}/v1/links/redeem", json={"token": secret}, headers=headers)
        answer.raise_for_status()
        cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
    url = f"{origin.replace('http', 'ws', 1)}/v1/sandboxes/{sandbox}/live"
    return connect(
        url,
        origin=Origin(origin),
        additional_headers={"Cookie": cookie},
        compression=None,
        max_size=None,
    )


async def _watch(socket: ClientConnection, pictures: list[int], number: int) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in socket:
            if isinstance(message, bytes):
                pictures[number] += message[:1] == bytes([PICTURE])
                answer = acknowledgement(message)
                if answer is not None:
                    await socket.send(answer)


async def _ping(socket: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.send(json.dumps({"t": "ping", "c": 0.0, "rtt": 1.0}))
            await asyncio.sleep(PING_S)
