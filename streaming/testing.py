"""A screen in memory, for tests and for trying the stream without a browser."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import numpy as np

from sandbox.screen import (
    Cursor,
    InputEvent,
    Picture,
    PointerButton,
    PointerMove,
    Prompt,
    PromptAnswer,
    Rect,
    ScreenListener,
    Size,
    Tab,
)
from sandbox.words import NOBODY, BadRequest, Epoch, Gone, HeldByAnother, Holder, NotFound, OperatorId, StaleEpoch


class PaintedScreen:
    """A `Screen` that is painted by its owner and keeps the input it was given.

    `paint` may be called from any thread; everything that listeners hear is said on the event loop by `set_*`.
    """

    def __init__(self, size: Size = Size(320, 240)) -> None:  # noqa: B008 - a frozen value
        self._size = size
        self._picture: Picture = np.full((size.height, size.width, 4), 255, np.uint8)
        self._changed = threading.Condition()
        self._damage: list[Rect] = []
        self._woken = False
        self._gone = False
        self._listeners: list[ScreenListener] = []
        self._cursor = Cursor(b"", 0, 0)
        self._tabs: tuple[Tab, ...] = ()
        self._prompts: tuple[Prompt, ...] = ()
        self._masks: tuple[Rect, ...] = ()
        self._holder, self._epoch = NOBODY, Epoch(0)
        self.events: list[InputEvent] = []
        self.answers: list[PromptAnswer] = []
        self.delay_s = 0.0
        """How long an input takes."""

    @property
    def size(self) -> Size:
        """See `Screen`."""
        return self._size

    def wait(self, timeout: float) -> Sequence[Rect] | None:
        """See `Screen`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._damage or self._woken or self._gone, timeout):
                return None
            if self._gone:
                raise Gone("this painted screen has ended")
            damage, self._damage, self._woken = self._damage, [], False
            return damage

    def grab(self, out: Picture) -> None:
        """See `Screen`."""
        with self._changed:
            if self._gone:
                raise Gone("this painted screen has ended")
            np.copyto(out, self._picture)

    def wake(self) -> None:
        """See `Screen`."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def listen(self, listener: ScreenListener) -> Callable[[], None]:
        """See `Screen`."""
        self._listeners.append(listener)
        listener.on_control(self._holder, self._epoch)
        listener.on_cursor(self._cursor)
        listener.on_tabs(self._tabs)
        listener.on_prompts(self._prompts)
        listener.on_masks(self._masks)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def inject(self, event: InputEvent, operator: OperatorId, epoch: Epoch) -> None:
        """See `Screen`."""
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        self._check(operator, epoch)
        if isinstance(event, PointerMove | PointerButton) and not (
            0 <= event.x < self._size.width and 0 <= event.y < self._size.height
        ):
            raise BadRequest(f"({event.x}, {event.y}) lies off the screen")
        self.events.append(event)

    async def answer(self, answer: PromptAnswer, operator: OperatorId, epoch: Epoch) -> None:
        """See `Screen`."""
        self._check(operator, epoch)
        if answer.id not in {prompt.id for prompt in self._prompts}:
            raise NotFound("this prompt is no longer open")
        self.answers.append(answer)
        self.set_prompts([prompt for prompt in self._prompts if prompt.id != answer.id])

    def _check(self, operator: OperatorId, epoch: Epoch) -> None:
        if epoch != self._epoch:
            raise StaleEpoch(f"this input belongs to epoch {epoch}; the sandbox is at {self._epoch}", epoch=self._epoch)
        if self._holder.operator != operator:
            raise HeldByAnother(f"{self._holder} has control, not you; take control first", holder=str(self._holder))

    # -- the owner's side ---------------------------------------------------------------------------------------

    def paint(self, rect: Rect, colour: tuple[int, int, int]) -> None:
        """Fill `rect` with a colour (red, green, blue)."""
        patch = np.empty((rect.height, rect.width, 4), np.uint8)
        patch[...] = (*colour[::-1], 0)
        self.paint_picture(patch, rect.x, rect.y)

    def paint_picture(self, patch: Picture, x: int = 0, y: int = 0) -> None:
        """Copy BGRX pixels to (x, y)."""
        height, width = patch.shape[:2]
        with self._changed:
            self._picture[y : y + height, x : x + width] = patch
            self._damage.append(Rect(x, y, width, height))
            self._changed.notify_all()

    @property
    def picture(self) -> Picture:
        """A copy of what is painted now."""
        with self._changed:
            return self._picture.copy()

    def set_cursor(self, cursor: Cursor) -> None:
        """Change the pointer's shape."""
        self._cursor = cursor
        for listener in list(self._listeners):
            listener.on_cursor(cursor)

    def set_tabs(self, tabs: Sequence[Tab]) -> None:
        """Change the tabs."""
        self._tabs = tuple(tabs)
        for listener in list(self._listeners):
            listener.on_tabs(tabs)

    def set_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Change the open prompts."""
        self._prompts = tuple(prompts)
        for listener in list(self._listeners):
            listener.on_prompts(prompts)

    def set_masks(self, masks: Sequence[Rect]) -> None:
        """Change what only the holder may see."""
        self._masks = tuple(masks)
        for listener in list(self._listeners):
            listener.on_masks(masks)

    def set_control(self, holder: Holder, epoch: int) -> None:
        """Give control to `holder`."""
        self._holder, self._epoch = holder, Epoch(epoch)
        for listener in list(self._listeners):
            listener.on_control(holder, self._epoch)

    def copy_text(self, text: str) -> None:
        """Behave as if text had been copied in the sandbox."""
        for listener in list(self._listeners):
            listener.on_clipboard(text)

    def end(self) -> None:
        """Behave as if the display had died."""
        with self._changed:
            self._gone = True
            self._changed.notify_all()
