"""Pages nobody has seen before: what a kept picture cannot help with; prints one JSON line.

    python -m bench.stream.cold URL SELECTOR -n N

The ruler's page scene goes back and forth between two pages, and a stream that remembers pictures gets the second
visit for nearly nothing. Here the remote browser shows bench/pages/cold.html, where each click brings a new page. Time
from the click until a part of it (480x320, text and a picture) reads 30 dB, 45 dB and is exact as displayed, against
the same page drawn locally, and kilobytes down for each page. For any console that is a web page, as the ruler.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, Playwright, async_playwright

from bench.stream.chair import CHROMIUM, SIZE

PAGE: Final = Path(__file__).resolve().parents[1] / "pages" / "cold.html"
PATIENCE_S: Final = 6.0

PROBE: Final = Path(__file__).with_name("cold.js").read_text()


async def truths(playwright: Playwright, count: int) -> list[str]:
    """Return the first `count` new pages as PNG data URLs, as a headed Chromium draws them on a display of its own."""
    read, write = os.pipe()
    display = subprocess.Popen(  # noqa: ASYNC220 - nothing else happens meanwhile
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x720x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as answer:
        name = f":{answer.readline().strip()}"
    with tempfile.TemporaryDirectory() as profile:
        try:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=shutil.which("chromium"), headless=False, no_viewport=True,
                chromium_sandbox=False, env={**os.environ, "DISPLAY": name},
                args=["--window-size=1280,720", "--window-position=0,0", "--kiosk", "--disable-gpu", "--test-type",
                      "--disable-lcd-text", *CHROMIUM],
            )  # fmt: skip
            page = context.pages[0]
            await page.goto(PAGE.as_uri())
            await page.mouse.move(1270, 712)
            shots = []
            for _ in range(count):
                await page.mouse.down()
                await page.mouse.up()
                await page.wait_for_timeout(250)
                shots.append("data:image/png;base64," + base64.b64encode(await page.screenshot()).decode())
            await context.close()
            return shots
        finally:
            display.kill()
            display.wait()


def bytes_down() -> int:
    """Return the bytes that netlab.py carried down so far, or 0 outside it."""
    path = os.environ.get("NETLAB_SOCKET")
    if not path:
        return 0
    with socket.socket(socket.AF_UNIX) as plug:
        plug.connect(path)
        return int(json.loads(plug.makefile().readline())["down"]["bytes"])


def summary(results: Sequence[dict[str, float]], kilobytes: float) -> dict[str, Any]:
    """Return the medians of what the pages gave; `never_*` counts pages that never got there."""

    def middle(key: str) -> float | None:
        there = [result[key] for result in results if key in result]
        return round(statistics.median(there), 1) if there else None

    return {
        "measure": "cold", "n": len(results), "readable_ms": middle("readable"), "sharp_ms": middle("sharp"),
        "exact_ms": middle("exact"), "never_sharp": sum("sharp" not in r for r in results),
        "never_exact": sum("exact" not in r for r in results), "whole_exact": middle("whole_exact"),
        "kilobytes": round(kilobytes, 1),
    }  # fmt: skip


async def measure(page: Page, pages: Sequence[str]) -> dict[str, Any]:
    """Click through the pages."""
    results, carried = [], 0
    for shot in pages:
        await page.evaluate("url => __cold.take(url)", shot)
        await page.mouse.move(*await page.evaluate("__cold.at(1270, 712)"))
        await asyncio.sleep(1)
        await page.evaluate("__cold.arm()")
        before = bytes_down()
        await page.mouse.down()
        await asyncio.sleep(0.03)
        await page.mouse.up()
        result, end = None, time.monotonic() + PATIENCE_S
        while result is None and time.monotonic() < end:
            await asyncio.sleep(0.05)
            result = await page.evaluate("__cold.result")
        await asyncio.sleep(0.5)
        carried += bytes_down() - before
        whole = await page.evaluate("__cold.whole()")
        results.append({**(result or {}), "whole_exact": round(whole["exact"], 4)})
    return summary(results, carried / 1e3 / len(pages))


async def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("selector")
    parser.add_argument("-n", type=int, default=12)
    told = parser.parse_args(given)
    origin = "/".join(told.url.split("/")[:3])
    async with async_playwright() as playwright:
        pages = await truths(playwright, told.n)
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), chromium_sandbox=False,
            args=[*CHROMIUM, f"--unsafely-treat-insecure-origin-as-secure={origin}"],
        )  # fmt: skip
        page = await browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        await page.goto(told.url)
        end = time.monotonic() + 30
        while not await _ready(page, told.selector):
            if time.monotonic() > end:
                raise SystemExit(f"cold: nothing to see in {told.selector!r} at {told.url} after 30 s")
            await asyncio.sleep(0.2)
        await asyncio.sleep(3)
        print(json.dumps(await measure(page, pages)), flush=True)
        await browser.close()


async def _ready(page: Page, selector: str) -> bool:
    try:
        await page.evaluate(PROBE, selector)
        return bool(await page.evaluate("__cold.ready()"))
    except Exception:  # noqa: BLE001 - the page is still on its way to the live view
        return False


if __name__ == "__main__":
    asyncio.run(main())
