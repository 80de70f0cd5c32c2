"""Taking a snapshot: every page at once, each within a deadline, so that one hanging page spoils only itself."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.pages import Page, Pages, bare_url
from sandbox.state.snapshot import LONGEST, MAX_BYTES, MAX_NODES, Digest, Reader, Snapshot, TabState
from sandbox.state.worlds import UNANSWERED, Frame, Worlds, settled

DEADLINE_S: Final = 2.0
_AGAIN_S: Final = 0.05
_MOST_KEYS: Final = 1000
_MOST_HOSTS: Final = 200
_FEW_HOSTS: Final = 40
"""How many elements are asked for a hidden shadow root when the agent waits for the answer."""
type Storage = dict[tuple[str, str, str], bytes]


@dataclass(slots=True)
class _Look:
    """What one page gave."""

    tab: TabState
    storage: Storage = field(default_factory=dict)


class Capture:
    """Takes snapshots of all pages of a browser."""

    def __init__(self, pages: Pages, worlds: Worlds, digest: Digest) -> None:
        self._pages, self._worlds, self._digest = pages, worlds, digest

    async def take(self, loading: Collection[str], hanging: Collection[str], *, begin: bool = False) -> Snapshot:
        """Return the sandbox as it is now.

        `loading` names the tabs with a navigation under way, `hanging` those that are known not to answer.
        `begin`: what moves is noted from now on.
        """
        active = self._pages.active
        looks, cookies = await asyncio.gather(
            asyncio.gather(
                *(self._look(page, page.target in loading, page.target in hanging, begin) for page in self._pages.all)
            ),
            self._cookies(),
        )
        storage: Storage = {}
        for look in looks:
            storage |= look.storage
        return Snapshot(active.target if active else None, tuple(look.tab for look in looks), cookies, storage)

    async def rest(self) -> None:
        """Note no longer what moves, in any page."""
        found = await settled([self._worlds.frames(page, DEADLINE_S) for page in self._pages.all])
        frames = [frame for each in found if each is not None for frame in each[0]]
        await settled([self._worlds.rest(frame, DEADLINE_S) for frame in frames])

    async def stores(self) -> Storage:
        """Return only the cookies and the storage of all pages that answer, by their keys."""
        cookies, *found = await asyncio.gather(self._cookies(), *(self._stores(page) for page in self._pages.all))
        return {key: value for stores in (cookies, *found) for key, value in stores.items()}

    async def _stores(self, page: Page) -> Storage:
        try:
            frames, _ = await self._worlds.frames(page, DEADLINE_S)
        except UNANSWERED:
            return {}
        stores = await settled([self._worlds.run(frame, "storage", _MOST_KEYS, timeout=DEADLINE_S) for frame in frames])
        return self._storage(stores)

    async def _look(self, page: Page, loading: bool, hangs: bool, begin: bool) -> _Look:
        url = page.url
        try:
            if hangs:
                raise TimeoutError
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    look = await self._look_inside(page, loading, begin)
                    if look is not None:
                        return look
                    await asyncio.sleep(_AGAIN_S)  # its next document is on the way
        except UNANSWERED:
            unfinished = ("navigation",) if loading else ()
            tab = TabState(
                page.target, bare_url(url), self._digest(url), page.title, unfinished=unfinished, answered=False
            )
            return _Look(tab)

    async def _look_inside(self, page: Page, loading: bool, begin: bool) -> _Look | None:
        """Return what a page gives; None when its document was replaced while we looked."""
        frames, frames_left = await self._worlds.frames(page, DEADLINE_S)
        found: list[dict[str, Any] | None] = await settled([self._frame(frame, begin) for frame in frames])
        if found[0] is None:
            again, _ = await self._worlds.frames(page, DEADLINE_S)
            if again[0].document != frames[0].document:
                return None
            raise TimeoutError
        reader = Reader(self._digest)
        # In a thread, so that the stream goes on while a large page is read.
        await asyncio.to_thread(_read, reader, frames, found)
        if missing := frames_left + found.count(None):
            reader.leave("frames", missing)
        stores = [each["stores"] if each else None for each in found]
        main = found[0]["stores"]
        unfinished = [*(["navigation"] if loading or main["ready"] == "loading" else []), *reader.timers]
        url = frames[0].url
        tab = TabState(
            page.target, bare_url(url), self._digest(url), main["title"],
            {frame.id: (frame.document, bare_url(frame.url)) for frame in frames},
            tuple(reader.fields), tuple(reader.elements), tuple(unfinished), reader.left_out, gone=reader.gone,
        )  # fmt: skip
        for store in stores:
            if store is not None and store["leftOut"]:
                reader.leave("storage", store["leftOut"])
        return _Look(tab, self._storage(stores))

    async def _frame(self, frame: Frame, begin: bool) -> dict[str, Any]:
        options = {"nodes": MAX_NODES, "bytes": MAX_BYTES, "longest": LONGEST, "keys": _MOST_KEYS}
        seen = await self._worlds.look(frame, {**options, "begin": begin}, DEADLINE_S)
        most = _MOST_HOSTS if begin else _FEW_HOSTS
        if seen["hosts"] and (roots := await self._worlds.hidden_roots(frame, most, DEADLINE_S)):
            await settled([self._worlds.hand_over(frame, root, "addRoot(this)", DEADLINE_S) for root in roots])
            seen = await self._worlds.look(frame, options, DEADLINE_S)
        return seen

    def _storage(self, stores: list[dict[str, Any] | None]) -> Storage:
        found: Storage = {}
        top = (stores[0] or {}).get("origin", "")
        for store in stores:
            if store is None:
                continue
            # Storage of a frame from elsewhere is kept apart by the site it is embedded in.
            origin = store["origin"] if store["origin"] == top else f"{store['origin']} in {top}"
            for area, key, value in store["storage"]:
                found[(origin, area, key)] = self._digest(value)
        return found

    async def _cookies(self) -> Storage:
        try:
            answer = await self._pages.connection.call("Storage.getCookies", {}, None, DEADLINE_S)
        except UNANSWERED:
            return {}
        return {(each["name"], each["domain"], each["path"]): self._digest(each["value"]) for each in answer["cookies"]}


def _read(reader: Reader, frames: list[Frame], found: list[dict[str, Any] | None]) -> None:
    for frame, look in zip(frames, found, strict=True):
        if look is not None:
            reader.read(frame.document, frame.label, look)
