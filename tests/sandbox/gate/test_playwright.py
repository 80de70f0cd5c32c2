"""An unmodified Playwright script works through the gate, stops while a human drives, and goes on afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import Error, async_playwright

if TYPE_CHECKING:
    from conftest import Rig, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_works_stops_and_goes_on(rig: Rig, site: Site) -> None:
    """A page of Playwright's is driven, refused while Ann drives, and driven again after the return."""
    async with async_playwright() as pw:
        browser = await pw.chromium.connect_over_cdp(rig.url)
        page = browser.contexts[0].pages[0]
        await page.get_by_role("button", name="Press").click()
        assert await page.evaluate("acts") == 1

        await rig.shut()
        with pytest.raises(Error):
            await page.evaluate("acts = 100")
        with pytest.raises(Error):
            await page.get_by_role("button", name="Press").click(timeout=300)
        assert await rig.js("acts") == 1

        await rig.open()
        await page.get_by_role("button", name="Press").click()
        assert await page.evaluate("acts") == 2
        await browser.close()
