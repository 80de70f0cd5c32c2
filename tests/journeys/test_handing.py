"""An agent's connection is its keeper's own: the server may stand still, and still ends it when it must."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from agent_bridge.client import AsyncClient, Sandbox
from tests.journeys.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


async def asked(socket: ClientConnection, number: int) -> dict[str, Any]:
    """Ask for the browser's version."""
    await socket.send(json.dumps({"id": number, "method": "Browser.getVersion"}))
    while True:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 5))
        if message.get("id") == number:
            return message


async def ends(socket: ClientConnection) -> int:
    """Wait until it is closed; returns the code."""
    try:
        while True:
            await asyncio.wait_for(socket.recv(), 20)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


def way(sandbox: Sandbox) -> Any:
    """Connect as a CDP client does."""
    return connect(sandbox.cdp_url, compression=None, max_size=None, proxy=None)


async def test_commands_pass_while_the_server_stands_still(server: Server) -> None:
    """A server that is busy, or stopped, costs an agent nothing; large messages pass whole."""
    assert server.process is not None
    async with AsyncClient(server.url, await server.token()) as client:
        sandbox = await client.open()
        async with way(sandbox) as socket:
            assert "result" in await asked(socket, 1)
            os.kill(server.process.pid, signal.SIGSTOP)
            try:
                for number in range(2, 50):
                    assert "Chrome" in (await asked(socket, number))["result"]["product"]
                await socket.send(json.dumps({"id": 60, "method": "Nothing.here", "params": {"x": "y" * 3_000_000}}))
                assert json.loads(await asyncio.wait_for(socket.recv(), 10))["id"] == 60
            finally:
                os.kill(server.process.pid, signal.SIGCONT)
        await client.close(sandbox.id)


@pytest.mark.full
async def test_the_server_ends_what_it_handed_over(server: Server) -> None:
    """A revoked token, a closed sandbox, a killed keeper and a killed server each end the connection, and say so."""
    token = await server.command("token", "create", "--role", "agent", "--name", "doomed")
    url = server.url.replace("http", "ws")
    async with AsyncClient(server.url, token) as client:
        sandbox = await client.open()
        address = f"{url}/v1/sandboxes/{sandbox.id}/cdp?token={token}"
        async with connect(address, compression=None, proxy=None) as revoked:
            await asked(revoked, 1)
            await server.command("token", "revoke", server.rows("SELECT id FROM tokens WHERE name = 'doomed'")[0][0])
            assert await ends(revoked) == 4401
    async with AsyncClient(server.url, await server.token()) as client:
        first, second, third = [await client.open() for _ in range(3)]
        async with way(first) as closed, way(second) as killed, way(third) as left:
            for socket in (closed, killed, left):
                await asked(socket, 1)
            await client.close(first.id)
            assert await ends(closed) in {1001, 4411, 4503}
            os.kill(server.record(second.id).keeper.pid, signal.SIGKILL)
            assert await ends(killed) == 4503
            await server.kill()
            assert await ends(left) == 1001
    await server.start()
