"""What goes wrong in a handoff: each gets a clear error that names the thing, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright

from agent_bridge.client import AsyncClient, HandoffResult, Sandbox, request_handoff
from tests.journeys.login_site import BUTTON, LoginSite
from tests.journeys.operators import Operator
from tests.journeys.servers import Server, renderers_of, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
TOKENS = ("expired", "revoked")


@pytest.fixture
async def server(shared_server: Server) -> Server:
    """The module's server."""
    if not shared_server.up:
        await shared_server.start()
    return shared_server


@dataclass
class Case:
    """A sandbox on the pad, and its agent, who waits for a human."""

    client: AsyncClient
    sandbox: Sandbox
    site: LoginSite
    waiting: asyncio.Task[HandoffResult] | None = None

    @property
    def id(self) -> str:
        """The sandbox's id."""
        return self.sandbox.id

    async def ask(self, human: Operator, **asked: Any) -> dict[str, Any]:
        """Ask for a human; returns the handoff once it waits."""
        self.waiting = asyncio.create_task(request_handoff(self.sandbox, "captcha", "Please help.", **asked))
        return await human.handoff(self.id, "waiting")

    async def result(self) -> HandoffResult:
        """Return what the agent's call returned."""
        assert self.waiting is not None
        return await asyncio.wait_for(self.waiting, 20)


@pytest.fixture
async def case(server: Server, login_site: LoginSite) -> AsyncIterator[Case]:
    """A sandbox of the test's own."""
    async with AsyncClient(server.url, await server.token()) as client:
        case = Case(client, await client.open(f"{login_site.site}/pad"), login_site)
        yield case
        await case.sandbox.close()
        if case.waiting is not None:
            await asyncio.gather(case.waiting, return_exceptions=True)


async def test_a_page_that_crashes_can_be_reloaded_and_finished(server: Server, human: Operator, case: Case) -> None:
    """When the page's process dies under the operator, a reload brings it back and the handoff ends as resolved."""
    await case.ask(human, condition={"text": "Pad"})
    epoch = await human.take(case.id)
    async with human.live(case.id, epoch) as live:
        await live.tab("/pad")
        for pid in renderers_of(server.record(case.id)):
            os.kill(pid, signal.SIGKILL)
        refused = await human.post(case.id, "done", epoch=epoch)
        assert (refused.status_code, refused.json()["error"]) == (409, "ConditionsNotMet")
        await live.send("tab", action="reload")
        await until(lambda: bool(renderers_of(server.record(case.id))), "a new renderer")
        await holds(human, case.id, epoch)
        await human.say(case.id, "done", epoch)

    result = await case.result()
    assert (result.outcome, result.verification.verified) == ("resolved", True)


