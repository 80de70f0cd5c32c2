"""The relays before a real keeper and a real browser: what CDP clients and viewers get through the server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from agent_bridge.words import Role
from tests.web.conftest import Served, quick, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

KEEPER = [sys.executable, "-m", "web.runtime", "keeper"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A server whose sandboxes are real."""
    async with serving(quick(tmp_path_factory.mktemp("state")), KEEPER) as served:
        await served.token("agent", Role.AGENT)
        await served.token("operator", Role.OPERATOR)
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(real: Served) -> AsyncIterator[dict[str, Any]]:
    """A sandbox with a browser in it."""
    yield await real.open(width=800, height=600)


@pytest.mark.parametrize("address", ["websocket", "http", "header"])
async def test_playwright_connects(real: Served, sandbox: dict[str, Any], address: str) -> None:
    """Playwright connects by WebSocket address, by HTTP address, and by header, and reads 20 MB through the relay."""
    plain = sandbox["cdp_url"].partition("?")[0]
    url, headers = {
        "websocket": (sandbox["cdp_url"], {}),
        "http": (sandbox["cdp_url"].replace("ws:", "http:"), {}),
        "header": (plain, real.bearer("agent")),
    }[address]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(url, headers=headers)
        page = browser.contexts[0].pages[0]

        assert await page.evaluate("6 * 7") == 42
        assert len(await page.evaluate("'x'.repeat(20_000_000)")) == 20_000_000
        await browser.close()


async def test_a_viewer_gets_the_stream(real: Served, sandbox: dict[str, Any]) -> None:
    """An operator's live socket carries the keeper's stream."""
    async with real.socket(f"/v1/sandboxes/{sandbox['id']}/live", "operator") as socket:
        assert await socket.recv()


async def test_the_thumbnail_is_a_picture(real: Served, sandbox: dict[str, Any]) -> None:
    """The queue's small picture is a JPEG."""
    answer = await real.call("GET", f"/v1/sandboxes/{sandbox['id']}/thumbnail.jpg?width=200", "operator")

    assert answer.status_code == 200
    assert answer.content.startswith(b"\xff\xd8\xff")
