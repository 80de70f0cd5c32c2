"""The face of the state room: snapshots before and after, what changed, conditions, secrets and masks."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.pages import Page, Pages, bare_url
from sandbox.screen import Rect, Screen
from sandbox.state import pictures
from sandbox.state.capture import Capture
from sandbox.state.check import Checker
from sandbox.state.conditions import parse_condition
from sandbox.state.diff import Notes, diff
from sandbox.state.guard import Cover, Guard
from sandbox.state.meaning import Meaning
from sandbox.state.motions import Motions
from sandbox.state.secrecy import scrub
from sandbox.state.snapshot import Digest, Snapshot
from sandbox.state.text import text
from sandbox.state.worlds import UNANSWERED, Worlds
from sandbox.words import BadRequest, Clock

WIDEST: Final = 1280
_MOST_LABELS: Final = 8
_MOST_NOTES: Final = 200


@dataclass(slots=True)
class _Mark:
    snapshot: Snapshot
    picture: bytes = field(repr=False)
    secret: bool = False
    values: set[str] = field(default_factory=set, repr=False)
    """What was secret when the diff was last made, so that the same can be asked again after the blanking."""
    downloads: dict[str, dict[str, Any]] = field(default_factory=dict)
    dialogs: list[dict[str, Any]] = field(default_factory=list)


class StateRoom:
    """Knows the state of one sandbox. Create it on the keeper's running loop; `close` ends its watching.

    `set_masks` is called on the loop whenever the rectangles of secrets on the screen change.
    """

    def __init__(
        self,
        pages: Pages,
        screen: Screen | None,
        key: bytes,
        clock: Clock,
        *,
        set_masks: Callable[[Sequence[Rect]], None] | None = None,
    ) -> None:
        self._pages, self._screen, self._clock = pages, screen, clock
        worlds = Worlds(pages)
        self._capture = Capture(pages, worlds, Digest(key))
        self._checker = Checker(pages, worlds, lambda: self._guard.tainted)
        self._meaning = Meaning(pages, worlds, Digest(key))
        self._motions = Motions(pages, self._capture, clock)
        self._guard = Guard(pages, worlds, clock, set_masks)
        self._marks: dict[str, _Mark] = {}
        self._loading: set[str] = set()
        self._resting: asyncio.Task[None] | None = None
        self._end = pages.on_event(self._on_event)

    def __repr__(self) -> str:
        return f"<StateRoom {len(self._marks)} marks, {self._guard!r}>"

    async def mark(self, label: str) -> dict[str, Any]:
        """Take the snapshot *before* and keep it under `label`; returns `{"url", "title"}` of the active tab."""
        if self._resting is not None:
            self._resting.cancel()  # what it has sent already comes before what we send
        self._checker.forget()
        snapshot, picture = await self._now(begin=True)
        self._marks.pop(label, None)
        for mark in self._marks.values():
            mark.values.clear()
        self._marks[label] = _Mark(snapshot, picture, self._guard.tainted)
        self._motions.begin(snapshot)
        while len(self._marks) > _MOST_LABELS:
            del self._marks[next(iter(self._marks))]
        tab = snapshot.current
        return {"url": tab.url if tab else "", "title": tab.title if tab else ""}

    async def diff(self, label: str) -> dict[str, Any]:
        """Take the snapshot *after*; returns `{"diff", "text", "images": {"before", "after"}}` (JPEG in base64).

        The mark is kept, so that the same can be asked again. An unknown label says that there was no snapshot before.
        """
        self._motions.end()
        snapshot, picture = await self._now()
        mark = self._marks.get(label)
        notes = Notes(self._guard.tainted)
        if mark is not None:
            notes = Notes(
                mark.secret or self._guard.tainted, tuple(mark.downloads.values()), tuple(mark.dialogs),
                self._motions.inputs, self._motions.navigations, self._motions.written, self._clock.now(),
            )  # fmt: skip
        values = set(self._guard.values)
        if mark is not None:
            mark.values |= values
            values = mark.values
        changed = scrub(diff(mark.snapshot if mark else None, snapshot, notes), values)
        images = {"before": _base64(mark.picture if mark else b""), "after": _base64(picture)}
        return {"diff": changed, "text": text(changed), "images": images}

    async def check(self, condition: Mapping[str, Any], *, live: bool = False) -> dict[str, Any]:
        """Return `{"met", "parts": [{"condition", "met", "why"}]}` for the active tab, or the one named by "target".

        `live`: it is looked at again and again, beside somebody's work (see `Checker.check`). Raises `BadRequest` when
        the condition cannot be read.
        """
        if not isinstance(condition, Mapping):
            raise BadRequest("the condition must be an object", part="condition")
        target = condition.get("target")
        if target is not None and not isinstance(target, str):
            raise BadRequest("condition.target must be the id of a tab", part="condition.target")
        parsed = parse_condition({key: value for key, value in condition.items() if key != "target"})
        return await self._checker.check(parsed, target, live=live)

    async def token(self, target: str) -> str:
        """Return the keyed digest of what a page means now (see `meaning`). Raises `NotFound`, `Unavailable`."""
        return await self._meaning.token(target)

    async def blank_secrets(self) -> int:
        """Empty every secret field still filled, everywhere; returns how many there were.

        Values are set as the browser itself would set them, followed by one `input` event and nothing else.
        A secret lease ends with it: what is typed from then on is no longer the operator's. Nor is what moves noted.
        """
        self._motions.end()
        count = await self._guard.blank()
        self._resting = asyncio.get_running_loop().create_task(self._capture.rest())
        return count

    async def thumbnail(self, width: int) -> bytes:
        """Return the screen as JPEG, at most `width` wide, secret fields covered; empty where there is no picture."""
        page = self._pages.active
        covers = {page.target: await self._guard.cover(page)} if page is not None else {}
        return await self._picture(max(16, min(width, WIDEST)), covers)

    def secret_lease(self, on: bool) -> None:
        """A lease begins (or ends) in which all text the operator types is secret, whatever the field."""
        if on:
            for mark in self._marks.values():
                mark.secret = True
        self._guard.lease(on)

    async def secret_entry(self) -> bool:
        """The focused field is about to be filled by the console's secret entry: it is secret from now on.

        Returns whether a field has the focus.
        """
        return await self._guard.entry()

    def note_download(self, name: str, state: str, size: int) -> None:
        """A download began, went on or ended (`state` as Chromium's: inProgress, completed, canceled)."""
        for mark in self._marks.values():
            if name in mark.downloads or len(mark.downloads) < _MOST_NOTES:
                mark.downloads[name] = {"name": name[:WIDEST], "state": state, "size": size}

    def note_dialog(self, kind: str, origin: str, accepted: bool) -> None:
        """A dialog of a page was answered."""
        self._motions.note_input()
        for mark in self._marks.values():
            if len(mark.dialogs) < _MOST_NOTES:
                mark.dialogs.append({"kind": kind, "origin": bare_url(origin), "accepted": accepted})

    async def close(self) -> None:
        """Stop watching and forget everything."""
        self._end()
        self._motions.close()
        if self._resting is not None:
            self._resting.cancel()
            await asyncio.gather(self._resting, return_exceptions=True)
        self._marks.clear()
        await self._guard.close()

    async def _now(self, *, begin: bool = False) -> tuple[Snapshot, bytes]:
        # First the secrets, so that the snapshot knows which fields they are in. The picture is taken before the
        # snapshot is asked for: what it needs of the page takes a moment, and would wait for the snapshot else.
        covers = await self._guard.look(begin=begin)
        hanging = frozenset(target for target, cover in covers.items() if cover.hangs)
        picture, snapshot = await asyncio.gather(self._picture(WIDEST, covers), self._snapshot(hanging, begin))
        return snapshot, picture

    async def _snapshot(self, hanging: frozenset[str], begin: bool) -> Snapshot:
        self._loading &= {page.target for page in self._pages.all}
        return await self._capture.take(frozenset(self._loading), hanging, begin=begin)

    async def _picture(self, widest: int, covers: Mapping[str, Cover]) -> bytes:
        page = self._pages.active
        before = covers.get(page.target, Cover(hangs=True)) if page is not None else Cover()
        if before.hangs:
            return b""  # what it shows that is secret cannot be known
        try:
            image = await pictures.take(self._screen, self._pages, page)
        except UNANSWERED:
            return b""
        if image is None:
            return b""
        after = await self._guard.cover(page)
        covered = {*before.boxes, *before.masks, *after.boxes, *after.masks, *self._guard.covered()}
        if not after.answered:
            # What a page shows that cannot be asked is not known; nothing of it is kept.
            covered.add(Rect(0, 0, 1 << 15, 1 << 15))
        return await asyncio.to_thread(pictures.encode, image, tuple(covered), widest)

    def _on_event(self, page: Page, _session: str, method: str, params: dict[str, Any]) -> None:
        # The main frame of a page has the id of its target.
        if params.get("frameId") == page.target:
            if method == "Page.frameStartedLoading":
                self._loading.add(page.target)
            elif method == "Page.frameStoppedLoading":
                self._loading.discard(page.target)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
