"""What the gate costs an agent: each sample is paired with one past the gate, on the same Chromium.

A real server with its journal and a real sandbox, whose Chromium also opens a debugging port (by a program that stands
in its place; Baton's own never does). One client goes through server, keeper and gate, the other straight to that port,
in turns, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Page, async_playwright
from websockets.asyncio.client import ClientConnection, connect

from agent_bridge.client import AsyncClient
from bench.figures import Figure
from bench.server import command, serve
from web.demo.sites import free_port

STEPS = 1000
FORM = (
    "<title>steps</title><button onclick='n.value=+n.value+1'>Press</button><input id=n value=0><input id=t>"
    "<p id=p>Text"
)
NOISE = """new Promise(done => {
  const canvas = document.createElement('canvas');
  canvas.width = 1640; canvas.height = 1600;
  const draw = canvas.getContext('2d'), image = draw.createImageData(canvas.width, canvas.height);
  const words = new Uint32Array(image.data.buffer);
  let seed = 1;
  for (let i = 0; i < words.length; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    words[i] = (seed >>> 4) | 0xff000000;
  }
  draw.putImageData(image, 0, 0);
  document.body.replaceChildren(canvas);
  requestAnimationFrame(() => requestAnimationFrame(() => done(true)));
})"""


@dataclass(frozen=True, slots=True)
class Ways:
    """Two CDP addresses of one browser: through the gate and past it."""

    gate: str
    direct: str


@asynccontextmanager
async def two_ways() -> AsyncIterator[Ways]:
    """Start server and sandbox, and yield both addresses."""
    state = Path(tempfile.mkdtemp(prefix="bench-gate-"))
    state.chmod(0o711)
    port, devtools = free_port(), free_port()
    program = Path(tempfile.mkdtemp(prefix="bench-chromium-")) / "chromium"
    program.parent.chmod(0o755)
    flags = f"--remote-debugging-port={devtools} --remote-allow-origins='*'"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("chromium")} {flags} "$@"\n')
    program.chmod(0o755)
    server = await serve(state, port, {"BATON_CHROMIUM": str(program)})
    try:
        token = await command(state, port, "token", "create", "--role", "agent")
        async with AsyncClient(url=f"http://127.0.0.1:{port}", token=token) as client:
            sandbox = await client.open()
            async with httpx.AsyncClient() as http:
                version = (await http.get(f"http://127.0.0.1:{devtools}/json/version")).json()
            yield Ways(sandbox.cdp_url, version["webSocketDebuggerUrl"])
            await client.close(sandbox.id)
    finally:
        server.terminate()
        await server.wait()
        shutil.rmtree(state, ignore_errors=True)
        shutil.rmtree(program.parent, ignore_errors=True)


class Plain:
    """A CDP client that asks one thing after another."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.session: str | None = None

    @classmethod
    @asynccontextmanager
    async def on_page(cls, url: str) -> AsyncIterator[Plain]:
        """Connect and attach to the first page."""
        async with connect(url, compression=None, max_size=None, proxy=None) as socket:
            client = cls(socket)
            infos = (await client.call("Target.getTargets"))["targetInfos"]
            target = next(info["targetId"] for info in infos if info["type"] == "page")
            client.session = (await client.call("Target.attachToTarget", {"targetId": target, "flatten": True}))[
                "sessionId"
            ]
            yield client

    async def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one command and return its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        await self._socket.send(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            reply = await self._socket.recv()
            # Events and large replies are told apart without reading them whole.
            head = reply[:40] if isinstance(reply, str) else reply[:40].decode()
            if head.startswith(f'{{"id":{number},'):
                break
        if len(reply) > 100_000:
            return {"size": len(reply)}
        answer = json.loads(reply)
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        result: dict[str, Any] = answer["result"]
        return result


async def _timed(work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


async def _pairs(
    rounds: int, gated: Callable[[], Awaitable[Any]], direct: Callable[[], Awaitable[Any]]
) -> tuple[list[float], list[float]]:
    """Time both ways `rounds` times in turns, each first as often as the other; returns two lists of milliseconds."""
    through: list[float] = []
    past: list[float] = []
    for number in range(rounds):
        order = ((through, gated), (past, direct))
        for samples, work in order if number % 2 else reversed(order):
            samples.append(await _timed(work()))
    return through, past


async def _commands(ways: Ways, rounds: int) -> Figure:
    async with Plain.on_page(ways.gate) as gate, Plain.on_page(ways.direct) as direct:
        one = {"expression": "1"}
        for client in (gate, direct) * 50:
            await client.call("Runtime.evaluate", one)
        through, past = await _pairs(
            rounds, lambda: gate.call("Runtime.evaluate", one), lambda: direct.call("Runtime.evaluate", one)
        )
    for name, samples in (("through the gate", through), ("past it", past)):
        cuts = statistics.quantiles(samples, n=20)
        print(f"  one command {name:18} p50 {statistics.median(samples):.3f} ms   p95 {cuts[-1]:.3f} ms")
    return Figure("gate_command_p50_added", statistics.median(through) - statistics.median(past), "ms", rounds)


async def _script(page: Page) -> None:
    """A script of `STEPS` steps, as agents write them: look, press, fill, read."""
    await page.set_content(FORM)
    for step in range(STEPS // 4):
        await page.locator("button").click()
        await page.locator("#t").fill(f"step {step}")
        await page.locator("#p").inner_text()
        await page.evaluate("document.title")


async def _scripts(ways: Ways, rounds: int) -> Figure:
    async with async_playwright() as playwright:
        pages = []
        for address in (ways.gate, ways.direct):
            browser = await playwright.chromium.connect_over_cdp(address)
            # A tab each, both made the same way: what is in front paints, so each is brought there before its turn.
            pages.append(await browser.contexts[0].new_page())
        through: list[float] = []
        past: list[float] = []
        for number in range(rounds + 1):
            pair = ((through, pages[0]), (past, pages[1]))
            for samples, page in pair if number % 2 else reversed(pair):
                await page.bring_to_front()
                taken = await _timed(_script(page))
                if number:  # the first pair warms up
                    samples.append(taken)
    return _ratio("gate_script_ratio", f"{STEPS} steps of Playwright", through, past)


async def _screenshots(ways: Ways, rounds: int) -> Figure:
    async with Plain.on_page(ways.gate) as gate, Plain.on_page(ways.direct) as direct:
        await gate.call("Page.bringToFront")
        await gate.call("Runtime.evaluate", {"expression": NOISE, "awaitPromise": True})
        shot = {
            "format": "png", "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": 1640, "height": 1600, "scale": 1},
        }  # fmt: skip
        size = (await gate.call("Page.captureScreenshot", shot))["size"]
        through, past = await _pairs(
            rounds,
            lambda: gate.call("Page.captureScreenshot", shot),
            lambda: direct.call("Page.captureScreenshot", shot),
        )
    if size < 10_000_000:
        raise RuntimeError(f"the screenshot has {size} bytes; the figure is about 10 MB")
    return _ratio("gate_screenshot_ratio", f"a screenshot of {size / 1e6:.1f} MB", through, past)


def _ratio(name: str, what: str, through: list[float], past: list[float]) -> Figure:
    ratios = sorted(a / b for a, b in zip(through, past, strict=True))
    print(
        f"  {what}: {statistics.median(through):.0f} ms through the gate, {statistics.median(past):.0f} ms past it; "
        f"pairs {ratios[0]:.3f} to {ratios[-1]:.3f}"
    )
    return Figure(name, statistics.median(ratios), "ratio", len(ratios))


async def measure(commands: int = 2000, scripts: int = 7, screenshots: int = 15) -> list[Figure]:
    """Measure a command, a script and a screenshot, each in pairs with and without the gate."""
    async with two_ways() as ways:
        return [
            await _commands(ways, commands),
            await _scripts(ways, scripts),
            await _screenshots(ways, screenshots),
        ]
