"""Any language asks for a human over CDP alone: here Node, with an unmodified puppeteer."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.journeys.conftest import Agent
from tests.journeys.login_site import LoginSite
from tests.journeys.operators import Operator
from tests.journeys.servers import ROOT, Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        shutil.which("node") is None or not (ROOT / "node_modules").is_dir(),
        reason="Node or its packages are missing: npm ci",
    ),
]


async def test_node_asks_and_is_answered_by_the_event(
    server: Server, human: Operator, start_agent: Any, login_site: LoginSite
) -> None:
    """`Baton.requestHandoff` names the blocked tab by its session; `Baton.handoffCompleted` brings the result there."""
    token = {"Authorization": f"Bearer {await server.token()}"}
    sandbox = (await human.http.post(f"{server.url}/v1/sandboxes", json={}, headers=token)).json()
    agent: Agent = await start_agent("ask_by_cdp.mjs", sandbox["cdp_url"], f"{login_site.site}/account")
    asked = await agent.line()
    handoff = await human.handoff(sandbox["id"], "waiting")
    epoch = await human.take(sandbox["id"])
    await human.say(sandbox["id"], "done", epoch, note="fine by me")
    result = await agent.line()

    assert asked["handoff"] == handoff["id"]
    assert (handoff["kind"], handoff["url"]) == ("approval", f"{login_site.site}/account")
    assert result["handoff"] == handoff["id"]
    assert (result["outcome"], result["note"], result["verified"]) == ("resolved", "fine by me", True)
    assert (result["heading"], result["url"]) == ("Welcome back", f"{login_site.site}/account")
    assert result["state"] == "resolved"
    assert result["text"]
