"""Unmodified Node clients: puppeteer and Playwright work, stop, go on, and ask for a human over CDP."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.words import HandoffId

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig, Site

HERE = Path(__file__).parent / "node"
ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        shutil.which("node") is None or not (ROOT / "node_modules").is_dir(),
        reason="Node or its packages are missing: npm ci",
    ),
]


class Script:
    """A running Node script that reports its steps."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def step(self, name: str, answer: Any = True, meanwhile: Any = None) -> Any:
        """Wait for the script to reach a step, do something, let it go on; returns what it reported."""
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 20)
        assert line, "the script ended"
        told = json.loads(line)
        assert told["step"] == name, told
        if meanwhile is not None:
            await meanwhile(told["value"])
        self.process.stdin.write(json.dumps(answer).encode() + b"\n")
        await self.process.stdin.drain()
        return told["value"]


@asynccontextmanager
async def running(script: str, url: str) -> AsyncIterator[Script]:
    """Run one of the scripts against the gate."""
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / script), url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        yield Script(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("script", ["puppeteer.mjs", "playwright.mjs"])
async def test_works_stops_goes_on_and_asks(rig: Rig, site: Site, script: str) -> None:  # noqa: PLR0915 - one story
    """A Node script acts, is refused without a byte on the pipe, survives what a human does, and asks for one."""
    async with running(script, rig.url) as node:
        reads = 0

        async def take(_value: Any) -> None:
            nonlocal reads
            await rig.shut()
            reads = await rig.js("reads")
            rig.written.clear()

        assert (await node.step("pressed", meanwhile=take))["acts"] == 1
        refused = await node.step("refused")
        assert all("Ann has control of this sandbox since 00:16:40 UTC" in (message or "") for message in refused), (
            refused
        )
        assert rig.written == []
        assert await rig.js("[acts, reads].join()") == f"1,{reads}"

        async def navigate(_value: Any) -> None:
            await rig.goto(site.other + "/two")
            await rig.open()

        async def redirect(_value: Any) -> None:
            await rig.shut()
            await rig.goto(site.here + "/away")
            await rig.open()

        async def popup_and_reload(_value: Any) -> None:
            await rig.shut()
            await rig.js("void window.open('/closes')")
            await asyncio.sleep(0.3)
            await rig.pages.call(rig.pages.all[0], "Page.reload")
            await rig.goto(site.here + "/", rig.pages.all[0])
            await rig.open()

        async def frames(_value: Any) -> None:
            await rig.shut()
            await rig.js(
                f"new Promise(done => {{ const f = document.createElement('iframe'); f.onload = done;"
                f" f.src = '{site.other}/two'; document.body.append(f) }}).then(() => 1)"
            )
            await rig.js("history.pushState({}, '', '/pushed')")
            await rig.open()

        await node.step("next", meanwhile=navigate)
        assert await node.step("pressed", meanwhile=redirect) == {"title": "Two", "url": f"{site.other}/two", "acts": 1}
        assert await node.step("pressed", meanwhile=popup_and_reload) == {
            "title": "Two",
            "url": f"{site.here}/two",
            "acts": 1,
        }
        assert await node.step("pressed", meanwhile=frames) == {"title": "One", "url": f"{site.here}/", "acts": 1}
        assert (await node.step("pressed", answer=False))["acts"] == 2

        async def complete(handoff: Any) -> None:
            await rig.shut()
            await rig.goto(site.here + "/two")
            await rig.open()
            await rig.gate.completed(HandoffId(handoff["handoffId"]), {"outcome": "resolved", "note": "done"})

        assert (await node.step("asked", meanwhile=complete))["state"] == "waiting"
        assert rig.authority.asks[0].url == f"{site.here}/pushed"
        assert rig.authority.asks[0].target == rig.pages.all[0].target
        assert await node.step("completed") == {"handoffId": "ho_0", "outcome": "resolved", "note": "done"}
        assert await node.step("pages") == [f"{site.here}/two"]
        assert await node.step("pdf") > 1000
        assert await node.step("closed") is None
        assert await asyncio.wait_for(node.process.wait(), 10) == 0
    assert await rig.js("acts") == 0
