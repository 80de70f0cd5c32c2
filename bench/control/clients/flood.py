"""An ordinary Playwright script that acts and reads without waiting for answers, as flood.mjs does.

Usage: flood.py CDP_URL COMMANDS_PER_SECOND. Ends with a line on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from playwright.async_api import CDPSession, Error, Page, async_playwright

ACT, READ = "act()/*act of the agent*/", "probe/*read of the agent*/"
BATCH_S = 0.008


class Told:
    """What was sent (milliseconds since 1970) and what was answered."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.answered = self.refused = self.while_human = 0

    def note(self, human: Any) -> None:
        """An answer came."""
        self.answered += 1
        self.while_human += bool(human)


async def by_page(page: Page, expression: str, told: Told) -> None:
    """Evaluate as a script does."""
    try:
        told.note(await page.evaluate(expression))
    except Error:
        told.refused += 1


async def by_session(session: CDPSession, expression: str, told: Told) -> None:
    """Evaluate by a raw command."""
    try:
        reply = await session.send("Runtime.evaluate", {"expression": expression, "returnByValue": True})
    except Error:
        told.refused += 1
        return
    if "exceptionDetails" in reply:
        told.refused += 1
    else:
        told.note(reply["result"].get("value"))


async def main(url: str, rate: float) -> None:
    """Flood until told to stop."""
    told = Told()
    async with async_playwright() as playwright:
        context = (await playwright.chromium.connect_over_cdp(url)).contexts[0]
        page = context.pages[0]
        session = await context.new_cdp_session(page)
        stop = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        print("ready", flush=True)
        running: set[asyncio.Task[None]] = set()
        began, count = time.monotonic(), 0
        while not stop.done():
            while count < (time.monotonic() - began) * rate:
                told.sent.append(time.time() * 1000)
                expression = READ if count & 2 else ACT
                # Twice the raw way for each of Playwright's own: its evaluate costs Python a millisecond.
                work = by_page(page, expression, told) if count % 3 == 0 else by_session(session, expression, told)
                task = asyncio.ensure_future(work)
                running.add(task)
                task.add_done_callback(running.discard)
                count += 1
            await asyncio.sleep(BATCH_S)
        await asyncio.wait(running, timeout=1) if running else None
        print(json.dumps(vars(told)), flush=True)


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
