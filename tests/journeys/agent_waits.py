"""An agent that opens a sandbox, leaves a mark in its page, and asks for a human each time it is told to.

Usage: agent_waits.py URL. A line on standard input is the request: `{"kind": …, "condition": …, "timeout_s": …}`;
`"look"` in place of it makes it connect again, as an agent does whose CDP socket was cut, and say what it finds.
Prints one JSON object a line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from playwright.async_api import async_playwright

from agent_bridge.client import AsyncClient, request_handoff

LOOK = "[window.mark, performance.timeOrigin, location.href, document.body.innerText]"


def say(**fields: Any) -> None:
    """Print one line for the test."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def main(url: str) -> None:
    """Open, then do as told until the input ends."""
    async with AsyncClient() as client, async_playwright() as playwright:
        sandbox = await client.open(url=url)

        async def look(*, leave_mark: bool = False) -> None:
            browser = await playwright.chromium.connect_over_cdp(sandbox.cdp_url)
            page = browser.contexts[0].pages[0]
            session = await page.context.new_cdp_session(page)
            target = (await session.send("Target.getTargetInfo"))["targetInfo"]["targetId"]
            if leave_mark:
                await page.evaluate("() => { window.mark = 'left by the agent' }")
            mark, since, at, text = await page.evaluate(LOOK)
            # Closed before it is said: the test may hold the keeper still from then on, and it holds the socket's end.
            await browser.close()
            say(event="page", sandbox=sandbox.id, target=target, mark=mark, since=since, url=at, text=text)

        await look(leave_mark=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            told = json.loads(line)
            if told == "look":
                await look()
                continue
            result = await request_handoff(sandbox, instructions="Please help.", **told)
            say(
                event="result", handoff=result.handoff, outcome=result.outcome, note=result.note,
                verified=result.verification.verified, text=result.text, operator=result.operator,
            )  # fmt: skip


asyncio.run(main(sys.argv[1]))
