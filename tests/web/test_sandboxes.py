"""Sandboxes over their life: limits, deaths, restarts of the server."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete

from agent_bridge.store.database import Database
from agent_bridge.store.tables import controls
from agent_bridge.words import Role
from sandbox.host.keepers import Keepers
from sandbox.keeper.files import KeeperRecord
from sandbox.words import SandboxId, SystemClock
from tests.web.conftest import FAKE_KEEPER, Served, quick, serving
from web.app import create_app
from web.services import compose

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds, at most ten seconds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a file system offers no event
            await asyncio.sleep(0.02)


def keeper_of(server: Served, sandbox: str) -> int:
    """The process id of a sandbox's keeper."""
    record = KeeperRecord.read(server.services.keepers.directory(SandboxId(sandbox)))
    assert record is not None
    return record.keeper.pid


async def test_the_limit(tmp_path: Path) -> None:
    """One sandbox too many is a 429 that names the setting."""
    async with serving(quick(tmp_path, max_sandboxes=1)) as server:
        await server.token("agent", Role.AGENT)
        await server.open()

        answer = await server.call("POST", "/v1/sandboxes", "agent", json={})

    assert answer.status_code == 429
    assert "BATON_MAX_SANDBOXES" in answer.json()["message"]


async def test_no_sandbox_is_reaped_while_a_human_is_awaited(tmp_path: Path) -> None:
    """An idle sandbox is closed and says why; one in which a human is awaited, or holds control, never is."""
    async with serving(quick(tmp_path, idle_sandbox_s=1.0)) as server:
        await server.token("agent", Role.AGENT)
        awaited, idle = await server.open(), await server.open()
        asked = await server.call(
            "POST", f"/v1/sandboxes/{awaited['id']}/handoffs", "agent", json={"kind": "captcha", "instructions": "Help"}
        )
        assert asked.status_code == 201

        await eventually(lambda: idle["id"] not in {view.sandbox for view in server.services.broker.views()})
        await asyncio.sleep(1.5)

        gone = (await server.call("GET", f"/v1/sandboxes/{idle['id']}", "agent")).json()
        kept = (await server.call("GET", f"/v1/sandboxes/{awaited['id']}", "agent")).json()
        assert (gone["state"], kept["state"]) == ("closed", "waiting")
        await server.call("POST", f"/v1/handoffs/{asked.json()['id']}/cancel", "agent")
        await eventually(lambda: not server.services.broker.views())


async def test_a_browser_that_dies(server: Served) -> None:
    """When the browser dies the handoff ends as failed with that reason, and nothing of the sandbox is left."""
    sandbox = (await server.open())["id"]
    handoff = (await server.ask(sandbox))["id"]
    directory = server.services.keepers.directory(SandboxId(sandbox))

    os.kill(keeper_of(server, sandbox), signal.SIGUSR1)
    over = (await server.call("GET", f"/v1/handoffs/{handoff}?wait_s=10", "agent")).json()

    assert over["state"] == "failed"
    assert "the test killed it" in str(over["result"])
    await eventually(lambda: not directory.exists())
    assert (await server.call("GET", f"/v1/sandboxes/{sandbox}", "agent")).json()["state"] == "closed"


async def test_a_keeper_that_is_killed(server: Served) -> None:
    """When the keeper is killed the handoff ends as failed, and what it left is removed."""
    sandbox = (await server.open())["id"]
    handoff = (await server.ask(sandbox))["id"]
    directory = server.services.keepers.directory(SandboxId(sandbox))

    os.kill(keeper_of(server, sandbox), signal.SIGKILL)
    over = (await server.call("GET", f"/v1/handoffs/{handoff}?wait_s=10", "agent")).json()

    assert over["state"] == "failed"
    assert "keeper" in str(over["result"])
    await eventually(lambda: not directory.exists())


