"""Approvals over the API: only an operator's own request decides, and control that moves voids them."""

from __future__ import annotations

import pytest

from sandbox.words import BatonError, SandboxId
from tests.web.api.test_events import until
from tests.web.conftest import Served
from web.keepers import Requests

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def use(server: Served, sandbox: str, approval: str, state: str = "as it was") -> str:
    """Spend it, as the keeper does; returns its new state, or why not."""
    services = server.services
    requests = Requests(SandboxId(sandbox), services.broker, services.desk, services.clock)
    try:
        return str((await requests.answer("approval.use", {"approval": approval, "page_state": state}))["state"])
    except BatonError as error:
        return error.message


async def test_an_agent_cannot_approve_its_own_request(server: Served) -> None:
    """Neither with its token, nor with the right of its cdp_url, nor from a page of another site, nor by its keeper."""
    opened = await server.open()
    sandbox, capability = opened["id"], opened["cdp_url"].partition("token=")[2]
    approval = (await server.approval(sandbox))["id"]
    cookie = await server.sign_in()
    for verb in ("approve", "decline"):
        path = f"/v1/approvals/{approval}/{verb}"
        for who in ("agent", "agent-2", "admin", "qa"):
            assert (await server.call("POST", path, who, json={})).status_code == 403
        assert (await server.call("POST", path, json={})).status_code == 401
        stolen = {"Authorization": f"Bearer {capability}"}
        assert (await server.call("POST", path, headers=stolen, json={})).status_code == 401
        assert (await server.call("POST", f"{path}?token={capability}", json={})).status_code == 401
        foreign = {**cookie, "Origin": "https://shop.example"}
        assert (await server.call("POST", path, headers=foreign, json={})).status_code == 403
    assert "is pending" in await use(server, sandbox, approval)
    assert (await server.call("POST", f"/v1/approvals/{approval}/approve", headers=cookie, json={})).status_code == 200
    assert "page has changed" in await use(server, sandbox, approval, "otherwise")
    assert await use(server, sandbox, approval) == "used"
    assert "is used" in await use(server, sandbox, approval)


async def test_a_take_over_voids_a_pending_approval(server: Served) -> None:
    """And one that was approved; consoles are told."""
    sandbox = (await server.open())["id"]
    pending, approved = [(await server.approval(sandbox))["id"] for _ in range(2)]
    await server.call("POST", f"/v1/approvals/{approved}/approve", "operator", json={})
    async with server.socket("/v1/events", "operator") as socket:
        snapshot = await until(socket, "snapshot")
        assert pending in {each["id"] for each in snapshot["approvals"]}
        epoch = await server.take(sandbox)
        for _ in range(2):
            told = await until(socket, "approval", sandbox=sandbox)
            assert told["approval"]["state"] == "void"
    await server.call("POST", f"/v1/sandboxes/{sandbox}/control/release", "operator", json={"epoch": epoch})
    assert (await server.services.broker.view(SandboxId(sandbox))).holder.side == "agent"
    for approval in (pending, approved):
        answer = await server.call("POST", f"/v1/approvals/{approval}/approve", "operator", json={})
        assert (answer.status_code, answer.json()["error"]) == (409, "ApprovalOver")
        assert "is void" in await use(server, sandbox, approval)


async def test_consoles_hear_of_each(server: Served) -> None:
    """Asked, then declined with a note; the agent looks it up."""
    sandbox = (await server.open())["id"]
    async with server.socket("/v1/events", "operator") as socket:
        await until(socket, "snapshot")
        approval = (await server.approval(sandbox, method="Page.navigate", params={"url": "https://a.example/?k=1"}))[
            "id"
        ]
        asked = await until(socket, "approval", id=approval)
        await server.call("POST", f"/v1/approvals/{approval}/decline", "operator", json={"note": "no"})
        declined = await until(socket, "approval", id=approval)
    assert (asked["approval"]["state"], asked["approval"]["summary"]) == ("pending", "Go to https://a.example/")
    assert (declined["approval"]["state"], declined["approval"]["decided_by"]) == ("declined", "operator")
    mine = await server.call("GET", f"/v1/approvals/{approval}", "agent")
    assert (mine.json()["state"], mine.json()["note"]) == ("declined", "no")
    everything = (await server.call("GET", "/v1/approvals?state=all", "operator")).json()["approvals"]
    assert everything[0]["id"] == approval
    assert {"page_state", "digest", "params"}.isdisjoint(everything[0])


@pytest.mark.parametrize("body", [{}, {"target": "t", "method": "Page.reload", "reason": ""}, {"target": 1}])
async def test_bad_asks(server: Served, body: dict[str, object]) -> None:
    """What is missing is said."""
    sandbox = (await server.open())["id"]
    assert (await server.call("POST", f"/v1/sandboxes/{sandbox}/approvals", "agent", json=body)).status_code == 422
