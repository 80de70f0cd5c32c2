"""Where the milliseconds of a click go, as far as it shows from outside: `python -m bench.stream.stages -n 40`.

An operator's Chromium before a Baton of its own, on two hosts without impairment, and a second client of the sandbox's
X server, which sees when the button goes down there and when the page has painted. All stamps are CLOCK_MONOTONIC; the
browser's clock is compared with it before each click, to half a round trip of that question (a fraction of a ms).

| stage | from | to |
|---|---|---|
| input | the event's time stamp in the operator's browser | the message is given to the socket or data channel |
| inject | | the X server has the button down (asked every 0.2 ms) |
| paint | | the first damage on the display: Chromium has handled the click and drawn |
| carry | | the first message with pictures after that arrives: grab, compare, encode, send |
| show | | the first animation frame in which the canvas has changed |
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import xcffib
import xcffib.damage
import xcffib.xproto
from playwright.async_api import Page

from bench.figures import percentile
from bench.stream import cpu
from bench.stream.chair import choose, press, seated, until
from bench.stream.extras import said_of
from bench.stream.lab import Lab, check_machine, rulers
from bench.stream.plan import LINKS

STAGES: Final = ("input", "inject", "paint", "carry", "show")
_LOOK_AGAIN_S: Final = 0.0002
_QUESTIONS: Final = 15


def stages(stamps: Mapping[str, Any]) -> dict[str, float] | None:
    """Split one click into stages, milliseconds; None when a stamp is missing. Stamps are one clock's milliseconds."""
    pressed, sent, down, drawn, flip = (stamps.get(key) for key in ("pressed", "sent", "down", "drawn", "flip"))
    if not (pressed and sent and down and drawn and flip):
        return None
    heard = next((at for at in stamps["heard"] if at >= drawn), None)
    if heard is None:
        return None
    marks = (pressed, sent, down, drawn, heard, flip)
    return {name: b - a for name, (a, b) in zip(STAGES, pairwise(marks), strict=True)}


class DisplayWatch:
    """Watches an X server from beside: `arm`, then `down` and `drawn` are stamped in CLOCK_MONOTONIC milliseconds."""

    def __init__(self, display: str, authority: str) -> None:
        os.environ["XAUTHORITY"] = authority
        self._connection = xcffib.connect(display)
        self._root = self._connection.get_setup().roots[0].root
        damage = self._connection(xcffib.damage.key)
        damage.QueryVersion(1, 1).reply()
        damage.CreateChecked(
            self._connection.generate_id(), self._root, xcffib.damage.ReportLevel.RawRectangles
        ).check()
        self._armed = threading.Event()
        self.down = self.drawn = 0.0
        threading.Thread(target=self._run, daemon=True).start()

    def arm(self) -> None:
        """Wait for the next press."""
        self.down = self.drawn = 0.0
        self._armed.set()

    def _run(self) -> None:
        core, pressed = self._connection.core, xcffib.xproto.KeyButMask.Button1
        while True:
            self._armed.wait()
            now = time.monotonic() * 1000
            painted = False
            while (event := self._connection.poll_for_event()) is not None:
                painted |= isinstance(event, xcffib.damage.NotifyEvent)
            if not self.down:
                if core.QueryPointer(self._root).reply().mask & pressed:
                    self.down = now
            elif painted:
                self.drawn = now
                self._armed.clear()
            time.sleep(_LOOK_AGAIN_S)


def display_of(state: str) -> tuple[str, str]:
    """Return (display, authority file) of the one sandbox of a server. Raises `LookupError`."""
    everyone = cpu.tasks()
    keepers = {one.pid for one in everyone if "keeper" in one.arguments and any(state in a for a in one.arguments)}
    for one in everyone:
        if one.name.startswith("Xvfb") and one.parent in keepers:
            return one.arguments[1], one.arguments[one.arguments.index("-auth") + 1]
    raise LookupError("no X server belongs to this sandbox")


async def offset(page: Page) -> float:
    """Return what to add to the browser's milliseconds to get CLOCK_MONOTONIC's; the quickest answer is believed."""
    best = (float("inf"), 0.0)
    for _ in range(_QUESTIONS):
        before = time.monotonic() * 1000
        there = await page.evaluate("performance.timeOrigin + performance.now()")
        after = time.monotonic() * 1000
        best = min(best, (after - before, (before + after) / 2 - there))
    return best[1]


async def clicks(link: str, n: int) -> AsyncIterator[dict[str, Any]]:
    """Click `n` times and yield each click's stages."""
    async with seated(link) as chair:
        page = await chair.sit(await chair.context())
        await choose(page, "flip")
        watch = DisplayWatch(*display_of(os.environ["BENCH_STATE"]))
        for _ in range(n):
            await asyncio.sleep(0.4)
            shift = await offset(page)
            await page.evaluate("__bench.watchFlip()")
            watch.arm()
            await press(page, 900, 500)
            await until(page, "__bench.flip")
            seen = await page.evaluate("({...__bench, hello: ''})")
            stamps = {key: seen[key] + shift for key in ("pressed", "sent", "flip")}
            stamps |= {"heard": [at + shift for at in seen["heard"]], "down": watch.down, "drawn": watch.drawn}
            yield {"measure": "stages", "stages": stages(stamps)}


def table(taken: Sequence[Mapping[str, float]]) -> str:
    """Write median and 95th percentile of each stage, and of the whole."""
    lines = [f"{len(taken)} clicks, milliseconds:"]
    for name in (*STAGES, "together"):
        values = [sum(one.values()) if name == "together" else one[name] for one in taken]
        lines.append(f"  {name:10} p50 {statistics.median(values):6.1f}   p95 {percentile(values, 0.95):6.1f}")
    return "\n".join(lines)


async def _client(link: str, n: int) -> None:
    async for line in clicks(link, n):
        print(json.dumps(line), flush=True)


def main() -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--live", metavar="LINK", help="be the operator's side (started by this program itself)")
    parser.add_argument("-n", type=int, default=40)
    told = parser.parse_args()
    if told.live:
        asyncio.run(_client(told.live, told.n))
        return 0
    check_machine()
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(rulers(), Path(directory) / "log")
        command = [sys.executable, "-m", "bench.stream.stages", "-n", str(told.n), "--live"]
        printed, error = lab.before_baton(
            LINKS[0], lab.rulers / "scenes.html", lambda url: [*command, url], limit_s=60 + 3 * told.n
        )
    taken = [line["stages"] for line in said_of(printed) if line["stages"]]
    print(table(taken) if taken else f"stages: nothing was measured; {error}")
    return 0 if taken else 1


if __name__ == "__main__":
    raise SystemExit(main())
