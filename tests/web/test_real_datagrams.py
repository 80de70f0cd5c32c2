"""The whole way by datagrams: an operator's Chromium, server, keeper and sandbox, and a UDP cut while typing."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from agent_bridge.words import Role
from streaming.rtc.places import addresses_of
from streaming.rtc.settings import Places
from tests.streaming.rtc.network import Forwarder, forwarder
from tests.web.conftest import Served, quick, serving
from tests.web.test_real_keeper import KEEPER

pytestmark = [pytest.mark.full, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LIVE = """async id => {
  const { LiveScreen } = await import('/static/stream/live.js');
  const canvas = document.createElement('canvas');
  canvas.style.cssText = 'position:fixed;inset:0;width:640px;height:480px;z-index:99';
  document.body.replaceChildren(canvas);
  window.screen_ = new LiveScreen(canvas, { url: `/v1/sandboxes/${id}/live?way=datagrams` });
  const live = new Promise(done => screen_.addEventListener('state', e => { if (e.detail.state === 'live') done(); }));
  screen_.connect();
  await live;
}"""
TAKE = """async id => {
  const post = (what, body) => fetch(`/v1/sandboxes/${id}/control/${what}`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  }).then(answer => answer.status === 200 ? answer.json() : Promise.reject(new Error(`${what}: ${answer.status}`)));
  const { epoch } = await post('take', {});
  window.beat = () => post('heartbeat', { epoch });
  window.release = () => post('release', { epoch });
  screen_.drive(epoch);
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Served, Forwarder]]:
    """A real server whose datagrams pass through a forwarder and nowhere else."""
    async with forwarder() as passing:
        settings = quick(tmp_path_factory.mktemp("state"), rtc_host=(f"127.0.0.1:{passing.port}",))
        async with serving(settings, KEEPER) as server:
            await server.token("agent", Role.AGENT)
            datagrams = server.services.datagrams
            assert datagrams is not None
            await datagrams.ports.bind()
            own = next(address for address in addresses_of(Places()) if ":" not in address)
            passing.target = (own, datagrams.ports.number or 0)
            yield server, passing


async def test_a_cut_while_typing_loses_nothing(served: tuple[Served, Forwarder]) -> None:
    """Every key arrives once and in order, the lease lives on, and datagrams come back."""
    server, passing = served
    sandbox: dict[str, Any] = await server.open(width=640, height=480)
    path = shutil.which("chromium") or pytest.skip("Chromium is not installed")
    async with async_playwright() as playwright:
        agent = await playwright.chromium.connect_over_cdp(sandbox["cdp_url"])
        site = agent.contexts[0].pages[0]
        await site.set_content("<textarea autofocus style='position:fixed;inset:0;width:100%;height:100%'></textarea>")
        console = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = await console.new_page()
        _, link = await server.services.access.create_link()
        await page.goto(link)
        await page.wait_for_url(f"{server.url}/")
        await page.evaluate(LIVE, sandbox["id"])
        await page.evaluate(TAKE, sandbox["id"])
        await page.mouse.click(300, 200)
        await way(page, "datagrams")
        for n in range(60):
            if n == 20:
                passing.cut = True
                cut_at = time.monotonic()
            await page.keyboard.press("abcdefghij"[n % 10])
            await asyncio.sleep(0.02)
        await way(page, "socket")
        assert time.monotonic() - cut_at < 6
        await page.evaluate("beat()")
        passing.cut = False
        await way(page, "datagrams")
        await page.keyboard.press("z")
        await page.evaluate("beat()")
        await asyncio.sleep(0.5)
        await page.evaluate("release()")
        await site.wait_for_function("document.querySelector('textarea').value.endsWith('z')")

        assert await site.evaluate("document.querySelector('textarea').value") == "abcdefghij" * 6 + "z"
        await console.close()
        await agent.close()


async def way(page: Page, kind: str) -> None:
    """Wait until the console says that the server takes that way."""
    await page.wait_for_function("kind => screen_.stats.way === kind", arg=kind, timeout=15000)
