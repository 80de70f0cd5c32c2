"""The demo's agent: a plain Playwright script in a process of its own that knows two sites and cannot pass their doors.

`python -m web.demo.agent CAPTCHA_URL WAGTAIL_URL`, with BATON_URL and BATON_TOKEN in the environment. It is what an
agent developer would write: open a sandbox, connect Playwright, work, and call `request_handoff` when stuck.
"""

from __future__ import annotations

import asyncio
import sys

from playwright.async_api import Page, async_playwright

from agent_bridge.client import AsyncClient, HandoffResult, request_handoff
from web.demo.sites import PASSWORD, USER


def say(sentence: str) -> None:
    """Print one line of what the agent thinks it is doing."""
    print(f"  agent │ {sentence}", flush=True)


def report(result: HandoffResult) -> None:
    """Print what came back from the human."""
    say(f"a human answered after {result.waited_s:.0f} s and drove for {result.duration_s:.0f} s: {result.outcome}")
    if result.note:
        say(f"their note: {result.note}")
    for line in result.text.splitlines()[:12]:
        say(f"  {line}")


async def pass_captcha(page: Page, url: str) -> bool:
    """Get past the CAPTCHA, with a human's help. Returns whether it worked."""
    say("opening the registration form")
    await page.goto(url)
    while await page.locator("img.captcha").count() and "ok" not in page.url:
        say("there is a CAPTCHA. I cannot read it, so I ask for a human")
        result = await request_handoff(
            page, "captcha", "Type the letters you see in the picture into the field, then press Submit.",
            condition={"url": "*?ok*"},
        )  # fmt: skip
        report(result)
        if result.outcome != "resolved":
            return False
        page = page.context.pages[0]
    say(f"through. The page now says: {await page.locator('p.ok').inner_text()}")
    return True


async def publish(page: Page, url: str) -> bool:
    """Rename the site's home page, after a human has signed in. Returns whether it worked."""
    say("opening the editor to change the home page's title")
    await page.goto(f"{url}/admin/pages/3/edit/")
    if await page.locator("input[type=password]").count():
        say("it wants a password, which I do not have and should not see. I ask for a human")
        result = await request_handoff(
            page, "credentials",
            f"Sign in to the editor. This demo's account is “{USER}” with the password “{PASSWORD}”.",
            condition={"selector": "input[type=password]", "state": "gone"},
        )  # fmt: skip
        report(result)
        if result.outcome != "resolved":
            return False
    await page.locator("#id_title").fill("Handed over and back")
    await page.locator("button[name=action-publish]").first.dispatch_event("click")
    await page.wait_for_load_state()
    say(f"published. The site's home page now reads: {await read_title(page, url)}")
    return True


async def read_title(page: Page, url: str) -> str:
    """Return the title of the public home page."""
    await page.goto(url + "/")
    return await page.title()


async def main(captcha_url: str, wagtail_url: str) -> int:
    """Do the whole task once. Returns the exit status."""
    async with AsyncClient() as client, async_playwright() as playwright:
        sandbox = await client.open(url=captcha_url, name="demo")
        browser = await playwright.chromium.connect_over_cdp(sandbox.cdp_url)
        page = browser.contexts[0].pages[0]
        done = await pass_captcha(page, captcha_url) and await publish(page, wagtail_url)
        say("my task is done. Thank you." if done else "I stop here, because nobody could help.")
        await browser.close()
        await client.close(sandbox.id)
    return 0 if done else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(*sys.argv[1:3])))
