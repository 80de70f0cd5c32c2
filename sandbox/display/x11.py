"""The screen on Xvfb: damage and frame buffer for the encoder, XTEST and DevTools for the operator's input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import xcffib
import xcffib.damage
import xcffib.xfixes
import xcffib.xproto

from sandbox.display import shortcuts
from sandbox.display.audience import Audience
from sandbox.display.cursor import ARROW, to_cursor
from sandbox.display.damage import DamageQueue
from sandbox.display.events import EventReader
from sandbox.display.fake import FakeInput
from sandbox.display.frame_buffer import FrameBuffer
from sandbox.display.pointer import BUTTONS, WheelTicks
from sandbox.display.xvfb import Xvfb
from sandbox.fence import Fence
from sandbox.pages import Pages
from sandbox.screen import (
    Cursor,
    InputEvent,
    Key,
    Picture,
    PointerButton,
    PointerMove,
    PromptAnswer,
    Rect,
    ReleaseAll,
    ScreenListener,
    Size,
    Wheel,
)
from sandbox.words import BadRequest, Epoch, Gone, Holder, OperatorId

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
        self._wheel = WheelTicks()
        self._cursors: dict[int, Cursor] = {}
        self._ends: list[Callable[[], None]] = []
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
        self._audience.close()
        self._damage.end()
        try:
            self.release_all()
        except Gone:
            pass
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

    def grab(self, out: Picture) -> None:
        """See `Screen.grab`."""
        if self._damage.ended:
            raise Gone("the display of this sandbox has ended")
        self._frame.copy(out)

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

    async def inject(self, event: InputEvent, operator: OperatorId, epoch: Epoch) -> None:
        """See `Screen.inject`."""
        self._fence.check_operator(operator, epoch)
        match event:
            case PointerMove(x, y):
                self._on_screen(x, y)
                self._fake.move(x, y)
            case PointerButton(x, y, button, down):
                self._on_screen(x, y)
                self._fake.button(x, y, BUTTONS[button], down)
            case Wheel(x, y, dx, dy):
                self._on_screen(x, y)
                self._fake.click(x, y, self._wheel.turn(dx, dy))
            case Key():
                await self._key(event, operator, epoch)
            case ReleaseAll():
                self.release_all()
            case _:
                raise BadRequest(f"this screen does not take {type(event).__name__}")

    async def _key(self, event: Key, operator: OperatorId, epoch: Epoch) -> None:
        if not event.down:
            self._fake.keys(self._keyboard.release(event))
            return
        if (character := self._keyboard.needs(event)) and (bound := self._keyboard.bind(character)):
            self._fake.bind(*bound)
        press = self._keyboard.press(event)
        if press is not None:
            shortcuts.check(press.chord)
            self._fence.check_operator(operator, epoch)
            self._fake.keys(press.strokes)
        self._keyboard.commit(event)

    async def answer(self, answer: PromptAnswer, operator: OperatorId, epoch: Epoch) -> None:
        """See `Screen.answer`."""
        self._fence.check_operator(operator, epoch)
        raise BadRequest("no prompt is open")

    def release_all(self) -> None:
        """Let go of every key, button and finger, at once."""
        self._wheel.reset()
        self._fake.keys(self._keyboard.release_all())
        self._fake.release_buttons()

    def _on_screen(self, x: int, y: int) -> None:
        if not (0 <= x < self._size.width and 0 <= y < self._size.height):
            raise BadRequest(f"({x}, {y}) lies outside the screen of {self._size.width}x{self._size.height}")

    def _on_control(self, holder: Holder, epoch: Epoch) -> None:
        if self._was is not None and self._was != (holder, epoch):
            self.release_all()
        self._was = (holder, epoch)

    # What the X server says, on the event thread.

    def _on_x_event(self, event: Any) -> None:
        if isinstance(event, xcffib.damage.NotifyEvent):
            area = event.area
            self._damage.add(Rect(area.x, area.y, area.width, area.height))
        elif isinstance(event, xcffib.xfixes.CursorNotifyEvent):
            self._read_cursor()

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
