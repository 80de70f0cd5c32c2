"""An agent that asks for a human and, while it waits, keeps trying to act and to read.

Usage: agent_hammer.py URL KIND CONDITION.
Prints one JSON object a line: the sandbox, then the moment of asking, then what came back and what it could still do.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from playwright.async_api import Error, Page, async_playwright

from agent_bridge.client import AsyncClient, request_handoff

ACT = "sessionStorage.acted = (sessionStorage.acted || '') + Date.now() + ' ' /* agent-was-here */"
READ = "document.title /* agent-looked-here */"


def say(**fields: Any) -> None:
    """Print one line for the test."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def hammer(page: Page, stop: asyncio.Event, answered: list[float], refused: list[str]) -> None:
    """Send acts and reads as fast as they are answered, noting which got through and when."""
    while not stop.is_set():
        for expression in (ACT, READ):
            try:
                await page.evaluate(expression)
                answered.append(time.time())
            except Error as error:
                refused.append(str(error))
        await asyncio.sleep(0.005)


async def main(url: str, kind: str, condition: str) -> None:
    """Run the whole story once."""
    async with AsyncClient() as client, async_playwright() as playwright:
        sandbox = await client.open(url=url)
        browser = await playwright.chromium.connect_over_cdp(sandbox.cdp_url)
        page = browser.contexts[0].pages[0]
        await page.goto(url)
        await page.evaluate(ACT)
        say(event="open", sandbox=sandbox.id, cdp_url=sandbox.cdp_url)
        await asyncio.to_thread(sys.stdin.readline)
        stop, answered, refused = asyncio.Event(), list[float](), list[str]()
        asking = asyncio.create_task(
            request_handoff(
                page, kind, "Please help me past this page.", condition=json.loads(condition), client=client
            )
        )
        await asyncio.sleep(0.5)
        hammering = asyncio.create_task(hammer(page, stop, answered, refused))
        say(event="asked")
        result = await asking
        returned = time.time()
        stop.set()
        await hammering
        say(
            event="result", outcome=result.outcome, note=result.note, diff=result.diff, text=result.text,
            verified=result.verification.verified, answered=answered, returned=returned, refused=len(refused),
            refusal=refused[0] if refused else "",
        )  # fmt: skip
        page = browser.contexts[0].pages[0]
        body = await page.locator("body").inner_text()
        say(event="after", url=page.url, body=body, acted=await page.evaluate("sessionStorage.acted"))
        await asyncio.to_thread(sys.stdin.readline)
        await browser.close()
        await client.close(sandbox.id)


asyncio.run(main(*sys.argv[1:4]))