async def test_a_closed_sandbox_stays_known(server: Served) -> None:
    """After its end a sandbox can still be looked at, but not used: 410 says so. Closing again changes nothing."""
    sandbox = (await server.open())["id"]
    for _ in range(2):
        assert (await server.call("DELETE", f"/v1/sandboxes/{sandbox}", "agent")).status_code == 204

    looked = await server.call("GET", f"/v1/sandboxes/{sandbox}", "agent")
    asked = await server.call(
        "POST", f"/v1/sandboxes/{sandbox}/handoffs", "agent", json={"kind": "captcha", "instructions": "x"}
    )

    assert (looked.json()["state"], looked.json()["cdp_url"]) == ("closed", None)
    assert asked.status_code == 410
    assert sandbox in asked.json()["message"]


async def test_a_request_over_cdp_reaches_the_queue(server: Served) -> None:
    """What a CDP client asks by `Baton.requestHandoff` is in the queue under the same sandbox."""
    sandbox = (await server.open())["id"]
    async with server.socket(f"/v1/sandboxes/{sandbox}/cdp", "agent") as socket:
        await socket.recv()
        await socket.send("ask now")
        handoff = await socket.recv()

    shown = (await server.call("GET", f"/v1/handoffs/{handoff!s}", "agent")).json()
    assert (shown["sandbox"], shown["kind"]) == (sandbox, "captcha")


async def test_a_restarted_server_goes_on(tmp_path: Path) -> None:
    """Another server on the same state finds sandbox, queue and capability again; the lease is parked."""
    settings = quick(tmp_path)
    database = await Database.open(tmp_path)

    def keepers() -> Keepers:
        return Keepers(tmp_path, FAKE_KEEPER, adoption_s=20, launch_s=20)

    first = compose(settings, SystemClock(), database, keepers())
    await first.start()
    token, _ = await first.access.create_token("agent", Role.AGENT)
    opened, other = [await first.sandboxes.open(owner=token.id) for _ in range(2)]
    transport = httpx.ASGITransport(create_app(first))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        _, secret = await first.access.create_token("kim", Role.OPERATOR)
        headers = {"Authorization": f"Bearer {secret}"}
        taken = await http.post(f"/v1/sandboxes/{opened['id']}/control/take", headers=headers, json={})
        assert taken.status_code == 200
    await first.stop()
    record = KeeperRecord.read(first.keepers.directory(SandboxId(other["id"])))
    assert record is not None
    os.kill(record.keeper.pid, signal.SIGKILL)

    second = compose(settings, SystemClock(), database, keepers())
    await second.start()
    try:
        view = await second.broker.view(SandboxId(opened["id"]))
        assert view.holder.side == "nobody"
        assert view.epoch > taken.json()["epoch"]
        assert [s["id"] for s in await second.sandboxes.list()] == [opened["id"]]
        assert (await second.sandboxes.get(SandboxId(other["id"])))["state"] == "closed"
        capability = opened["cdp_url"].partition("token=")[2]
        assert (await second.sandboxes.by_capability(SandboxId(opened["id"]), capability)).id == token.id
    finally:
        await second.stop(close_sandboxes=True)
        await database.close()
    assert list((tmp_path / "sandboxes").iterdir()) == []


async def test_half_open_ones(tmp_path: Path) -> None:
    """A server that dies while it opens or closes a sandbox leaves none that nobody controls."""
    settings = quick(tmp_path)
    database = await Database.open(tmp_path)

    def keepers() -> Keepers:
        return Keepers(tmp_path, FAKE_KEEPER, adoption_s=20, launch_s=20)

    first = compose(settings, SystemClock(), database, keepers())
    await first.start()
    opening, closing, whole = [SandboxId((await first.sandboxes.open())["id"]) for _ in range(3)]
    first.broker._listeners.clear()
    await first.broker.close(closing, "on request")
    await first.stop()
    async with database.write() as connection:
        await connection.execute(delete(controls).where(controls.c.sandbox == opening))

    second = compose(settings, SystemClock(), database, keepers())
    await second.start()
    try:
        assert [each["id"] for each in await second.sandboxes.list()] == [whole]
        assert not second.keepers.directory(opening).exists()
        assert not second.keepers.directory(closing).exists()
    finally:
        await second.stop(close_sandboxes=True)
        await database.close()
