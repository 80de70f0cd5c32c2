"""Without an X server the picture comes from DevTools, and everything else works as it does with one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from sandbox.browser import Browser, launch
from sandbox.display.screencast import ScreencastScreen
from sandbox.fence import Fence
from sandbox.host import Keepers, SandboxSpec
from sandbox.pages import Page, Pages
from sandbox.screen import (
    Copy,
    InputEvent,
    Key,
    Paste,
    Picture,
    PointerButton,
    PointerMove,
    PromptAnswer,
    PromptKind,
    Rect,
    Size,
    TabAction,
    Text,
    Touch,
    TouchPoint,
    Wheel,
)
from sandbox.words import BadRequest, Epoch, Gone, Holder, OperatorId, SandboxId, Side, StaleEpoch, new_id
from streaming.testing import WireViewer
from tests.sandbox.display.rig import Ear, Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

type Until = Callable[..., Awaitable[None]]

SIZE = Size(320, 240)
ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
PAGE = """<!doctype html><title>Cast</title><style>body{margin:0;background:%s}</style>
<button style="position:fixed;left:10px;top:10px;width:60px;height:30px" onclick="clicks++">go</button>
<input id=field style="position:fixed;left:10px;top:60px"><div style="height:2000px"></div>
<script>var clicks = 0, touches = 0; addEventListener('touchstart', () => touches++)</script>"""
RED, BLUE, GREY = (255, 0, 0), (0, 0, 255), (128, 128, 128)


@dataclass
class Stage:
    """A headless browser's screen that Ann holds."""

    pages: Pages
    fence: Fence
    screen: ScreencastScreen
    ear: Ear

    async def js(self, script: str, page: Page | None = None) -> Any:
        """Run a script in a page."""
        params = {"expression": script, "userGesture": True, "awaitPromise": True, "returnByValue": True}
        reply = await self.pages.call(page or self.pages.get(None), "Runtime.evaluate", params)
        return reply["result"].get("value")

    async def show(self, colour: str) -> None:
        """Load a page of one colour."""
        await self.pages.call(self.pages.get(None), "Page.navigate", {"url": f"data:text/html,{PAGE % colour}"})
        await self.js("document.readyState == 'complete' || new Promise(r => addEventListener('load', r))")

    def at(self, x: int = 300, y: int = 200) -> tuple[int, int, int]:
        """The colour of one pixel, rounded as JPEG makes it necessary."""
        out: Picture = np.empty((SIZE.height, SIZE.width, 4), np.uint8)
        self.screen.grab(out)
        blue, green, red = (round(int(value) / 4) * 4 for value in out[y, x, :3])
        return min(red, 255), min(green, 255), min(blue, 255)

    def like(self, colour: tuple[int, int, int], x: int = 300, y: int = 200) -> bool:
        """Whether a pixel has about this colour."""
        return all(abs(a - b) <= 8 for a, b in zip(self.at(x, y), colour, strict=True))

    async def do(self, *events: InputEvent) -> None:
        """Act as Ann."""
        for event in events:
            await self.screen.inject(event, OperatorId("op_ann"), self.fence.epoch)

    async def click(self, x: int, y: int) -> None:
        """Click the left button."""
        await self.do(PointerMove(x, y), PointerButton(x, y, "left", True), PointerButton(x, y, "left", False))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """One headless browser for the module."""
    started = await launch(tmp_path_factory.mktemp("cast"), SIZE)
    yield started
    await started.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pages(browser: Browser) -> Pages:
    """Its pages."""
    made = Pages(browser.connection)
    await made.start()
    return made


@pytest_asyncio.fixture(loop_scope="module")
async def stage(pages: Pages, tmp_path: Path) -> AsyncIterator[Stage]:
    """A fresh screen on the module's browser."""
    fence = Fence()
    fence.push(ANN, Epoch(1), 0.0)
    screen = await ScreencastScreen.open(pages, fence, SIZE, tmp_path)
    ear = Ear()
    screen.listen(ear)
    yield Stage(pages, fence, screen, ear)
    await screen.close()


