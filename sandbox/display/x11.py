"""The screen on Xvfb: damage and frame buffer for the encoder, XTEST and DevTools for the operator's input."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import xcffib
import xcffib.damage
import xcffib.xfixes
import xcffib.xproto as x

from sandbox.display import shortcuts
from sandbox.display.audience import Audience
from sandbox.display.barrier import Barrier
from sandbox.display.cdp_input import CdpInput
from sandbox.display.clipboard import Clipboard
from sandbox.display.cursor import ARROW, to_cursor
from sandbox.display.damage import DamageQueue
from sandbox.display.events import EventReader
from sandbox.display.fake import FakeInput
from sandbox.display.frame_buffer import FrameBuffer
from sandbox.display.pointer import BUTTONS, WheelTicks
from sandbox.display.xvfb import Xvfb
from sandbox.fence import Fence
from sandbox.pages import Pages
from sandbox.prompts import DIALOGS, Prompts
from sandbox.screen import (
    Compose,
    Copy,
    Cursor,
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
from sandbox.words import BadRequest, BatonError, Epoch, Gone, Holder, OperatorId, Side

_CURSORS_KEPT: Final = 64


class X11Screen:
    """A `sandbox.screen.Screen` on an X server. Made by `open`."""

    def __init__(self, xvfb: Xvfb, pages: Pages, fence: Fence, uploads: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._size = xvfb.size
        self._pages = pages
        self._fence = fence
        self._frame = FrameBuffer(xvfb.frame_buffer, xvfb.size)
        self._damage = DamageQueue()
        self._audience = Audience(pages, fence, ARROW)
        self._events = EventReader(xvfb, f"x-events{xvfb.display}")
        self._fake = FakeInput(xvfb)
        self._keyboard = self._fake.read_keyboard()
        self._barrier = Barrier(self._fake)
        self._pending = False
        self._cdp = CdpInput(pages, fence)
        self._clipboard = Clipboard.open(xvfb, self._on_copied)
        self._asked = asyncio.Event()
        self.on_prompt_done: Callable[[PromptKind, str, bool], None] | None = None
        """Hears (kind, origin, accepted) of every prompt an operator answered."""
        self._prompts = Prompts(pages, fence, uploads, on_change=self._on_prompts, on_done=self._prompt_done)
        self._wheel = WheelTicks()
        self._cursors: dict[int, Cursor] = {}
        self._ends: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._was: tuple[Holder, Epoch] | None = None

    def __repr__(self) -> str:
        return f"<X11Screen {self._size.width}x{self._size.height} {self._keyboard} {self._audience}>"

    @classmethod
    async def open(cls, xvfb: Xvfb, pages: Pages, fence: Fence, uploads: Path) -> X11Screen:
        """Take over the display. `uploads` is where files the operator gives to a page are put. Raises `Gone`."""
        try:
            screen = cls(xvfb, pages, fence, uploads)
            screen._start()
        except xcffib.XcffibException as error:
            raise Gone("the display of this sandbox has ended") from error
        return screen

    def _start(self) -> None:
        connection = self._events.connection
        root = connection.setup.roots[0].root
        damage, fixes = connection(xcffib.damage.key), connection(xcffib.xfixes.key)
        damage.QueryVersion(1, 1).reply()
        fixes.QueryVersion(5, 0).reply()
        damage.Create(connection.generate_id(), root, xcffib.damage.ReportLevel.RawRectangles)
        connection.core.ChangeWindowAttributes(root, x.CW.EventMask, [x.EventMask.SubstructureNotify])
        fixes.SelectCursorInput(root, xcffib.xfixes.CursorNotifyMask.DisplayCursor)
        connection.flush()
        self._damage.add(Rect(0, 0, self._size.width, self._size.height))
        self._events.start(self._on_x_event, self._damage.end)
        self._loop.call_soon(self._read_cursor_later)
        self._ends.append(self._fence.listen(self._on_control))

    async def close(self) -> None:
        """Let go of the display; a blocked `wait` raises `Gone`."""
        for end in self._ends:
            end()
        await self._prompts.close()
        self._audience.close()
        self._damage.end()
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Gone):
            self.release_all()
        self._clipboard.close()
        await asyncio.to_thread(self._events.close)
        self._fake.close()

    # What the encoder calls.

    @property
    def size(self) -> Size:
        """See `Screen.size`."""
        return self._size

    def wait(self, timeout: float) -> Sequence[Rect] | None:
        """See `Screen.wait`."""
        return self._damage.wait(timeout)

    def grab(self, out: Picture, rects: Sequence[Rect] | None = None) -> None:
        """See `Screen.grab`."""
        if self._damage.ended:
            raise Gone("the display of this sandbox has ended")
        self._frame.copy(out, rects)

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
        return self._cdp.on_secret_entry

    @on_secret_entry.setter
    def on_secret_entry(self, hook: Callable[[], Awaitable[object]] | None) -> None:
        self._cdp.on_secret_entry = hook

    async def inject(self, event: InputEvent, operator: OperatorId, epoch: Epoch) -> None:
        """See `Screen.inject`."""
        self._fence.check_operator(operator, epoch)
        match event:
            case PointerMove() | PointerButton() | Wheel():
                self._pointer(event)
            case Key():
                await self._key(event, operator, epoch)
            case Paste(text):
                self._clipboard.offer(text)
                self._fake.keys(self._keyboard.command("v"))
            case Copy():
                self._fake.keys(self._keyboard.command("c"))
            case ReleaseAll():
                self.release_all()
            case Touch(_, points):
                for point in points:
                    self._on_screen(point.x, point.y)
                await self._by_devtools(event, operator, epoch)
            case Text() | Compose() | TabAction():
                await self._by_devtools(event, operator, epoch)
        self._pending = self._pending or not isinstance(event, Text | Compose | Touch | TabAction)

    def _pointer(self, event: PointerMove | PointerButton | Wheel) -> None:
        self._on_screen(event.x, event.y)
        match event:
            case PointerMove(x, y):
                self._fake.move(x, y)
            case PointerButton(x, y, button, down):
                self._fake.button(x, y, BUTTONS[button], down)
            case Wheel(x, y, dx, dy):
                if self._keyboard.control_held:
                    raise BadRequest("Ctrl and the wheel would zoom the page for everybody; zoom in the console")
                self._fake.click(x, y, self._wheel.turn(dx, dy))

    async def _key(self, event: Key, operator: OperatorId, epoch: Epoch) -> None:
        if not event.down:
            self._fake.keys(self._keyboard.release(event))
            return
        if self._keyboard.goes_as_text(event):
            await self._by_devtools(Text(event.key), operator, epoch)
            return
        press = self._keyboard.press(event)
        if press is not None:
            if press.chord in shortcuts.RELOAD:
                await self._by_devtools(TabAction("reload"), operator, epoch)
                return
            shortcuts.check(press.chord)
            self._fake.keys(press.strokes)
        self._keyboard.commit(event)

    async def _by_devtools(
        self, event: Text | Compose | Touch | TabAction, operator: OperatorId, epoch: Epoch
    ) -> None:  # fmt: skip
        if self._pending:
            self._pending = False
            await self._barrier.wait()
        # Its first step runs before that of the other: what the fence refuses there is raised below.
        doing = self._spawn(self._do_by_devtools(event, operator, epoch))
        asked = asyncio.ensure_future(self._asked.wait())
        await asyncio.wait({doing, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if doing.done():
            doing.result()
        # Else the page asks something: Chromium answers this input only after that, and the answer comes behind it.

    async def _do_by_devtools(
        self, event: Text | Compose | Touch | TabAction, operator: OperatorId, epoch: Epoch
    ) -> None:  # fmt: skip
        match event:
            case Text():
                await self._cdp.text(event, operator, epoch)
            case Compose():
                await self._cdp.compose(event, operator, epoch)
            case Touch():
                await self._cdp.touch(event, operator, epoch)
            case TabAction():
                await self._cdp.tab(event, operator, epoch)

    async def answer(self, answer: PromptAnswer, operator: OperatorId, epoch: Epoch) -> None:
        """See `Screen.answer`."""
        await self._prompts.answer(answer, operator, epoch)

    def _on_prompts(self, prompts: Sequence[Prompt]) -> None:
        if any(prompt.kind in DIALOGS for prompt in prompts):
            self._asked.set()
        else:
            self._asked.clear()
        self._audience.set_prompts(prompts)

    def _prompt_done(self, kind: PromptKind, origin: str, accepted: bool) -> None:
        if self.on_prompt_done is not None:
            self.on_prompt_done(kind, origin, accepted)

    def release_all(self) -> None:
        """Let go of every key, button and finger, at once."""
        self._wheel.reset()
        try:
            self._fake.keys(self._keyboard.release_all())
            self._fake.release_buttons()
        finally:
            self._cdp.release_all()

    def _on_screen(self, x: int, y: int) -> None:
        if not (0 <= x < self._size.width and 0 <= y < self._size.height):
            raise BadRequest(f"({x}, {y}) lies outside the screen of {self._size.width}x{self._size.height}")

    def _on_control(self, holder: Holder, epoch: Epoch) -> None:
        was, self._was = self._was, (holder, epoch)
        if was is None or was == self._was:
            return
        self.release_all()
        if was[0].side is Side.OPERATOR:
            self._clipboard.clear()
        if holder.side is Side.OPERATOR:
            self._spawn(self._take_keyboard())

    async def _take_keyboard(self) -> None:
        """Give the keyboard to the page in front: a new tab has it in its address bar, which nobody sees (measured)."""
        page = self._pages.active
        if page is not None:
            with contextlib.suppress(BatonError, TimeoutError):
                await self._pages.call(page, "Page.bringToFront")

    def _on_copied(self) -> None:
        holder, epoch = self._fence.holder, self._fence.epoch
        if holder.side is Side.NOBODY:
            self._clipboard.clear()  # a copy of the last holder's that was still on its way
        elif holder.side is Side.OPERATOR:
            self._spawn(self._tell_copy(epoch))

    async def _tell_copy(self, epoch: Epoch) -> None:
        text = await self._clipboard.read()
        if text and self._fence.epoch == epoch and self._fence.holder.side is Side.OPERATOR:
            self._audience.tell_clipboard(text)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it has it

    # What the X server says, on the event thread.

    def _on_x_event(self, event: Any) -> None:
        if isinstance(event, xcffib.damage.NotifyEvent):
            area = event.area
            self._damage.add(Rect(area.x, area.y, area.width, area.height))
        elif isinstance(event, xcffib.xfixes.CursorNotifyEvent):
            self._read_cursor()
        else:
            self._barrier.on_event(event)

    def _read_cursor_later(self) -> None:
        self._read_cursor()

    def _read_cursor(self) -> None:
        image = self._events.connection(xcffib.xfixes.key).GetCursorImage().reply()
        cursor = self._cursors.get(image.cursor_serial)
        if cursor is None:
            cursor = to_cursor(list(image.cursor_image), image.width, image.height, (image.xhot, image.yhot))
            if len(self._cursors) >= _CURSORS_KEPT:
                self._cursors.clear()
            self._cursors[image.cursor_serial] = cursor
        self._loop.call_soon_threadsafe(self._audience.set_cursor, cursor)
