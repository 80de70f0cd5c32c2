"""What the console hears."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from tests.web.conftest import Served, closes

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def until(socket: ClientConnection, kind: str, **facts: Any) -> dict[str, Any]:
    """Return the next message of a type whose object has these facts."""
    async with asyncio.timeout(10):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            inner = message.get(kind, message)
            if message["type"] == kind and all(inner.get(name) == value for name, value in facts.items()):
                return message


async def test_a_snapshot_comes_first(server: Served) -> None:
    """A console that connects is told at once how everything stands."""
    sandbox = (await server.open())["id"]
    handoff = (await server.ask(sandbox))["id"]

    async with server.socket("/v1/events", "operator") as socket:
        snapshot = await until(socket, "snapshot")

    assert handoff in {h["id"] for h in snapshot["queue"]}
    assert sandbox in {s["id"] for s in snapshot["sandboxes"]}
    assert snapshot["control"][sandbox]["handoff"]["id"] == handoff
    assert abs(snapshot["now"] - server.services.clock.now()) < 10


async def test_every_change_follows(server: Served) -> None:
    """Opening, asking, taking, ending and closing are each told as they happen."""
    async with server.socket("/v1/events", "operator") as socket:
        await until(socket, "snapshot")
        sandbox = (await server.open())["id"]
        await until(socket, "sandbox", id=sandbox, state="agent")
        handoff = (await server.ask(sandbox))["id"]
        await until(socket, "handoff", id=handoff, state="asked")
        epoch = await server.take(sandbox)
        held = await until(socket, "control", sandbox=sandbox, phase="held")
        await server.call("POST", f"/v1/sandboxes/{sandbox}/control/failed", "operator", json={"epoch": epoch})
        over = await until(socket, "handoff", id=handoff, state="failed")
        await server.call("DELETE", f"/v1/sandboxes/{sandbox}", "agent")
        await until(socket, "sandbox", id=sandbox, state="closed")

    assert held["control"]["holder"]["name"] == "operator"
    assert held["control"]["epoch"] == epoch
    assert over["handoff"]["result"]["outcome"] == "failed"


async def test_a_heartbeat_may_be_sent_here(server: Served) -> None:
    """The lease is renewed over the socket; a heartbeat without the lease is refused and changes nothing."""
    sandbox = (await server.open())["id"]
    await server.ask(sandbox)
    epoch = await server.take(sandbox)
    async with server.socket("/v1/events", "operator") as mine, server.socket("/v1/events", "operator-2") as theirs:
        for socket in (mine, theirs):
            await socket.send(json.dumps({"type": "heartbeat", "sandbox": sandbox, "epoch": epoch}))

        lease = await until(mine, "lease")
        refused = await until(theirs, "refused")

    assert (lease["sandbox"], lease["epoch"]) == (sandbox, epoch)
    assert lease["expires_at"] > lease["now"]
    assert (refused["sandbox"], refused["epoch"]) == (sandbox, epoch)
    assert refused["kind"] in {"conflict", "stale"}


@pytest.mark.parametrize(
    "said", ["", "x", "[]", "null", '{"type": "take"}', '{"type": "heartbeat", "sandbox": 1, "epoch": 1}', "x" * 2000]
)
async def test_nonsense_closes_the_socket(server: Served, said: str) -> None:
    """Anything but a heartbeat closes the socket with a reason."""
    async with server.socket("/v1/events", "operator") as socket:
        await socket.send(said)
        code, reason = await closes(socket)

    assert code == 4422
    assert "heartbeat" in (reason or "")
