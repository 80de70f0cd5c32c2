"""The sandbox's face to `streaming`: pictures, damage, cursor, prompts, tabs, and `inject(event, ..., epoch)`.

Coordinates are whole pixels of the remote screen, origin at its top left. A `Screen` is made by the keeper;
one encoder thread calls `wait` and `grab`; everything else is called on the keeper's event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sandbox.words import Epoch, Holder, OperatorId

type Picture = NDArray[np.uint8]
"""Shape (height, width, 4), BGRX bytes."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels; both even."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in remote screen pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """The remote pointer's shape: PNG bytes and the hot spot inside them. `png` is empty when it is hidden."""

    png: bytes
    hot_x: int
    hot_y: int


@dataclass(frozen=True, slots=True)
class Tab:
    """One page of the sandbox as the operator sees it. `url` carries neither query nor fragment."""

    id: str
    url: str
    title: str
    active: bool


class PromptKind(StrEnum):
    """What the remote page asks outside its own pixels."""

    ALERT = "alert"
    CONFIRM = "confirm"
    PROMPT = "prompt"
    BEFOREUNLOAD = "beforeunload"
    FILE = "file"
    BASIC_AUTH = "basic_auth"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A dialog, file chooser or basic-auth question that the console shows as its own, named after `origin`."""

    id: str
    kind: PromptKind
    origin: str
    message: str = ""
    default: str = ""
    multiple: bool = False
    realm: str = ""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file the operator gives to the page: bare name (no directories) and content."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PromptAnswer:
    """The operator's answer. `text`, `username` and `password` are never logged (kept out of repr)."""

    id: str
    accept: bool
    text: str = field(default="", repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    files: tuple[UploadedFile, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class PointerMove:
    """The pointer goes to (x, y)."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class PointerButton:
    """A mouse button goes down or up at (x, y)."""

    x: int
    y: int
    button: Literal["left", "middle", "right", "back", "forward"]
    down: bool


@dataclass(frozen=True, slots=True)
class Wheel:
    """The wheel turns at (x, y): CSS pixels, positive is right and down (W3C UI Events, deltaMode 0)."""

    x: int
    y: int
    dx: float
    dy: float


@dataclass(frozen=True, slots=True)
class Key:
    """A key goes down or up: `code` and `key` as in W3C UI Events KeyboardEvent. Never in a repr: it may be secret."""

    code: str = field(repr=False)
    key: str = field(repr=False)
    down: bool


@dataclass(frozen=True, slots=True)
class Text:
    """Text that goes in as text (phone keyboards, IME commits, secret entry), into the focused field."""

    text: str = field(repr=False)
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Compose:
    """The IME's unfinished text (CDP Input.imeSetComposition); an empty text ends the composition."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Paste:
    """Text put on the remote clipboard and pasted there (a real paste event in the page)."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Copy:
    """Ask for a copy of the remote selection; the answer comes as `ScreenListener.on_clipboard`."""


@dataclass(frozen=True, slots=True)
class TouchPoint:
    """One finger."""

    id: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Touch:
    """Fingers, as CDP Input.dispatchTouchEvent takes them: all points still down (none at `end`)."""

    phase: Literal["start", "move", "end", "cancel"]
    points: tuple[TouchPoint, ...]


@dataclass(frozen=True, slots=True)
class TabAction:
    """What a browser's own chrome would do; `tab` is a `Tab.id` (None means the active one)."""

    action: Literal["activate", "close", "back", "forward", "reload"]
    tab: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseAll:
    """Let go of every key, button and finger (console lost focus)."""


type InputEvent = (
    PointerMove | PointerButton | Wheel | Key | Text | Compose | Paste | Copy | Touch | TabAction | ReleaseAll
)


class ScreenListener(Protocol):
    """What a stream hub hears; all methods are called on the keeper's event loop and must not block."""

    def on_cursor(self, cursor: Cursor) -> None:
        """The remote pointer changed shape."""

    def on_tabs(self, tabs: Sequence[Tab]) -> None:
        """Tabs were opened, closed, activated, navigated or renamed."""

    def on_prompts(self, prompts: Sequence[Prompt]) -> None:
        """The set of open prompts changed; only the holder is shown them."""

    def on_clipboard(self, text: str) -> None:
        """Text was copied in the sandbox; only the holder gets it."""

    def on_masks(self, masks: Sequence[Rect]) -> None:
        """What must be covered for everybody but the holder changed; empty when nothing secret is on screen."""

    def on_control(self, holder: Holder, epoch: Epoch) -> None:
        """Control changed hands."""


class Screen(Protocol):
    """One sandbox's screen, whatever draws it (an X server or DevTools screencast)."""

    @property
    def size(self) -> Size:
        """The picture's size; constant for a sandbox's life."""
        ...

    def wait(self, timeout: float) -> Sequence[Rect] | None:
        """Block the calling (encoder) thread until something was painted since the last call.

        Returns the damaged rectangles, or None after `timeout` seconds. Call `grab` after it: whatever lands
        during the grab is reported by the next `wait`, so the last state is always seen.
        Raises `Gone` when the display has ended.
        """
        ...

    def grab(self, out: Picture, rects: Sequence[Rect] | None = None) -> None:
        """Copy the newest picture into `out`; with `rects`, at least those parts of it.

        Thread-safe. Raises `Gone` when the display has ended.
        """
        ...

    def wake(self) -> None:
        """Make a blocked `wait` return at once with an empty sequence (a viewer joined, or the hub stops)."""
        ...

    def listen(self, listener: ScreenListener) -> Callable[[], None]:
        """Tell `listener` the present cursor, tabs, prompts, masks and control at once, then every change.

        Returns a function that ends it.
        """
        ...

    async def inject(self, event: InputEvent, operator: OperatorId, epoch: Epoch) -> None:
        """Do what the operator did, if they hold control under `epoch` at the moment it is done.

        Raises `StaleEpoch` (old epoch), `HeldByAnother` (not the holder), `BadRequest` (a shortcut of the browser's
        own chrome, a coordinate off the screen). A refused event has no effect at all.
        """
        ...

    async def answer(self, answer: PromptAnswer, operator: OperatorId, epoch: Epoch) -> None:
        """Answer an open prompt; fenced as `inject`. Raises `NotFound` when the prompt is no longer open."""
        ...
