"""One action, asked for by an agent over CDP, allowed by an operator, sent once to the page as it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.journeys.login_site import LoginSite
from tests.journeys.operators import Operator
from tests.journeys.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

CLICK: dict[str, Any] = {
    "method": "Runtime.evaluate", "params": {"expression": "document.title = 'Paid'"}, "reason": "to pay the chairs",
}  # fmt: skip


@dataclass
class Cdp:
    """A bare CDP client on one page."""

    socket: ClientConnection
    session: str = ""
    target: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _id: int = 0

    async def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command; returns its result, or its error as `{"error": …}`."""
        self._id += 1
        session = {"sessionId": self.session} if self.session else {}
        await self.socket.send(json.dumps({"id": self._id, "method": method, "params": params or {}, **session}))
        async with asyncio.timeout(15):
            while True:
                message = json.loads(await self.socket.recv())
                if message.get("id") == self._id:
                    return {"error": message["error"]} if "error" in message else dict(message["result"])
                self.events.append(message)

    async def event(self, method: str) -> dict[str, Any]:
        """Wait for an event."""
        async with asyncio.timeout(15):
            while not (found := [e for e in self.events if e["method"] == method]):
                self.events.append(json.loads(await self.socket.recv()))
        self.events.remove(found[0])
        return dict(found[0]["params"])

    async def title(self) -> str:
        """What the page is called."""
        answer = await self.call("Runtime.evaluate", {"expression": "document.title"})
        return str(answer["result"]["value"])


@asynccontextmanager
async def on_page(address: str) -> AsyncIterator[Cdp]:
    """Attach to the only page."""
    async with connect(address, proxy=None, max_size=None) as socket:
        cdp = Cdp(socket)
        targets = (await cdp.call("Target.getTargets"))["targetInfos"]
        cdp.target = next(each["targetId"] for each in targets if each["type"] == "page")
        cdp.session = (await cdp.call("Target.attachToTarget", {"targetId": cdp.target, "flatten": True}))["sessionId"]
        yield cdp


async def decide(human: Operator, approval: str, verb: str) -> httpx.Response:
    """Say it as the console does."""
    return await human.http.post(f"/approvals/{approval}/{verb}", json={"note": ""})


async def test_one_action_is_allowed_once(server: Server, human: Operator, login_site: LoginSite) -> None:
    """Asked on the page, decided by an operator, told by an event, performed once; by REST too."""
    token = {"Authorization": f"Bearer {await server.token()}"}
    body = {"url": f"{login_site.site}/form"}
    opened = (await human.http.post("/sandboxes", json=body, headers=token)).json()
    async with on_page(opened["cdp_url"]) as cdp:
        asked = await cdp.call("Baton.requestApproval", CLICK)
        approval = asked["approval"]
        assert asked["state"] == "pending"
        assert "pending" in (await cdp.call("Baton.perform", {"approval": approval}))["error"]["message"]
        assert (await human.http.post(f"/approvals/{approval}/approve", json={}, headers=token)).status_code == 403
        [waiting] = (await human.http.get("/approvals")).json()["approvals"]
        assert (waiting["id"], waiting["summary"]) == (approval, "Run in the page: document.title = 'Paid'")
        assert (await decide(human, approval, "approve")).status_code == 200
        told = await cdp.event("Baton.approvalDecided")
        assert (told["approval"], told["state"]) == (approval, "approved")
        assert await cdp.title() == "Log in"
        assert (await cdp.call("Baton.perform", {"approval": approval}))["result"]["value"] == "Paid"
        assert "was used" in (await cdp.call("Baton.perform", {"approval": approval}))["error"]["message"]

        again = {**CLICK, "params": {"expression": "document.title = 'Again'"}, "target": cdp.target}
        reply = await human.http.post(f"/sandboxes/{opened['id']}/approvals", json=again, headers=token)
        assert reply.status_code == 201, reply.text
        await decide(human, reply.json()["id"], "approve")
        await cdp.call("Baton.perform", {"approval": reply.json()["id"]})
        assert await cdp.title() == "Again"


@pytest.mark.full
async def test_what_was_allowed_is_not_what_is_there(server: Server, human: Operator, login_site: LoginSite) -> None:
    """A page that means something else, and control that moved: nothing is sent, and a restart changes nothing."""
    token = {"Authorization": f"Bearer {await server.token()}"}
    body = {"url": f"{login_site.site}/form"}
    opened = (await human.http.post("/sandboxes", json=body, headers=token)).json()
    async with on_page(opened["cdp_url"]) as cdp:
        changed = (await cdp.call("Baton.requestApproval", CLICK))["approval"]
        await decide(human, changed, "approve")
        await cdp.call("Runtime.evaluate", {"expression": "document.querySelector('button').textContent = 'Delete'"})
        assert "has changed" in (await cdp.call("Baton.perform", {"approval": changed}))["error"]["message"]

        void = (await cdp.call("Baton.requestApproval", CLICK))["approval"]
        await decide(human, void, "approve")
        epoch = await human.take(opened["id"])
        assert (await decide(human, void, "approve")).status_code == 409
        await human.post(opened["id"], "release", epoch=epoch)
        assert "void" in (await cdp.call("Baton.perform", {"approval": void}))["error"]["message"]

        kept = (await cdp.call("Baton.requestApproval", CLICK))["approval"]
        await decide(human, kept, "approve")
    await server.kill()
    await server.start()
    async with on_page(opened["cdp_url"]) as cdp:
        assert await cdp.title() == "Log in"
        assert (await decide(human, void, "approve")).status_code == 409
        assert (await cdp.call("Baton.perform", {"approval": kept}))["result"]["value"] == "Paid"
