"""A screen in memory, a stage that serves it, and a viewer in Python: for tests, and to try the stream alone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from sandbox.screen import (
    Cursor,
    InputEvent,
    Picture,
    PointerButton,
    PointerMove,
    Prompt,
    PromptAnswer,
    Rect,
    Screen,
    ScreenListener,
    Size,
    Tab,
)
from sandbox.words import (
    NOBODY,
    BadRequest,
    Epoch,
    Gone,
    HeldByAnother,
    Holder,
    NotFound,
    OperatorId,
    StaleEpoch,
    SystemClock,
)
from streaming import protocol
from streaming.canvas import Canvas, Rgb
from streaming.hub import StreamHub
from streaming.ops import KIND, Flag, Frame, parse_frame
from streaming.pacing import StreamSettings


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

    def grab(self, out: Picture, rects: Sequence[Rect] | None = None) -> None:
        """See `Screen`. It copies no more than it is asked for."""
        with self._changed:
            if self._gone:
                raise Gone("this painted screen has ended")
            for rect in [Rect(0, 0, self._size.width, self._size.height)] if rects is None else rects:
                area = slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width)
                out[area] = self._picture[area]

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


type Respond = Callable[[ServerConnection, Request], Response | None]


async def until(true: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Poll until something is true, and return it."""
    end = asyncio.get_running_loop().time() + seconds
    while not (value := true()):
        if asyncio.get_running_loop().time() >= end:
            raise TimeoutError("it never became true")
        await asyncio.sleep(0.005)
    return value


def psnr(shown: Rgb, true: Picture) -> float:
    """Decibels between an RGB picture and a BGRX one."""
    error = float(((shown.astype(int) - true[:, :, 2::-1].astype(int)) ** 2).mean())
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


class WireViewer:
    """A viewer without a browser: keeps what it is told, paints and acknowledges frames."""

    def __init__(self, socket: ClientConnection, acknowledge: bool) -> None:
        self.socket = socket
        self.acknowledge = acknowledge
        self.said: list[dict[str, Any]] = []
        self.frames: list[Frame] = []
        self.bytes = 0
        self.shown: Rgb | None = None
        self.all_shown: list[Rgb] = []
        self.keep = False
        self._canvas = Canvas()

    async def run(self) -> None:
        """Read until the socket closes."""
        with suppress(ConnectionClosed):
            async for message in self.socket:
                if isinstance(message, str):
                    self.said.append(protocol.heard(message))
                    continue
                if message[0] != KIND:
                    continue  # sound
                frame = parse_frame(message)
                self.frames.append(frame)
                self.bytes += len(message)
                self._canvas.paint(frame)
                self.shown = self._canvas.pixels.copy()
                if self.keep:
                    self.all_shown.append(self.shown)
                if self.acknowledge and Flag.QUIET not in frame.flags:
                    await self.say(t="ack", f=frame.number)

    async def say(self, **message: Any) -> None:
        """Send a message."""
        await self.socket.send(json.dumps(message))

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """Return what was said so far of one kind."""
        return [said for said in self.said if said["t"] == kind]


class Stage:
    """One hub on one port."""

    def __init__(self, screen: Screen, hub: StreamHub, port: int) -> None:
        self.screen = screen
        self.hub = hub
        self.port = port
        self.activity: list[OperatorId] = []

    @asynccontextmanager
    async def viewer(
        self, operator: str = "op_ann", pictures: tuple[str, ...] = ("h264-444",), acknowledge: bool = True
    ) -> AsyncIterator[WireViewer]:
        """Connect a viewer."""
        url = f"ws://127.0.0.1:{self.port}/stream?operator={operator}"
        async with connect(url, compression=None, max_size=None) as socket:
            viewer = WireViewer(socket, acknowledge)
            task = asyncio.create_task(viewer.run())
            if pictures:
                await viewer.say(t="hello", pictures=list(pictures))
            try:
                yield viewer
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def rest(self) -> None:
        """Wait until the encoder has nothing more to do."""
        last = -1
        while last != (now := self.hub.statistics().encoded) or now == 0:
            last = now
            await asyncio.sleep(0.15)


@asynccontextmanager
async def staged(
    screen: Screen, settings: StreamSettings | None = None, *, host: str = "127.0.0.1", respond: Respond | None = None
) -> AsyncIterator[Stage]:
    """Serve `screen` through a hub; `respond` answers plain HTTP requests."""
    active: list[OperatorId] = []
    hub = StreamHub(screen, SystemClock(), settings, sandbox="sb_test", on_activity=active.append)

    async def handle(socket: ServerConnection) -> None:
        path = socket.request.path if socket.request else ""
        await hub.serve(socket, dict(parse_qsl(urlsplit(path).query)))

    server = await serve(handle, host, 0, process_request=respond, compression=None, max_size=protocol.MAX_MESSAGE)
    stage = Stage(screen, hub, server.sockets[0].getsockname()[1])
    stage.activity = active
    try:
        yield stage
    finally:
        await hub.close()
        server.close()
        await server.wait_closed()
