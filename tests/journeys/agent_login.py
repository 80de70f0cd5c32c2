"""An agent at a login: it asks for a human, and goes on with the same page once somebody is signed in.

Usage: agent_login.py URL CDP_URL. Prints one JSON object a line: that it is there, the result, what it did after.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from playwright.async_api import async_playwright

from agent_bridge.client import request_handoff


def say(**fields: Any) -> None:
    """Print one line for the test."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def main(url: str, cdp_url: str) -> None:
    """Run the whole story once."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(cdp_url)
        page = browser.contexts[0].pages[0]
        await page.goto(url)
        popups: list[str] = []
        page.on("popup", lambda popup: popups.append(popup.url))
        say(event="here", title=await page.title())
        result = await request_handoff(page, "credentials", "Please sign in.", condition={"url": "*/account"})
        say(
            event="result", outcome=result.outcome, verified=result.verification.verified, text=result.text,
            diff=result.diff, exposure=result.exposure, notes=result.notes, unknown=result.unknown, note=result.note,
            images={name: len(jpeg) for name, jpeg in (await result.images_async()).items()},
        )  # fmt: skip
        heading = await page.get_by_role("heading").inner_text()
        await page.get_by_role("button", name="Orders").click()
        await page.get_by_role("heading", name="No orders yet").wait_for()
        await page.reload()
        say(event="after", url=page.url, heading=heading, pages=len(browser.contexts[0].pages), popups=popups)
        await browser.close()


asyncio.run(main(*sys.argv[1:3]))
