"""Taking a snapshot: every page at once, each within a deadline, so that one hanging page spoils only itself."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.pages import Page, Pages, bare_url
from sandbox.state.snapshot import MAX_NODES, Digest, Reader, Snapshot, TabState
from sandbox.state.worlds import UNANSWERED, Frame, Worlds, settled

DEADLINE_S: Final = 2.0
_MOST_ELEMENTS: Final = MAX_NODES * 5
_MOST_KEYS: Final = 1000
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

    async def take(
        self, marked: Collection[tuple[str, int]], loading: Collection[str], hanging: Collection[str]
    ) -> Snapshot:
        """Return the sandbox as it is now.

        `marked` fields are secret; `loading` names the tabs with a navigation under way,
        `hanging` those that are known not to answer.
        """
        active = self._pages.active
        looks, cookies = await asyncio.gather(
            asyncio.gather(
                *(self._look(page, marked, page.target in loading, page.target in hanging) for page in self._pages.all)
            ),
            self._cookies(),
        )
        storage: Storage = {}
        for look in looks:
            storage |= look.storage
        return Snapshot(active.target if active else None, tuple(look.tab for look in looks), cookies, storage)

    async def _look(self, page: Page, marked: Iterable[tuple[str, int]], loading: bool, hangs: bool) -> _Look:
        url = page.url
        try:
            if hangs:
                raise TimeoutError
            async with asyncio.timeout(DEADLINE_S):
                return await self._look_inside(page, marked, loading)
        except UNANSWERED:
            unfinished = ("navigation",) if loading else ()
            tab = TabState(
                page.target, bare_url(url), self._digest(url), page.title, unfinished=unfinished, answered=False
            )
            return _Look(tab)

    async def _look_inside(self, page: Page, marked: Iterable[tuple[str, int]], loading: bool) -> _Look:
        frames, frames_left = await self._worlds.frames(page, DEADLINE_S)
        found = await settled([self._worlds.run(frame, "storage", _MOST_KEYS, timeout=DEADLINE_S) for frame in frames])
        stores: list[dict[str, Any] | None] = found
        reader = Reader(self._digest, marked)
        names = {frame.id: frame.label for frame in frames}
        document = ("", 0)
        sessions = page.sessions  # they come and go while we wait
        for session, raw in zip(sessions, await self._documents(sessions, stores, frames), strict=True):
            if raw is None:
                reader.left_out["frames"] = reader.left_out.get("frames", 0) + 1
                continue
            # In a thread, so that the stream goes on while a large page is read.
            first = await asyncio.to_thread(reader.read, session, raw, names)
            document = first if session == page.session else document
        if frames_left:
            reader.left_out["frames"] = reader.left_out.get("frames", 0) + frames_left
        await self._adopt(reader.closed_roots.values(), frames)
        main = stores[0] or {}
        unfinished = [*(["navigation"] if loading or main.get("ready") == "loading" else []), *reader.timers]
        url, title = frames[0].url, main.get("title", page.title)
        tab = TabState(
            page.target, bare_url(url), self._digest(url), title, document, tuple(reader.fields),
            tuple(reader.elements), tuple(unfinished), reader.left_out,
        )  # fmt: skip
        return _Look(tab, self._storage(stores, reader))

    async def _documents(
        self, sessions: Sequence[str], stores: list[dict[str, Any] | None], frames: list[Frame]
    ) -> list[dict[str, Any] | None]:
        large = {
            frame.session
            for frame, store in zip(frames, stores, strict=True)
            if store is not None and store["size"] > _MOST_ELEMENTS
        }

        async def of(session: str) -> dict[str, Any]:
            if session in large:
                raise TimeoutError
            params = {"computedStyles": ["visibility"]}
            return await self._pages.connection.call("DOMSnapshot.captureSnapshot", params, session, DEADLINE_S)

        return await settled([of(session) for session in sessions])

    async def _adopt(self, closed: Iterable[tuple[str, int]], frames: list[Frame]) -> None:
        by_id = {frame.id: frame for frame in frames}
        await settled([self._worlds.adopt_root(by_id[at], node, DEADLINE_S) for at, node in closed if at in by_id])

    def _storage(self, stores: list[dict[str, Any] | None], reader: Reader) -> Storage:
        found: Storage = {}
        top = (stores[0] or {}).get("origin", "")
        for store in stores:
            if store is None:
                continue
            if store["leftOut"]:
                reader.left_out["storage"] = reader.left_out.get("storage", 0) + store["leftOut"]
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
