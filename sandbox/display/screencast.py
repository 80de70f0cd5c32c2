"""The screen without an X server: Chromium is headless, its picture comes from DevTools screencast.

The fallback for machines without Xvfb. What it cannot do, and X11Screen can:

- Only the page is painted. What Chromium draws in windows of its own is invisible: the list of a `<select>`, date and
  colour pickers, autofill, context menus, permission questions. The arrow keys change a `<select>` that has the focus.
- The pointer's shape is not known: it is always the arrow.
- There is no clipboard: pasted text goes in as text, without a paste event, and a copy is the page's selection.
- The picture is a JPEG of the whole page before it is encoded again, so text is a little softer, and any change is
  damage of the whole screen. It is taken whether or not somebody watches.

Every page is given exactly the screen's size. Where an agent emulates another size, its page is shown one pixel a pixel
at the top left, cut off or with grey around it, so that pointer and masks stay where the page has them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from sandbox.display.audience import Audience
from sandbox.display.cdp_input import CdpInput
from sandbox.display.cursor import ARROW
from sandbox.display.damage import DamageQueue
from sandbox.fence import Fence
from sandbox.pages import Page, Pages
from sandbox.prompts import DIALOGS, Prompts
from sandbox.screen import (
    Compose,
    Copy,
    InputEvent,
    Key,
    Paste,
    Picture,
    PointerButton,
    PointerMove,
    Prompt,
    PromptAnswer,
    PromptKind,
    Rect,
    ReleaseAll,
    ScreenListener,
    Size,
    TabAction,
    Text,
    Touch,
    Wheel,
)
from sandbox.words import BadRequest, Epoch, Gone, Holder, OperatorId, Side

_QUALITY: Final = 80
_GREY: Final = 128
_SETTLE_S: Final = 0.2
_COPY: Final = "getSelection().toString().slice(0, 1000000)"


class ScreencastScreen:
    """A `sandbox.screen.Screen` on a headless browser. Made by `open`."""

    def __init__(self, pages: Pages, fence: Fence, size: Size, uploads: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._pages, self._fence, self._size = pages, fence, size
        self._picture = _blank(size)
        self._lock = threading.Lock()
        self._damage = DamageQueue()
        self._audience = Audience(pages, fence, ARROW)
        self._input = CdpInput(pages, fence)
        self._asked = asyncio.Event()
        self.on_prompt_done: Callable[[PromptKind, str, bool], None] | None = None
        """Hears (kind, origin, accepted) of every prompt an operator answered."""
        self._prompts = Prompts(
            pages, fence, uploads, on_change=self._on_prompts, on_done=self._prompt_done
        )  # fmt: skip
        self._decoder = ThreadPoolExecutor(1, "screencast")
        self._waiting: tuple[str, dict[str, Any]] | None = None
        self._decoding = False
        self._shown: str | None = None
        self._newest = 0.0
        self._settle: asyncio.TimerHandle | None = None
        self._sized: set[str] = set()
        self._was: tuple[Holder, Epoch] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<ScreencastScreen {self._size.width}x{self._size.height} {self._audience}>"

    @classmethod
    async def open(cls, pages: Pages, fence: Fence, size: Size, uploads: Path) -> ScreencastScreen:
        """Begin to show the active page. `uploads` is where files the operator gives to a page are put."""
        screen = cls(pages, fence, size, uploads)
        screen._ends = [
            pages.on_event(screen._on_event), pages.on_change(screen._look), fence.listen(screen._on_control),
        ]  # fmt: skip
        screen._spawn(screen._watch_end())
        screen._look()
        return screen

    async def close(self) -> None:
        """Stop; a blocked `wait` raises `Gone`."""
        for end in self._ends:
            end()
        if self._settle is not None:
            self._settle.cancel()
        self._damage.end()
        self._audience.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._prompts.close()
        with contextlib.suppress(Gone):
            self.release_all()
        self._cast(None)
        await asyncio.to_thread(self._decoder.shutdown)

    # What the encoder calls.

    @property
    def size(self) -> Size:
        """See `Screen.size`."""
        return self._size

    def wait(self, timeout: float) -> Sequence[Rect] | None:
        """See `Screen.wait`."""
        return self._damage.wait(timeout)

    def grab(self, out: Picture, rects: Sequence[Rect] | None = None) -> None:  # noqa: ARG002 - the whole is at hand
        """See `Screen.grab`."""
        if self._damage.ended:
            raise Gone("the display of this sandbox has ended")
        with self._lock:
            np.copyto(out, self._picture)

    def wake(self) -> None:
        """See `Screen.wake`."""
        self._damage.wake()

    def listen(self, listener: ScreenListener) -> Callable[[], None]:
        """See `Screen.listen`."""
        return self._audience.listen(listener)

    def set_masks(self, masks: Sequence[Rect]) -> None:
        """Say what everybody but the holder must not see."""
        self._audience.set_masks(masks)

    # What the operator does.

    @property
    def on_secret_entry(self) -> Callable[[], Awaitable[object]] | None:
        """Awaited before secret text goes into the focused field."""
        return self._input.on_secret_entry

    @on_secret_entry.setter
    def on_secret_entry(self, hook: Callable[[], Awaitable[object]] | None) -> None:
        self._input.on_secret_entry = hook

    async def inject(self, event: InputEvent, operator: OperatorId, epoch: Epoch) -> None:
        """See `Screen.inject`."""
        self._fence.check_operator(operator, epoch)
        # Its first step runs before that of the other: what the fence refuses there is raised below.
        doing = self._spawn(self._do(event, operator, epoch))
        asked = asyncio.ensure_future(self._asked.wait())
        await asyncio.wait({doing, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if doing.done():
            doing.result()
        # Else the page asks something: Chromium answers this input only after that, and the answer comes behind it.

    async def _do(self, event: InputEvent, operator: OperatorId, epoch: Epoch) -> None:
        match event:
            case PointerMove() | PointerButton() | Wheel() | Touch():
                await self._point(event, operator, epoch)
            case Key():
                await self._input.key(event, operator, epoch)
            case Compose():
                await self._input.compose(event, operator, epoch)
            case Text():
                await self._input.text(event, operator, epoch)
            case Paste(text):
                await self._input.text(Text(text), operator, epoch)
            case TabAction():
                await self._input.tab(event, operator, epoch)
            case Copy():
                await self._copy(operator, epoch)
            case ReleaseAll():
                self.release_all()

    async def _point(
        self, event: PointerMove | PointerButton | Wheel | Touch, operator: OperatorId, epoch: Epoch
    ) -> None:  # fmt: skip
        for point in event.points if isinstance(event, Touch) else (event,):
            if not (0 <= point.x < self._size.width and 0 <= point.y < self._size.height):
                size = f"{self._size.width}x{self._size.height}"
                raise BadRequest(f"({point.x}, {point.y}) lies outside the screen of {size}")
        match event:
            case PointerMove():
                await self._input.move(event, operator, epoch)
            case PointerButton():
                await self._input.button(event, operator, epoch)
            case Wheel():
                await self._input.wheel(event, operator, epoch)
            case Touch():
                await self._input.touch(event, operator, epoch)

    async def answer(self, answer: PromptAnswer, operator: OperatorId, epoch: Epoch) -> None:
        """See `Screen.answer`."""
        await self._prompts.answer(answer, operator, epoch)

    def release_all(self) -> None:
        """Let go of every key, button and finger, at once."""
        self._input.release_all()

    async def _copy(self, operator: OperatorId, epoch: Epoch) -> None:
        page = self._pages.get(None)
        reply = await self._pages.call(page, "Runtime.evaluate", {"expression": _COPY, "returnByValue": True}, 5)
        self._fence.check_operator(operator, epoch)
        text = reply["result"].get("value")
        if isinstance(text, str) and text:
            self._audience.tell_clipboard(text)

    def _on_control(self, holder: Holder, epoch: Epoch) -> None:
        was, self._was = self._was, (holder, epoch)
        if was is None or was == self._was:
            return
        with contextlib.suppress(Gone):
            self.release_all()
        if holder.side is Side.OPERATOR and self._shown is not None:
            self._send(self._shown, "Page.bringToFront", {})

    def _on_prompts(self, prompts: Sequence[Prompt]) -> None:
        if any(prompt.kind in DIALOGS for prompt in prompts):
            self._asked.set()
        else:
            self._asked.clear()
        self._audience.set_prompts(prompts)

    def _prompt_done(self, kind: PromptKind, origin: str, accepted: bool) -> None:
        if self.on_prompt_done is not None:
            self.on_prompt_done(kind, origin, accepted)

    # The picture.

    def _look(self) -> None:
        """Give new pages their size and show the active one, in the turn in which they are known."""
        for page in self._pages.all:
            if page.session not in self._sized:
                metrics = {"width": self._size.width, "height": self._size.height}
                more = {"deviceScaleFactor": 1, "mobile": False}
                self._send(page.session, "Emulation.setDeviceMetricsOverride", metrics | more)
        self._sized = {page.session for page in self._pages.all}
        active = self._pages.active
        self._cast(active.session if active is not None else None)

    def _cast(self, session: str | None) -> None:
        if session == self._shown:
            return
        if self._shown is not None:
            self._send(self._shown, "Page.stopScreencast", {})
            # What the masks say from now on is about another page.
            self._show(_blank(self._size))
        self._shown, self._newest, self._waiting = session, 0.0, None
        self._ask()

    def _ask(self) -> None:
        if self._shown is not None:
            params = {"format": "jpeg", "quality": _QUALITY}
            limits = {"maxWidth": self._size.width, "maxHeight": self._size.height}
            self._send(self._shown, "Page.startScreencast", params | limits)

    def _on_event(self, _page: Page, session: str, method: str, params: dict[str, Any]) -> None:
        if method != "Page.screencastFrame":
            return
        self._send(session, "Page.screencastFrameAck", {"sessionId": params["sessionId"]})
        taken = float(params["metadata"].get("timestamp", 0.0))
        if session == self._shown and taken >= self._newest:
            self._newest = taken
            self._waiting = (session, params)
            if not self._decoding:
                self._spawn(self._decode())

    async def _decode(self) -> None:
        """Show the newest frame until there is none newer; those in between are skipped."""
        self._decoding = True
        try:
            while self._waiting is not None:
                (session, params), self._waiting = self._waiting, None
                picture = await self._loop.run_in_executor(self._decoder, _to_picture, params, self._size)
                if session == self._shown and picture is not None and self._show(picture):
                    self._ask_later()
        finally:
            self._decoding = False

    def _ask_later(self) -> None:
        """Ask once more when it has settled: with two frames on their way Chromium leaves out the next, even the last.

        The frame that then comes is the same as the one before, so that it ends there.
        """
        if self._settle is not None:
            self._settle.cancel()
        self._settle = self._loop.call_later(_SETTLE_S, self._ask)

    def _show(self, picture: Picture) -> bool:
        """Take over a picture; returns whether it differs from the one before."""
        with self._lock:
            if np.array_equal(picture, self._picture):
                return False
            self._picture = picture
        self._damage.add(Rect(0, 0, self._size.width, self._size.height))
        return True

    async def _watch_end(self) -> None:
        await self._pages.connection.ended.wait()
        self._damage.end()

    def _send(self, session: str, method: str, params: dict[str, Any]) -> None:
        message = {"id": 0, "method": method, "params": params, "sessionId": session}
        with contextlib.suppress(Gone):
            self._pages.connection.forward(message, lambda _reply: None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # of input whose result nobody waited for any more


def _blank(size: Size) -> Picture:
    return np.full((size.height, size.width, 4), _GREY, np.uint8)


def _to_picture(params: dict[str, Any], size: Size) -> Picture | None:
    """Decode one frame into a picture of the screen, one CSS pixel a pixel; None when it is no picture."""
    try:
        image = Image.open(io.BytesIO(base64.b64decode(params["data"]))).convert("RGB")
    except OSError:
        return None
    metadata = params["metadata"]
    page = (round(metadata["deviceWidth"]), round(metadata["deviceHeight"]))
    if image.size != page and min(page) > 0:
        shown = (min(page[0], size.width), min(page[1], size.height))
        part = (0, 0, image.width * shown[0] / page[0], image.height * shown[1] / page[1])
        image = image.resize(shown, Image.Resampling.BILINEAR, part)
    picture = _blank(size)
    pixels = np.asarray(image)[: size.height, : size.width]
    picture[: pixels.shape[0], : pixels.shape[1], :3] = pixels[:, :, ::-1]
    return picture
