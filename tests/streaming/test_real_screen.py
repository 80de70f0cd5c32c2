"""The stream of a real Chromium on a real X server."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from sandbox.browser import launch
from sandbox.display.x11 import X11Screen
from sandbox.display.xvfb import start_xvfb
from sandbox.fence import Fence
from sandbox.pages import Pages
from sandbox.screen import Picture, Size
from sandbox.words import Epoch, Holder, OperatorId, Side
from streaming.testing import Stage, WireViewer, psnr, staged, until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SIZE = Size(800, 600)
EXACT = 99.0
"""What `psnr` says of two pictures that do not differ."""
WORDS = [
    "agent",
    "handoff",
    "operator",
    "browser",
    "session",
    "control",
    "lease",
    "stream",
    "frame",
    "blocked",
    "waits",
    "until",
    "human",
    "returns",
]
ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")


class Sandbox:
    """A browser on a display, and a hub in front of it."""

    def __init__(self, pages: Pages, screen: X11Screen, stage: Stage) -> None:
        self.pages = pages
        self.screen = screen
        self.stage = stage

    async def run(self, script: str) -> Any:
        """Evaluate in the page."""
        page = self.pages.active
        assert page is not None
        reply = await self.pages.call(page, "Runtime.evaluate", {"expression": script, "returnByValue": True})
        return reply["result"].get("value")

    def display(self) -> Picture:
        """What the display shows, taken without the stream."""
        picture = np.empty((SIZE.height, SIZE.width, 4), np.uint8)
        self.screen.grab(picture)
        return picture


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    """One headed Chromium, held by Ann under epoch 1."""
    if not (shutil.which("chromium") and shutil.which("Xvfb")):
        pytest.skip("needs Chromium and Xvfb")
    where: Path = tmp_path_factory.mktemp("sandbox")
    xvfb = await start_xvfb(where / "display", SIZE, None)
    browser = await launch(where / "profile", SIZE, display=xvfb.display, env={**os.environ, **xvfb.env})
    pages, fence = Pages(browser.connection), Fence()
    await pages.start()
    fence.push(ANN, Epoch(1), 0.0)
    screen = await X11Screen.open(xvfb, pages, fence, where)
    async with staged(screen) as stage:
        yield Sandbox(pages, screen, stage)
    await screen.close()
    await browser.close()
    await xvfb.close()


def article(rng: np.random.Generator) -> str:
    """A page of text, some of it in colour."""
    words = [
        f"<b style='color:hsl({int(rng.integers(0, 360))} 70% 40%)'>{word}</b>" if rng.random() < 0.1 else word
        for word in rng.choice(WORDS, 400)
    ]
    return "<body style='font:15px DejaVu Sans,sans-serif;overflow:hidden'>" + " ".join(words)


async def rested(sandbox: Sandbox, viewer: WireViewer) -> float:
    """PSNR of what the viewer shows against the display, once both are at rest."""
    await sandbox.stage.rest()
    assert viewer.shown is not None
    return psnr(viewer.shown, sandbox.display())


async def test_the_page_at_rest_is_the_page(sandbox: Sandbox) -> None:
    """After every burst of repaints the viewer's picture is the display's, pixel for pixel."""
    rng = np.random.default_rng(3)
    async with sandbox.stage.viewer() as ann:
        for _ in range(6):
            for _ in range(int(rng.integers(1, 6))):
                await sandbox.run(f"document.body.outerHTML = `{article(rng)}`")
                await asyncio.sleep(float(rng.random()) * 0.03)
            await asyncio.sleep(0.25)
            assert await rested(sandbox, ann) == EXACT


async def test_a_whole_new_page_is_sharp_soon(sandbox: Sandbox) -> None:
    """From the change of a page to its exact picture takes a moment, always."""
    rng = np.random.default_rng(5)
    async with sandbox.stage.viewer() as ann:
        await rested(sandbox, ann)
        for _ in range(4):
            await sandbox.run(f"document.body.outerHTML = `{article(rng)}`")
            await asyncio.sleep(0.05)
            await until(lambda: ann.shown is not None and psnr(ann.shown, sandbox.display()) == EXACT, 1.0)


async def test_what_is_typed_is_seen(sandbox: Sandbox) -> None:
    """A click and keys through the stream reach the page's field, full stop too, and the picture follows."""
    await sandbox.run(
        "document.body.innerHTML = '<input id=i style=\"position:fixed;left:100px;top:100px;width:400px;height:60px\">'"
    )
    async with sandbox.stage.viewer() as ann:
        await rested(sandbox, ann)
        before = ann.shown
        for down in (True, False):
            await ann.say(t="button", e=1, x=200, y=130, b="left", d=down)
        for code, key in [("KeyH", "h"), ("KeyI", "i"), ("Period", "."), ("Digit5", "5")]:
            for down in (True, False):
                await ann.say(t="key", e=1, code=code, key=key, d=down)
        for _ in range(100):
            if (typed := await sandbox.run("document.querySelector('#i').value")) == "hi.5":
                break
            await asyncio.sleep(0.03)
        assert typed == "hi.5"
        assert ann.heard("refused") == []

        # the caret blinks, so the picture is not compared with the display's
        await until(
            lambda: before is not None and ann.shown is not None and (ann.shown[100:160] != before[100:160]).any()
        )
        await sandbox.run("document.querySelector('#i').blur()")
        assert await rested(sandbox, ann) == EXACT


async def test_a_still_page_costs_nothing(sandbox: Sandbox) -> None:
    """While the page rests nothing is grabbed or sent."""
    await sandbox.run("document.body.innerHTML = '<p>still'")
    async with sandbox.stage.viewer() as ann:
        await rested(sandbox, ann)
        before = sandbox.stage.hub.statistics()
        await asyncio.sleep(1)
        after = sandbox.stage.hub.statistics()

        assert (after.grabs, after.encoded) == (before.grabs, before.encoded)
