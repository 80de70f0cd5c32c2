"""For the ruler's `--prepare`: opens the live view by the way that `BENCH_WAY` names, `socket` or `datagrams`."""

from __future__ import annotations

import os

from playwright.async_api import Page


async def prepare(page: Page) -> None:
    """Follow the one-use link to its live view, then open that again by the way to be measured."""
    await page.wait_for_url("**/sandboxes/*")
    separator = "&" if "?" in page.url else "?"
    await page.goto(f"{page.url}{separator}way={os.environ['BENCH_WAY']}")