async def holds(human: Operator, sandbox: str, epoch: int) -> None:
    """Wait until the agent's condition holds."""
    for _ in range(100):
        if (await human.post(sandbox, "check", epoch=epoch)).json().get("met"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the condition never held")


@pytest.mark.parametrize("state", ["waiting", "held"])
async def test_a_browser_that_is_killed_fails_the_handoff(
    state: str, server: Server, human: Operator, case: Case
) -> None:
    """The agent is told that the sandbox ended and how; the sandbox is gone for everybody."""
    await case.ask(human)
    if state == "held":
        await human.take(case.id)
    chromium = server.record(case.id).chromium
    assert chromium is not None
    chromium.kill()

    result = await case.result()
    assert (result.outcome, "SIGKILL" in result.note) == ("failed", True), result.note
    gone = await human.post(case.id, "take")
    assert (gone.status_code, gone.json()["error"]) == (410, "SandboxClosed")
    await until(lambda: not server.directory(case.id).exists(), "the cleaning")


async def test_input_with_an_old_epoch_does_nothing(human: Operator, case: Case) -> None:
    """It is refused by name over the live socket, and the page sees none of it; with the right epoch it acts."""
    await case.ask(human)
    old = await human.take(case.id)
    assert (await human.post(case.id, "release", epoch=old)).status_code == 200
    epoch = await human.take(case.id)
    assert epoch > old
    async with human.live(case.id, old) as live:
        await live.tab("/pad")
        hits = len(case.site.hits)
        refusal = await live.refusal(await live.click(*BUTTON))
        assert refusal["kind"] == "stale"
        assert str(epoch) in refusal["why"]
        live.epoch = epoch
        await live.click(*BUTTON)
        await until(lambda: len(case.site.hits) > hits, "a press")
        await human.say(case.id, "done", epoch)
    assert len(case.site.hits) == hits + 1


async def test_only_the_holder_says_done(server: Server, human: Operator, case: Case) -> None:
    """A second operator's claim and Done are refused with the holder's name; so is a Done under an old epoch."""
    handoff = await case.ask(human)
    async with Operator.signed_in(server) as other:
        early = await other.post(case.id, "done", epoch=1)
        assert early.status_code == 409
        epoch = await human.take(case.id)
        claim = await other.post(case.id, "take", handoff=handoff["id"])
        assert (claim.status_code, claim.json()["error"]) == (409, "TakenByAnother")
        theirs = await other.post(case.id, "done", epoch=epoch)
        assert (theirs.status_code, theirs.json()["error"]) == (409, "TakenByAnother")
        stale = await human.post(case.id, "done", epoch=epoch - 1)
        assert (stale.status_code, stale.json()["error"]) == (409, "LeaseLost")
        await human.say(case.id, "done", epoch)
        late = await human.post(case.id, "done", epoch=epoch)
        assert late.status_code == 200
    assert (await case.result()).outcome == "resolved"


async def test_a_condition_that_cannot_hold_is_overridden_with_a_reason(human: Operator, case: Case) -> None:
    """Done is refused with each part and why; an override passes, and the agent sees that nothing was verified."""
    await case.ask(human, condition={"all": [{"selector": "h1", "state": "gone"}, {"cookie": "never-set"}]})
    epoch = await human.take(case.id)
    refused = await human.post(case.id, "done", epoch=epoch)
    assert (refused.status_code, refused.json()["error"]) == (409, "ConditionsNotMet")
    parts = refused.json()["parts"]
    assert [part["met"] for part in parts] == [False, False]
    assert all(part["why"] for part in parts)
    assert (await human.post(case.id, "done", epoch=epoch, override="")).status_code == 422
    await human.say(case.id, "done", epoch, override="there is no such cookie")

    result = await case.result()
    assert (result.outcome, result.verification.verified) == ("resolved", False)
    assert result.verification.overridden == "there is no such cookie"


async def test_a_handoff_that_expires_gives_a_page_that_works(human: Operator, case: Case) -> None:
    """The call returns only after the gate has opened again, so that the very next command passes."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(case.sandbox.cdp_url)
        page = browser.contexts[0].pages[0]
        for timeout_s in (0.5, 0.3, 0.01):
            result = await request_handoff(page, "captcha", timeout_s=timeout_s, client=case.client)
            assert result.outcome == "expired"
            assert await page.evaluate("document.title") == "Pad"
        waiting = asyncio.create_task(request_handoff(page, "captcha", client=case.client))
        handoff = await human.handoff(case.id)
        await case.client.cancel(handoff["id"])
        assert (await waiting).outcome == "cancelled"
        assert await page.evaluate("document.title") == "Pad"
        await browser.close()


async def test_what_cannot_be_asked_is_refused(server: Server, human: Operator, case: Case) -> None:
    """Too long, unknown, unreadable, unauthorised: each has its status and names the thing; nothing is queued."""
    headers = {"Authorization": f"Bearer {await server.token()}"}
    async with httpx.AsyncClient(base_url=f"{server.url}/v1", headers=headers, timeout=30) as agent:
        asking = f"/sandboxes/{case.id}/handoffs"
        huge = await agent.post(asking, json={"kind": "captcha", "instructions": "x" * 10_000_000})
        assert (huge.status_code, huge.json()["error"]) == (413, "TooLarge")
        long = await agent.post(asking, json={"kind": "captcha", "instructions": "x" * 20_000})
        assert (long.status_code, long.json()["field"]) == (413, "instructions")
        odd = await agent.post(asking, json={"kind": "captcha", "instructions": "", "condition": {"never": 1}})
        assert (odd.status_code, odd.json()["error"]) == (422, "InvalidCondition")
        nowhere = await agent.post("/sandboxes/sb_nowhere/handoffs", json={"kind": "captcha", "instructions": ""})
        assert (nowhere.status_code, "sb_nowhere" in nowhere.json()["message"]) == (404, True)
        assert (await human.post("sb_nowhere", "take")).status_code == 404
        assert (await agent.post(f"/sandboxes/{case.id}/control/take")).status_code == 403
    assert await human.queue() == []


async def test_tokens_that_are_wrong_or_over_are_refused(server: Server, human: Operator) -> None:
    """401 for an unknown, an expired and a revoked token; 410 for a link that was used, 404 for one that never was."""
    wrong = ["bt_wrong", *[await server.command("token", "create", "--role", "agent", "--name", n) for n in TOKENS]]
    server.write("UPDATE tokens SET expires_at = created_at - 1 WHERE name = ?", TOKENS[0])
    ((revoked,),) = server.rows("SELECT id FROM tokens WHERE name = ?", TOKENS[1])
    await server.command("token", "revoke", revoked)
    async with httpx.AsyncClient(base_url=f"{server.url}/v1", headers={"Origin": server.url}) as http:
        for token in wrong:
            reply = await http.get("/sandboxes", headers={"Authorization": f"Bearer {token}"})
            assert reply.status_code == 401, reply.text
            assert token not in reply.text
        assert (await http.get("/sandboxes")).status_code == 401
        link = (await server.link()).rsplit("#", 1)[-1]
        redeemed = [(await http.post("/links/redeem", json={"token": t})).status_code for t in (link, link, "bl_no")]
    assert redeemed == [200, 410, 404]
    assert (await human.http.get("/me")).status_code == 200