async def test_the_picture_is_the_page(stage: Stage, until: Until) -> None:
    """The page has exactly the screen's size, and the picture ends at what it shows last."""
    await stage.show("red")
    await until(lambda: stage.like(RED))
    assert await stage.js("[innerWidth, innerHeight, devicePixelRatio]") == [320, 240, 1]
    assert stage.like(RED, 300, 239)
    colour = "document.body.style.background = i++ < 60 ? `rgb(0,${i},0)` : 'blue'"
    await stage.js(
        f"let i = 0; new Promise(r => (function f() {{{colour}; i < 61 ? requestAnimationFrame(f) : r()}})())"
    )
    await until(lambda: stage.like(BLUE))


async def test_only_what_changes_is_damage(stage: Stage, until: Until) -> None:
    """A page at rest causes no damage, a change causes the whole screen's; `wake` returns at once."""
    await stage.show("red")
    await until(lambda: stage.like(RED))
    while await asyncio.to_thread(stage.screen.wait, 0.6):
        pass
    assert await asyncio.to_thread(stage.screen.wait, 0.3) is None
    await stage.js("document.body.style.background = 'blue'; 0")
    assert await asyncio.to_thread(stage.screen.wait, 5) == [Rect(0, 0, 320, 240)]
    stage.screen.wake()
    while await asyncio.to_thread(stage.screen.wait, 0.6):
        pass


async def test_the_active_tab_is_shown(stage: Stage, until: Until) -> None:
    """A popup comes into the picture at the screen's size, and the first page comes back when it is activated."""
    await stage.show("red")
    await until(lambda: stage.like(RED))
    first = stage.pages.get(None)
    await stage.js("pop = open('', '', 'width=200,height=100'); pop.document.body.style.background = 'blue'; 0")
    await until(lambda: len(stage.pages.all), 2)
    await until(lambda: stage.like(BLUE, 319, 239))
    await stage.do(TabAction("activate", first.target))
    await until(lambda: stage.like(RED))
    await stage.do(TabAction("close", stage.pages.all[1].target))
    await until(lambda: len(stage.pages.all), 1)
    assert stage.like(RED)


async def test_another_size_is_shown_pixel_for_pixel(stage: Stage, until: Until) -> None:
    """A page that an agent emulates smaller or larger stays at the top left, one pixel a pixel."""
    await stage.show("red")
    for width, height, outside in ((200, 100, GREY), (800, 600, RED)):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": False}
        await stage.pages.call(stage.pages.get(None), "Emulation.setDeviceMetricsOverride", metrics)
        await until(lambda outside=outside: stage.like(outside) and stage.like(RED, 170, 90))
        button = await stage.js("(r => [r.x, r.y, r.right])(document.querySelector('button').getBoundingClientRect())")
        assert button == [10, 10, 70]
        assert not stage.like(RED, 15, 25)
        assert stage.like(RED, 5, 25)
        assert stage.like(RED, 75, 25)
    metrics = {"width": 320, "height": 240, "deviceScaleFactor": 1, "mobile": False}
    await stage.pages.call(stage.pages.get(None), "Emulation.setDeviceMetricsOverride", metrics)


async def test_input_reaches_the_page(stage: Stage, until: Until) -> None:
    """Mouse, wheel, keys, text, paste, fingers and copy work without an X server."""
    await stage.show("red")
    await stage.click(40, 25)
    assert await stage.js("clicks") == 1
    await stage.click(50, 70)
    await stage.do(Key("KeyA", "a", True), Key("KeyA", "a", False), Text("bé"), Paste("🎈"))
    assert await stage.js("field.value") == "abé🎈"
    await stage.js("field.select(); 0")
    await stage.do(Copy())
    assert stage.ear.copied == ["abé🎈"]
    await stage.do(Touch("start", (TouchPoint(1, 200, 150),)), Touch("end", ()))
    assert await stage.js("touches") == 1
    await stage.do(Wheel(200, 150, 0, 100))
    await until(lambda: stage.like(RED))
    assert await stage.js("new Promise(r => setTimeout(() => r(scrollY > 0), 300))")
    with pytest.raises(BadRequest):
        await stage.do(PointerMove(320, 0))
    with pytest.raises(StaleEpoch):
        await stage.screen.inject(PointerMove(1, 1), OperatorId("op_ann"), Epoch(0))


