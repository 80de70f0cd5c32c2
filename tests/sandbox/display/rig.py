"""What the tests of the display work with: a browser on a display as the keeper assembles it, and who may use it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.browser import launch
from sandbox.display.x11 import X11Screen
from sandbox.display.xvfb import Xvfb, start_xvfb
from sandbox.fence import Fence
from sandbox.keeper.windows import FullScreen, WindowManager
from sandbox.pages import Page, Pages
from sandbox.screen import (
    Cursor,
    InputEvent,
    Key,
    Picture,
    PointerButton,
    PointerMove,
    Prompt,
    Rect,
    Size,
    Tab,
)
from sandbox.words import THE_AGENT, Epoch, Holder, OperatorId, Side

SIZE = Size(640, 480)
ANN = OperatorId("op_ann")
BOB = OperatorId("op_bob")


class Site:
    """Serves what `pages` holds, path → HTML."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pages: dict[str, str] = {}

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """The address of a page."""
        return f"http://{host}:{self.port}{path}"


@dataclass
class Ear:
    """A listener that remembers."""

    tabs: Sequence[Tab] = ()
    prompts: Sequence[Prompt] = ()
    masks: Sequence[Rect] = ()
    cursors: list[Cursor] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    control: list[tuple[Holder, Epoch]] = field(default_factory=list)

    def on_cursor(self, cursor: Cursor) -> None:
        """See `ScreenListener`."""
        self.cursors.append(cursor)

    def on_tabs(self, tabs: Sequence[Tab]) -> None:
        """See `ScreenListener`."""
        self.tabs = tabs

    def on_prompts(self, prompts: Sequence[Prompt]) -> None:
        """See `ScreenListener`."""
        self.prompts = prompts

    def on_clipboard(self, text: str) -> None:
        """See `ScreenListener`."""
        self.copied.append(text)

    def on_masks(self, masks: Sequence[Rect]) -> None:
        """See `ScreenListener`."""
        self.masks = masks

    def on_control(self, holder: Holder, epoch: Epoch) -> None:
        """See `ScreenListener`."""
        self.control.append((holder, epoch))


@dataclass
class Desk:
    """A screen under test, the browser behind it, and Ann, who may use it."""

    xvfb: Xvfb
    pages: Pages
    fence: Fence
    screen: X11Screen
    site: Site
    ear: Ear

    async def heard(self, wanted: list[str]) -> None:
        """Wait until exactly these copies were told."""
        await until(lambda: self.ear.copied, wanted)

    def pressed(self) -> tuple[set[int], int]:
        """What X knows to be down: keycodes, and the mask of buttons and modifiers."""
        connection, spare = self.xvfb.connect()
        spare.close()
        core = connection.core
        bits = b"".join(bytes([byte]) for byte in core.QueryKeymap().reply().keys)
        pointer = core.QueryPointer(connection.setup.roots[0].root).reply()
        connection.disconnect()
        return {8 * i + bit for i, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1}, pointer.mask

    @property
    def page(self) -> Page:
        """The active page."""
        return self.pages.get(None)

    @property
    def epoch(self) -> Epoch:
        """The epoch now."""
        return self.fence.epoch

    def give(self, operator: OperatorId | None) -> Epoch:
        """Hand control to an operator, or to the agent, under the next epoch."""
        holder = Holder(Side.OPERATOR, operator, str(operator)) if operator else THE_AGENT
        self.fence.push(holder, Epoch(self.fence.epoch + 1), 0.0)
        return self.fence.epoch

    async def do(self, *events: InputEvent) -> None:
        """Inject as the operator who holds control."""
        operator = self.fence.holder.operator
        assert operator is not None
        for event in events:
            await self.screen.inject(event, operator, self.epoch)

    async def key(self, key: str, code: str = "", *, held: Sequence[str] = ()) -> None:
        """Press and let go of a key while modifiers are held."""
        for modifier in held:
            await self.do(Key(f"{modifier}Left", modifier, True))
        try:
            await self.do(Key(code or key, key, True), Key(code or key, key, False))
        finally:
            for modifier in reversed(held):
                await self.do(Key(f"{modifier}Left", modifier, False))

    async def click(self, x: int, y: int) -> None:
        """Click the left button."""
        await self.do(PointerMove(x, y), PointerButton(x, y, "left", True), PointerButton(x, y, "left", False))

    async def run(self, script: str, session: str | None = None) -> Any:
        """Evaluate in a page's own world."""
        params = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = await self.pages.connection.call("Runtime.evaluate", params, session or self.page.session)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def open(self, html: str, path: str = "/page", host: str = "127.0.0.1") -> None:
        """Show `html` in the active page, loaded and painted."""
        self.site.pages[path] = f"<!doctype html><title>A page</title><style>body{{margin:0}}</style>{html}"
        loaded = asyncio.Event()
        end = self.pages.on_event(lambda _p, _s, m, _d: loaded.set() if m == "Page.loadEventFired" else None)
        await self.pages.call(self.page, "Page.navigate", {"url": self.site.url(path, host)})
        await asyncio.wait_for(loaded.wait(), 10)
        end()
        await self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    async def at(self, selector: str) -> tuple[int, int]:
        """The middle of an element on the screen."""
        box = await self.run(
            f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect())"
        )
        return int(box[0]), int(box[1])

    async def until(self, script: str, wanted: Any) -> None:
        """Wait until a script in the page says what is wanted."""
        await until(lambda: self.run(script), wanted)

    def picture(self) -> Picture:
        """What the encoder would get."""
        out = np.empty((SIZE.height, SIZE.width, 4), np.uint8)
        self.screen.grab(out)
        return out


async def until(read: Callable[[], Awaitable[Any] | Any], wanted: Any = True, seconds: float = 8) -> None:
    """Wait until `read` gives what is wanted."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        value = read()
        if asyncio.iscoroutine(value):
            value = await value
        if value == wanted:
            return
        assert asyncio.get_running_loop().time() < deadline, f"it is still {value!r}, not {wanted!r}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def desk_of(folder: Path, site: Site) -> AsyncIterator[Desk]:
    """Start everything as the keeper's assembly does, and leave nothing."""
    async with contextlib.AsyncExitStack() as stack:
        xvfb = await start_xvfb(folder / "display", SIZE, None)
        stack.push_async_callback(xvfb.close)
        stack.callback(WindowManager.open(xvfb).close)
        browser = await launch(folder / "profile", SIZE, display=xvfb.display, env=xvfb.env)
        stack.push_async_callback(browser.close)
        pages, fence = Pages(browser.connection), Fence()
        await pages.start()
        stack.callback(FullScreen(pages).close)
        screen = await X11Screen.open(xvfb, pages, fence, folder)
        stack.push_async_callback(screen.close)
        ear = Ear()
        stack.callback(screen.listen(ear))
        yield Desk(xvfb, pages, fence, screen, site, ear)
