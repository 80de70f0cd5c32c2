"""Leases over the wire: limits, staying, extending, asking for control, and moving it from one to another."""

from __future__ import annotations

import json

import pytest

from agent_bridge.words import Role
from sandbox.words import SandboxId
from tests.web.api.test_events import until
from tests.web.conftest import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _ids(server: Served, *people: str) -> list[str]:
    return [(await server.call("GET", "/v1/me", who)).json()["operator"]["id"] for who in people]


async def test_the_lease_says_how_long_it_lasts(server: Served) -> None:
    """The lease carries its three ends, and the snapshot the durations they come from."""
    sandbox = (await server.open())["id"]
    await server.ask(sandbox)
    lease = (await server.call("POST", f"/v1/sandboxes/{sandbox}/control/take", "operator", json={})).json()["lease"]
    limits = (await server.call("GET", "/v1/limits", "agent")).json()
    async with server.socket("/v1/events", "operator") as socket:
        snapshot = await until(socket, "snapshot")
        await socket.send(json.dumps({"type": "heartbeat", "sandbox": sandbox, "epoch": lease["epoch"]}))
        beat = await until(socket, "lease")

    assert snapshot["limits"] == limits == server.services.broker.settings.limits()
    assert lease["idle_at"] - lease["since"] == pytest.approx(limits["idle_s"])
    assert lease["ends_at"] - lease["since"] == pytest.approx(limits["ceiling_s"])
    assert (beat["idle_at"], beat["ends_at"], beat["extended"]) == (lease["idle_at"], lease["ends_at"], False)


async def test_staying_and_extending(server: Served) -> None:
    """Saying so moves the end for idleness; a reason moves the ceiling, once."""
    sandbox = (await server.open())["id"]
    await server.ask(sandbox)
    epoch = await server.take(sandbox)
    path = f"/v1/sandboxes/{sandbox}/control"
    first = (await server.call("POST", f"{path}/heartbeat", "operator", json={"epoch": epoch})).json()
    stayed = (await server.call("POST", f"{path}/stay", "operator", json={"epoch": epoch})).json()
    mute = await server.call("POST", f"{path}/extend", "operator", json={"epoch": epoch, "reason": "  "})
    longer = (await server.call("POST", f"{path}/extend", "operator", json={"epoch": epoch, "reason": "slow"})).json()
    twice = await server.call("POST", f"{path}/extend", "operator", json={"epoch": epoch, "reason": "slower"})

    assert stayed["idle_at"] > first["idle_at"]
    assert mute.status_code == 422
    assert longer["ends_at"] == first["ends_at"] + server.services.broker.settings.extension_s
    assert longer["extended"]
    assert (twice.status_code, twice.json()["error"]) == (409, "ExtendedBefore")


async def test_asking_denying_and_giving(server: Served) -> None:
    """A request is seen by everybody who listens; the holder refuses it, then gives control to who asks again."""
    sandbox = (await server.open())["id"]
    await server.ask(sandbox)
    path = f"/v1/sandboxes/{sandbox}/control"
    [other] = await _ids(server, "operator-2")
    epoch = await server.take(sandbox)
    async with server.socket("/v1/events", "operator") as socket:
        await until(socket, "snapshot")
        await server.call("POST", f"{path}/request", "operator-2", json={"note": "I have the phone"})
        asked = (await until(socket, "control", sandbox=sandbox))["control"]["requests"]
        denied = await server.call("POST", f"{path}/deny", "operator", json={"epoch": epoch, "operator": other})
        gone = (await until(socket, "control", sandbox=sandbox))["control"]["requests"]
        too_late = await server.call("POST", f"{path}/give", "operator", json={"epoch": epoch, "operator": other})
        await server.call("POST", f"{path}/request", "operator-2")
        given = await server.call("POST", f"{path}/give", "operator", json={"epoch": epoch, "operator": other})
    kept = await server.call("POST", f"{path}/heartbeat", "operator-2", json={"epoch": epoch + 1})

    assert [(r["operator"], r["note"]) for r in asked] == [({"id": other, "name": "operator-2"}, "I have the phone")]
    assert (denied.json()["requests"], gone) == ([], [])
    assert (too_late.status_code, too_late.json()["error"]) == (409, "NotAsked")
    assert given.json()["last"] == {**given.json()["last"], "how": "given", "by": "operator", "from": "operator"}
    assert (given.json()["epoch"], given.json()["requests"]) == (epoch + 1, [])
    assert kept.status_code == 200


async def test_a_supervisor_takes_control_and_says_who(server: Served) -> None:
    """Force is the supervisor's alone; whoever had control reads who took it."""
    if "supervisor" not in server.tokens:
        await server.token("supervisor", Role.SUPERVISOR)
    sandbox = (await server.open())["id"]
    await server.ask(sandbox)
    path = f"/v1/sandboxes/{sandbox}/control"
    epoch = await server.take(sandbox)
    mere = await server.call("POST", f"{path}/take", "operator-2", json={"force": True})
    polite = await server.call("POST", f"{path}/take", "supervisor", json={})
    async with server.socket("/v1/events", "operator") as socket:
        await until(socket, "snapshot")
        forced = await server.call("POST", f"{path}/take", "supervisor", json={"force": True})
        told = (await until(socket, "control", sandbox=sandbox, phase="held", epoch=epoch + 1))["control"]
    late = await server.call("POST", f"{path}/done", "operator", json={"epoch": epoch})

    assert (mere.status_code, polite.status_code, forced.status_code) == (403, 409, 200)
    assert (told["last"]["how"], told["last"]["by"], told["last"]["from"]) == ("forced", "supervisor", "operator")
    assert (late.status_code, late.json()["message"].split(" has")[0]) == (409, "supervisor")


async def test_input_keeps_a_lease_from_idling(server: Served) -> None:
    """What the keeper tells of the holder's input moves the end for idleness; another's does not."""
    sandbox = (await server.open())["id"]
    await server.ask(sandbox)
    epoch = await server.take(sandbox)
    broker = server.services.broker
    mine, theirs = await _ids(server, "operator", "operator-2")
    path = f"/v1/sandboxes/{sandbox}/control/heartbeat"
    before = (await server.call("POST", path, "operator", json={"epoch": epoch})).json()["idle_at"]
    await broker.keeper_event(SandboxId(sandbox), "activity", {"operator": theirs})
    same = (await server.call("POST", path, "operator", json={"epoch": epoch})).json()["idle_at"]
    await broker.keeper_event(SandboxId(sandbox), "activity", {"operator": mine})
    after = (await server.call("POST", path, "operator", json={"epoch": epoch})).json()["idle_at"]

    assert before == same < after


async def test_a_handoff_may_wait_longer(server: Served) -> None:
    """The agent and operators move a deadline on, never back, and not beyond what is allowed."""
    sandbox = (await server.open())["id"]
    handoff = await server.ask(sandbox, timeout_s=60)
    path = f"/v1/handoffs/{handoff['id']}/extend"
    longer = (await server.call("POST", path, "agent", json={"timeout_s": 600})).json()["deadline_at"]
    shorter = (await server.call("POST", path, "operator", json={"timeout_s": 5})).json()["deadline_at"]
    endless = await server.call("POST", path, "operator", json={"timeout_s": 1e9})
    await server.call("POST", f"/v1/handoffs/{handoff['id']}/cancel", "agent")
    over = await server.call("POST", path, "agent", json={"timeout_s": 600})

    assert longer == shorter > handoff["deadline_at"] + 500
    assert endless.status_code == 422
    assert (over.status_code, over.json()["error"]) == (409, "HandoffEnded")