async def test_prompts_are_told_and_answered(stage: Stage, until: Until) -> None:
    """A click that opens a dialog does not stop the input behind it, and the dialog is answered through the screen."""
    done: list[tuple[PromptKind, str, bool]] = []
    stage.screen.on_prompt_done = lambda *what: done.append(what)
    await stage.show("red")
    await stage.js("document.querySelector('button').onclick = () => { answer = confirm('sure?') }; 0")
    clicking = asyncio.create_task(stage.click(40, 25))
    await until(lambda: len(stage.ear.prompts), 1)
    await asyncio.wait_for(clicking, 1)
    await stage.screen.answer(PromptAnswer(stage.ear.prompts[0].id, accept=True), OperatorId("op_ann"), Epoch(1))
    assert await stage.js("answer") is True
    await until(lambda: stage.ear.prompts, ())
    assert done == [(PromptKind.CONFIRM, "", True)]


async def test_the_end_is_told(pages: Pages, tmp_path: Path) -> None:
    """After `close` neither `wait` nor `grab` go on; masks are handed to who listens."""
    screen = await ScreencastScreen.open(pages, Fence(), SIZE, tmp_path)
    ear = Ear()
    screen.listen(ear)
    screen.set_masks([Rect(1, 2, 3, 4)])
    assert ear.masks == (Rect(1, 2, 3, 4),)
    waiting = asyncio.create_task(asyncio.to_thread(_until_gone, screen))
    await screen.close()
    await asyncio.wait_for(waiting, 5)
    with pytest.raises(Gone):
        screen.grab(np.empty((SIZE.height, SIZE.width, 4), np.uint8))


def _until_gone(screen: ScreencastScreen) -> None:
    with contextlib.suppress(Gone):
        while True:
            screen.wait(5)


@pytest.fixture(scope="module")
def without_xvfb() -> Iterator[str]:
    """A PATH on which everything is, but for Xvfb; the sandbox's own user can use it too."""
    folder = Path(tempfile.mkdtemp(prefix="bin-"))
    folder.chmod(0o755)
    for directory in os.environ["PATH"].split(os.pathsep):
        for program in Path(directory).iterdir() if Path(directory).is_dir() else ():
            if program.name != "Xvfb" and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    yield str(folder)
    shutil.rmtree(folder)


async def test_a_keeper_works_without_xvfb(
    state_dir: Path, site: Site, without_xvfb: str, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """On a machine without Xvfb a sandbox opens, streams what its page shows, and takes the operator's click."""
    monkeypatch.setenv("PATH", without_xvfb)
    site.pages["/cast"] = (PAGE % "red").replace("clicks++", "document.body.style.background='blue'")
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", str(root))
    assert shutil.which("Xvfb") is None
    keepers = Keepers(state_dir, (sys.executable, str(Path(__file__).with_name("streamer.py"))), adoption_s=20)
    link = await keepers.open(SandboxSpec(SandboxId(new_id("sb")), SIZE.width, SIZE.height))
    try:
        await link.close_gate(Epoch(1), ANN, 0.0, 0.1)
        viewer = WireViewer(await link.connect("/stream", {"operator": "op_ann"}), acknowledge=True)
        reading = asyncio.create_task(viewer.run())
        await viewer.say(t="hello", pictures=["h264-444"])
        await until(lambda: bool(viewer.heard("control")))

        def shows(colour: tuple[int, int, int]) -> bool:
            return viewer.shown is not None and bool(np.abs(viewer.shown[200, 300].astype(int) - colour).max() < 16)

        await link.open_page(f"{site.url('/cast')}")
        await until(lambda: shows((255, 0, 0)))
        for down in (True, False):
            await viewer.say(t="button", x=40, y=25, b="left", d=down, e=1)
        await until(lambda: shows((0, 0, 255)))
        await viewer.socket.close()
        await reading
    finally:
        await keepers.close(link.sandbox)
