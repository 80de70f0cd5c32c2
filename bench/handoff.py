"""What a handoff costs in time, from the agent's and the operator's chairs: `make bench-handoff`.

A real server, a sandbox, an agent (Playwright through the gate) and an operator's Chromium with the console open, on
one machine and one clock. Each round: the agent calls `request_handoff()`; the queue page shows it (seen by an observer
in that page); the operator presses Take control and keeps clicking into the picture until the remote page has counted
a click; presses Done; the agent's call returns and its next command is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from agent_bridge.client import AsyncClient, request_handoff
from bench.figures import Figure, judge, percentile
from bench.server import command, serve
from web.demo.sites import free_port

PAGE = (
    "<title>bench</title><body style='margin:0;height:100vh;background:white'>"
    "<script>addEventListener('pointerdown',()=>{window.first=window.first||Date.now()})</script>"
)
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
OBSERVE = """wanted => new Promise(done => {
  const watch = new MutationObserver(() => {
    if (!document.body.innerText.includes(wanted)) return;
    watch.disconnect();
    done(performance.timeOrigin + performance.now());
  });
  watch.observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
})"""


async def round_trip(
    agent: Page, queue: Page, live: Page, client: AsyncClient, number: int
) -> tuple[float, float, float]:
    """Do one handoff. Returns (call to queue, take to first input, done to resumed) in milliseconds."""
    ask = f"Round {number:03d} of the bench"
    await agent.evaluate("window.first = 0")
    seen = asyncio.create_task(queue.evaluate(OBSERVE, ask))
    await asyncio.sleep(0.1)
    called = time.time() * 1000
    waiting = asyncio.create_task(request_handoff(agent, "approval", ask, client=client))
    shown = await seen
    await live.get_by_text(ask).first.wait_for()
    take = live.get_by_role("button", name="Take control")
    await take.wait_for()
    box = await live.locator("canvas[data-screen]").first.bounding_box()
    assert box is not None
    taken = time.time() * 1000
    await take.click()
    stop = asyncio.Event()
    clicking = asyncio.create_task(click_until(live, box, stop))
    done_button = live.get_by_role("button", name="Done")
    await done_button.wait_for()
    await asyncio.sleep(0.5)
    stop.set()
    await clicking
    pressed = time.time() * 1000
    await done_button.click()
    await waiting
    first = await agent.evaluate("window.first")
    resumed = time.time() * 1000
    if not first:
        raise SystemExit("bench: no input was accepted")
    return shown - called, first - taken, resumed - pressed


async def click_until(live: Page, box: Any, stop: asyncio.Event) -> None:
    """Click into the picture every 20 ms, as an impatient operator."""
    while not stop.is_set():
        await live.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await asyncio.sleep(0.02)


async def measure(rounds: int, chromium: Browser, state: Path, port: int) -> list[tuple[float, float, float]]:
    """Run all rounds on one sandbox."""
    token = await command(state, port, "token", "create", "--role", "agent")
    context = await chromium.new_context(viewport={"width": 1440, "height": 900})
    queue = await context.new_page()
    await queue.goto(await command(state, port, "link"))
    await queue.wait_for_url(f"http://127.0.0.1:{port}/")
    samples = []
    async with AsyncClient(url=f"http://127.0.0.1:{port}", token=token) as client, async_playwright() as playwright:
        sandbox = await client.open()
        browser = await playwright.chromium.connect_over_cdp(sandbox.cdp_url)
        agent = browser.contexts[0].pages[0]
        await agent.set_content(PAGE)
        live = await context.new_page()
        await live.goto(f"http://127.0.0.1:{port}/sandboxes/{sandbox.id}")
        for number in range(rounds + 2):
            sample = await round_trip(agent, queue, live, client, number)
            if number >= 2:  # the first rounds warm caches up
                samples.append(sample)
        await browser.close()
        await client.close(sandbox.id)
    return samples


async def main(rounds: int) -> int:
    """Measure, judge, clean up. Returns the exit status."""
    state, port = Path(tempfile.mkdtemp(prefix="baton-bench-")), free_port()
    server = await serve(state, port)
    try:
        async with async_playwright() as playwright:
            chromium = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=QUIET, chromium_sandbox=False
            )
            samples = await measure(rounds, chromium, state, port)
    finally:
        server.terminate()
        await server.wait()
        shutil.rmtree(state, ignore_errors=True)
    names = ("call_to_queue", "take_to_first_input", "done_to_resumed")
    print(f"{rounds} handoffs on an otherwise idle machine, one clock, milliseconds:")
    figures = []
    for name, column in zip(names, zip(*samples, strict=True), strict=True):
        p50, p95 = percentile(column, 0.5), percentile(column, 0.95)
        print(f"  {name:22} p50 {p50:7.1f}   p95 {p95:7.1f}   max {max(column):7.1f}")
        figures.append(Figure(f"{name}_p95", p95, "ms", len(column)))
    return judge("handoff", figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=60, help="rounds that count")
    raise SystemExit(asyncio.run(main(parser.parse_args().n)))
