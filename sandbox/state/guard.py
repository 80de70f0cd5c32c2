"""Which fields hold secrets, where they are on the screen, and how they are emptied.

A field is secret by what it is (password, code, card), because the operator typed into it during a secret lease, or
because the console's secret entry was used on it; once secret it stays so as long as its document lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from sandbox.cdp import CdpError
from sandbox.pages import Page, Pages
from sandbox.screen import Rect
from sandbox.state.worlds import ACTED, BINDING, UNANSWERED, Frame, Worlds, settled
from sandbox.words import Clock

_log = structlog.get_logger(__name__)

POLL_S: Final = 0.25
LINGER_S: Final = 1.0
"""A browser goes on showing the old page until the new one has painted (up to half a second); masks outlast that."""
_DEADLINE_S: Final = 1.5
_AGAIN_S: Final = 0.05
_MOST_VALUES: Final = 200
_NEW_DOCUMENT: Final = frozenset({"Page.frameNavigated", "Page.domContentEventFired", "Page.frameStoppedLoading"})


@dataclass(frozen=True, slots=True)
class Cover:
    """What a scan of one page found: rectangles to mask now, and every visible secret field."""

    masks: tuple[Rect, ...] = ()
    boxes: tuple[Rect, ...] = ()
    filled: bool = False
    answered: bool = True
    """Whether every frame said what it shows."""
    hangs: bool = False
    """Whether the page as a whole did not answer."""


class Guard:
    """Watches the pages for secrets. Create it on the running loop; `close` ends it."""

    def __init__(
        self, pages: Pages, worlds: Worlds, clock: Clock, set_masks: Callable[[Sequence[Rect]], None] | None
    ) -> None:
        self._pages, self._worlds, self._clock, self._set_masks = pages, worlds, clock, set_masks
        self._lease = False
        self._tainted = False
        self._dirty = False  # whether the page script knows of secrets that only the operator's doing made such
        self._filled = False
        self._values: dict[str, str] = {}
        self._marked: set[tuple[str, str, int]] = set()  # document, frame, backend node id
        self._seen: dict[Rect, float] = {}
        self._shown: tuple[Rect, ...] = ()
        self._watched: set[str] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._nudge = asyncio.Event()
        self._ends = [pages.on_change(self._watch_all), pages.on_event(self._on_event)]
        self._watch_all()
        self._spawn(self._run())

    def __repr__(self) -> str:
        return f"<Guard lease={self._lease} masks={len(self._shown)}>"

    @property
    def tainted(self) -> bool:
        """Whether there was a secret lease since the last `blank`."""
        return self._tainted

    @property
    def values(self) -> tuple[str, ...]:
        """What was last seen in secret fields since the last `blank`: only for scrubbing what goes out."""
        return tuple(self._values.values())

    def lease(self, on: bool) -> None:
        """A lease in which everything typed is secret begins or ends; what was typed stays secret until `blank`."""
        if on and not self._lease:
            self._tainted = self._dirty = True
        self._lease = on
        self._nudge.set()

    async def entry(self) -> bool:
        """Make the focused field secret; whether there was one."""
        page = self._pages.active
        if page is None:
            return False
        frames = await self._frames(page)
        self._dirty = True
        found = await settled([self._worlds.run(frame, "entry", timeout=_DEADLINE_S) for frame in frames])
        self._nudge.set()
        return any(found)

    async def cover(self, page: Page | None, *, begin: bool = False) -> Cover:
        """Look at one page now, and take note of what it holds.

        `begin`: what is in the fields now is not the operator's; what differs later in a secret lease is.
        """
        if page is None:
            return Cover()
        async with self._locks.setdefault(page.target, asyncio.Lock()):
            return await self._cover(page, begin)

    async def _cover(self, page: Page, begin: bool) -> Cover:
        frames = await self._frames(page)
        if not frames:
            return Cover(answered=False, hangs=True)
        options = {"lease": self._tainted, "begin": begin}
        found = await settled([self._worlds.run(frame, "scan", options, timeout=_DEADLINE_S) for frame in frames])
        masks: list[Rect] = []
        boxes: list[Rect] = []
        for frame, scan in zip(frames, found, strict=True):
            if scan is None:
                continue
            for key, value in scan["values"]:
                self._remember(key, value)
            if scan["fresh"]:
                await self._take_fresh(frame)
            if scan["masks"] or scan["boxes"]:
                x, y = await self._offset(frame, frames)
                masks.extend(_moved(scan["masks"], x, y))
                boxes.extend(_moved(scan["boxes"], x, y))
        filled = any(scan and scan["values"] for scan in found)
        silent = {(frame.session, frame.id) for frame, scan in zip(frames, found, strict=True) if scan is None}
        if silent:
            # A frame that went away meanwhile shows nothing; one that hangs may show anything.
            silent &= {(frame.session, frame.id) for frame in await self._frames(page)}
        return Cover(tuple(masks), tuple(boxes), filled, not silent)

    async def look(self, *, begin: bool = False) -> dict[str, Cover]:
        """Scan every page (see `cover`); what the active one shows becomes the masks. Returns what each tab shows."""
        if begin and not self._dirty:
            self._worlds.renew()
            self._watched.clear()
            self._watch_all()
            if self._marked:
                await self._mark_again()
        pages, active = self._pages.all, self._pages.active
        covers = await asyncio.gather(*(self.cover(page, begin=begin) for page in pages))
        self._filled = any(cover.filled for cover in covers)
        for page, cover in zip(pages, covers, strict=True):
            if page is active:
                self._mask(cover)
        return {page.target: cover for page, cover in zip(pages, covers, strict=True)}

    async def blank(self) -> int:
        """Empty every secret field that is still filled, in every frame of every page; returns how many there were.

        Where there was a secret, the pages before the present ones are forgotten too: going back to one would fill
        its fields again (measured). A secret lease ends with it.
        """
        options = {"lease": self._tainted}
        secret = self._tainted or bool(self._values)
        self._tainted = self._lease = self._dirty = False
        counts = await asyncio.gather(*(self._blank(page, options) for page in self._pages.all))
        if secret:
            # In this order: a document that is left in between has been emptied.
            await asyncio.gather(*(self._forget_past(page) for page in self._pages.all))
        self._values.clear()
        self._nudge.set()
        return sum(counts)

    async def _blank(self, page: Page, options: dict[str, Any]) -> int:
        async with self._locks.setdefault(page.target, asyncio.Lock()):
            frames = await self._frames(page)
            found = await settled([self._worlds.run(frame, "blank", options, timeout=_DEADLINE_S) for frame in frames])
        return sum(each for each in found if each)

    async def _forget_past(self, page: Page) -> None:
        give_up = self._clock.monotonic() + _DEADLINE_S
        while True:
            try:
                await self._pages.call(page, "Page.resetNavigationHistory", timeout=_DEADLINE_S)
            except CdpError:
                # It cannot be cut while a navigation is about to begin.
                if self._clock.monotonic() < give_up:
                    await asyncio.sleep(_AGAIN_S)
                    continue
                _log.error("a tab's history could not be cut after a secret", target=page.target)
            except UNANSWERED:
                _log.error("a tab's history could not be cut after a secret", target=page.target)
            return

    def covered(self) -> tuple[Rect, ...]:
        """The masks as last told."""
        return self._shown

    async def close(self) -> None:
        """Stop watching."""
        for end in self._ends:
            end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._values.clear()

    async def _run(self) -> None:
        while True:
            busy = self._lease or self._filled or bool(self._seen)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudge.wait(), POLL_S if busy else None)
            self._nudge.clear()
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - masks must go on being made whatever one page did
                _log.error("a scan for secrets failed", error=type(error).__name__)

    def _mask(self, cover: Cover) -> None:
        now = self._clock.monotonic()
        # A page that does not answer may still show what it showed.
        for rect in cover.masks if cover.answered else (*cover.masks, *self._seen):
            self._seen[rect] = now
        self._seen = {rect: at for rect, at in self._seen.items() if now - at < LINGER_S}
        shown = tuple(sorted(self._seen, key=lambda r: (r.y, r.x, r.width, r.height)))
        if shown != self._shown:
            self._shown = shown
            if self._set_masks is not None:
                self._set_masks(shown)

    async def _frames(self, page: Page) -> list[Frame]:
        try:
            return (await self._worlds.frames(page, _DEADLINE_S))[0]
        except UNANSWERED:
            return []

    async def _take_fresh(self, frame: Frame) -> None:
        with contextlib.suppress(*UNANSWERED):
            nodes = await self._worlds.fresh_secrets(frame, _DEADLINE_S)
            self._marked.update((frame.document, frame.id, node) for node in nodes)

    async def _mark_again(self) -> None:
        """Tell a new world what is secret in the documents that are still there."""
        listed = await asyncio.gather(*(self._frames(page) for page in self._pages.all))
        frames = {(frame.document, frame.id): frame for each in listed for frame in each}
        self._marked = {(at, frame, node) for at, frame, node in self._marked if (at, frame) in frames}
        again = [(frames[(at, frame)], node) for at, frame, node in self._marked]
        await settled([self._worlds.hand_over(frame, node, "markAgain(this)", _DEADLINE_S) for frame, node in again])

    async def _offset(self, frame: Frame, frames: list[Frame]) -> tuple[int, int]:
        """Where a frame's viewport begins on the page's; each process counts from its own outermost frame."""
        x = y = 0.0
        by_id = {each.id: each for each in frames}
        at: Frame | None = frame
        with contextlib.suppress(*UNANSWERED, KeyError, IndexError):
            while at is not None and at.parent:
                parent = by_id[at.parent]
                left, top = await self._corner(at.id, parent.session)
                x, y = x + left, y + top
                at = parent
                while at.parent and not at.local_root:
                    at = by_id[at.parent]
        return round(x), round(y)

    async def _corner(self, frame_id: str, session: str) -> tuple[float, float]:
        call = self._pages.connection.call
        owner = await call("DOM.getFrameOwner", {"frameId": frame_id}, session, _DEADLINE_S)
        params = {"backendNodeId": owner["backendNodeId"]}
        box = await call("DOM.getBoxModel", params, session, _DEADLINE_S)
        content = box["model"]["content"]
        return content[0], content[1]

    def _watch_all(self) -> None:
        sessions = {session for page in self._pages.all for session in page.sessions}
        for ended in self._watched - sessions:
            self._worlds.forget(ended)
        self._watched &= sessions
        open_ones = {page.target for page in self._pages.all}
        self._locks = {target: lock for target, lock in self._locks.items() if target in open_ones}
        for session in sessions - self._watched:
            self._watched.add(session)
            self._spawn(self._worlds.watch(session))
        if self._lease or self._filled or self._seen:
            self._nudge.set()

    def _on_event(self, _page: Page, session: str, method: str, params: dict[str, Any]) -> None:
        if method in _NEW_DOCUMENT:
            self._spawn(self._worlds.hear(session))
            self._nudge.set()
        elif method == "Runtime.bindingCalled" and params.get("name") == BINDING:
            payload = params.get("payload", "")
            if payload.startswith(ACTED):
                return
            self._nudge.set()
            if payload:
                with contextlib.suppress(ValueError, TypeError):
                    self._remember(*json.loads(payload))

    def _remember(self, key: str, value: str) -> None:
        if value:
            self._values[key] = value
        while len(self._values) > _MOST_VALUES:
            del self._values[next(iter(self._values))]

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _moved(rects: Sequence[Sequence[int]], x: int, y: int) -> list[Rect]:
    return [Rect(left + x, top + y, width, height) for left, top, width, height in rects]
