"""The main job: an agent hits a real CAPTCHA, a human solves it in the console, the agent goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.journeys.conftest import click_remote, type_remote
from tests.journeys.pipe_listener import make_listener, written
from tests.journeys.servers import Server
from web.demo.sites import Site, free_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
HELD = "You have control"
FIELD = (150, 48)
"""Where the CAPTCHA's field lies on the remote screen: the site's own style puts it beside the picture."""


@pytest.fixture
def notes(world_readable: Path) -> Path:
    """Where the listener on the pipe writes."""
    return world_readable / "pipe.log"


@pytest.fixture
async def server(state_dir: Path, world_readable: Path, notes: Path) -> AsyncIterator[Server]:
    """A server whose Chromium is listened to on its pipe."""
    program, _ = make_listener(world_readable)
    server = Server(state_dir, free_port(), {"BATON_CHROMIUM": str(program)})
    await server.start()
    yield server
    await server.stop()


async def test_a_human_solves_a_captcha_for_a_stopped_agent(
    server: Server, captcha: Site, operator: Page, start_agent: Any, notes: Path
) -> None:
    """The operator solves it with real mouse and keys; meanwhile neither Playwright nor puppeteer acts or reads."""
    agent = await start_agent("agent_hammer.py", captcha.url, "captcha", json.dumps({"url": "*?ok*"}))
    opened = await agent.line()
    assert shutil.which("node"), "Node is needed to try puppeteer"
    other = await start_agent("hammer.mjs", opened["cdp_url"])
    await other.line()
    await agent.tell("go")
    assert (await agent.line())["event"] == "asked"

    await operator.get_by_role("link", name="Please help me past this page").first.click()
    await operator.get_by_role("button", name="Take control").click()
    await expect(operator.get_by_text(HELD).first).to_be_visible()
    held_from = time.time()
    await click_remote(operator, *FIELD)
    await type_remote(operator, captcha.captcha_answer())
    await operator.keyboard.press("Enter")
    await expect(operator.get_by_text("?ok").or_(operator.locator("[data-met=true]")).first).to_be_visible(
        timeout=20_000
    )
    await asyncio.sleep(1)
    held_until = time.time()
    await operator.get_by_role("button", name="Done").click()

    result = await agent.line()
    await other.tell("stop")
    puppet = await other.line()
    after = await agent.line()
    assert (result["outcome"], result["verified"]) == ("resolved", True)
    assert [t for t in [*result["answered"], *puppet["answered"]] if held_from < t < held_until] == []
    assert result["refused"] > 10
    assert puppet["refused"] > 10
    assert "has control" in result["refusal"]
    assert any("/* agent-" in message for at, message in written(notes) if at < held_from)
    during = [m for at, m in written(notes) if held_from < at < held_until and "/* agent-" in m]
    assert during == []
    counted = [int(at) / 1000 for at in after["acted"].split()]
    assert len(counted) > 2
    assert [at for at in counted if held_from < at < held_until] == []
    assert "Correct answer" in after["body"]
    assert after["url"].startswith(captcha.url)
    assert_diff(result["diff"], result["text"], captcha)


def assert_diff(diff: dict[str, Any], text: str, captcha: Site) -> None:
    """The diff says that the CAPTCHA was passed, and the text leads with it."""
    added = {(e["role"], e["name"]) for e in diff["elements"]["added"]}
    assert any("Correct answer" in name for _, name in added), added
    assert captcha.url in json.dumps(diff)
    assert "Correct answer" in text
    assert len(text) <= 6000
