"""Two peers ask and tell each other over one WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from sandbox.keeper.peer import Peer
from sandbox.words import BadRequest, BatonError, StaleEpoch, Unavailable

type Told = list[tuple[str, dict[str, Any]]]


async def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Answer like a keeper that has seen a few things."""
    match method:
        case "echo":
            return params
        case "stale":
            raise StaleEpoch("too late", epoch=3)
        case "slow":
            await asyncio.sleep(60)
        case "read":
            return {"was": params["missing"]}
    raise ZeroDivisionError("secret-in-words")


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[Peer, Peer, Told]]:
    """Two joined peers, and what the second is told."""
    told: Told = []
    made: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

    async def serve_one(connection: ServerConnection) -> None:
        peer = Peer(connection, answer, lambda event, params: told.append((event, params)))
        made.set_result(peer)
        await peer.run()

    async with serve(serve_one, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as connection:
            near = Peer(connection, answer, lambda _event, _params: None)
            running = asyncio.create_task(near.run())
            yield near, await made, told
        await running


async def test_requests_are_answered_both_ways() -> None:
    """Either end asks the other; answers find their request; events arrive in order before a flush's end."""
    async with pair() as (near, far, told):
        echoes = await asyncio.gather(
            *(near.request("echo", {"n": n}) for n in range(5)), far.request("echo", {"n": 9})
        )
        assert [echo["n"] for echo in echoes] == [0, 1, 2, 3, 4, 9]
        near.emit("one", {"a": 1})
        near.emit("two", {})
        await near.flush()
        await near.request("echo", {})
        assert told == [("one", {"a": 1}), ("two", {})]


async def test_errors_cross_whole_and_say_nothing_secret(capsys: pytest.CaptureFixture[str]) -> None:
    """An error keeps its class and fields; bad parameters and bugs are named without their words, in the log too."""
    async with pair() as (near, _far, _told):
        with pytest.raises(StaleEpoch, match="too late") as stale:
            await near.request("stale", {})
        assert stale.value.fields == {"epoch": 3}
        with pytest.raises(BadRequest, match="read has parameters"):
            await near.request("read", {"password": "secret-in-words"})
        with pytest.raises(BatonError, match="ZeroDivisionError") as bug:
            await near.request("bug", {})

    assert "secret-in-words" not in str(bug.value) + capsys.readouterr().out


async def test_nobody_waits_for_a_peer_that_is_gone() -> None:
    """A request that is not answered in time, or whose other end goes away, is Unavailable; then telling is silent."""
    async with pair() as (near, far, _told):
        with pytest.raises(Unavailable, match=r"within 0\.05 s"):
            await near.request("slow", {}, timeout=0.05)
        waiting = asyncio.create_task(near.request("slow", {}))
        await asyncio.sleep(0)
        await far._socket.close()
        with pytest.raises(Unavailable, match="gone"):
            await waiting
        await near.closed.wait()
        near.emit("late", {})
        with pytest.raises(Unavailable):
            await near.request("echo", {})
