"""Baton's own view of the browser's pages: one CDP session for each page and each out-of-process frame.

These sessions belong to Baton, beside those of the gate's clients; what is done through them needs no permission
and is never shown to an agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sandbox.cdp import CdpError, Connection
from sandbox.screen import Tab
from sandbox.words import Gone, NotFound

_TITLE_MAY_CHANGE = frozenset({"Page.domContentEventFired", "Page.loadEventFired", "Page.navigatedWithinDocument"})


def bare_url(url: str) -> str:
    """Return `url` without user, query and fragment: what may be shown and stored."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.port:
        host = f"{host}:{parts.port}"
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


@dataclass(slots=True)
class Page:
    """One page target and Baton's CDP sessions on it: `session` for its main frame's process, `frames` for others."""

    target: str
    session: str
    url: str
    title: str
    opened: int
    frames: dict[str, str] = field(default_factory=dict)
    """CDP session of each out-of-process frame → its target id."""

    @property
    def sessions(self) -> tuple[str, ...]:
        """Every session on this page, the main one first."""
        return (self.session, *self.frames)


type PageEvent = Callable[[Page, str, str, dict[str, Any]], None]
"""Called as (page, session, method, params)."""


class Pages:
    """All pages of one browser, in the order they were opened. Create, then `start` once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._pages: dict[str, Page] = {}
        self._by_session: dict[str, Page] = {}
        self._counter = 0
        self._active: str | None = None
        self._changed: list[Callable[[], None]] = []
        self._events: list[PageEvent] = []
        self._crashed: list[Callable[[Tab], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._first = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Pages {len(self._pages)} open, active={self._active}>"

    async def start(self) -> None:
        """Attach to everything that is open and will be opened; returns once there is a page."""
        self.connection.listen(None, lambda method, params: self._on_event(None, method, params))
        await self.connection.call("Target.setDiscoverTargets", {"discover": True})
        await self.connection.call(
            "Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        )
        await asyncio.wait_for(self._first.wait(), 10)

    @property
    def all(self) -> tuple[Page, ...]:
        """Every open page, oldest first."""
        return tuple(sorted(self._pages.values(), key=lambda p: p.opened))

    @property
    def active(self) -> Page | None:
        """The page in front: the one last activated or opened."""
        return self._pages.get(self._active or "") or (self.all[-1] if self._pages else None)

    def get(self, target: str | None) -> Page:
        """Return the page with this target id (None: the active one). Raises `NotFound`."""
        page = self.active if target is None else self._pages.get(target)
        if page is None:
            raise NotFound(f"there is no tab {target}", tab=target)
        return page

    def tabs(self) -> tuple[Tab, ...]:
        """The pages as the operator sees them."""
        active = self.active
        return tuple(Tab(p.target, bare_url(p.url), p.title, p is active) for p in self.all)

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever `tabs()` may have changed; returns a function that ends it."""
        self._changed.append(listener)
        return lambda: self._changed.remove(listener) if listener in self._changed else None

    def on_event(self, listener: PageEvent) -> Callable[[], None]:
        """Hear every CDP event of every session on every page (Page is always enabled).

        Returns a function that ends it.
        """
        self._events.append(listener)
        return lambda: self._events.remove(listener) if listener in self._events else None

    def on_crash(self, listener: Callable[[Tab], None]) -> Callable[[], None]:
        """Call `listener` when a page's process dies; its tab stays and can be reloaded.

        Returns a function that ends it.
        """
        self._crashed.append(listener)
        return lambda: self._crashed.remove(listener) if listener in self._crashed else None

    async def call(
        self,
        page: Page,
        method: str,
        params: dict[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - handed on
    ) -> dict[str, Any]:
        """Call `method` on the page's main session. Raises `CdpError`, `Gone`, `TimeoutError`."""
        return await self.connection.call(method, params, page.session, timeout)

    async def activate(self, target: str) -> None:
        """Bring a page to the front. Raises `NotFound`."""
        page = self.get(target)
        await self.connection.call("Target.activateTarget", {"targetId": page.target})
        self._active = page.target
        self._tell()

    def _on_event(self, session: str | None, method: str, params: dict[str, Any]) -> None:
        if method == "Target.attachedToTarget":
            self._attached(session, params)
        elif method == "Target.detachedFromTarget":
            self._detached(params["sessionId"])
        elif method == "Target.targetInfoChanged":
            info = params["targetInfo"]
            if page := self._pages.get(info["targetId"]):
                page.url, page.title = info["url"], info["title"]
                self._tell()
        elif method == "Target.targetCrashed" and (page := self._pages.get(params["targetId"])):
            for listener in list(self._crashed):
                listener(Tab(page.target, bare_url(page.url), page.title, page is self.active))
        elif method in _TITLE_MAY_CHANGE and session and (page := self._by_session.get(session)):
            self._spawn(self._refresh(page))
        if session and (page := self._by_session.get(session)):
            for heard in list(self._events):
                heard(page, session, method, params)

    def _attached(self, parent: str | None, params: dict[str, Any]) -> None:
        info, session = params["targetInfo"], params["sessionId"]
        if info["type"] == "page":
            self._counter += 1
            page = Page(info["targetId"], session, info["url"], info["title"], self._counter)
            self._pages[page.target] = page
            self._active = page.target
        elif info["type"] == "iframe" and parent in self._by_session:
            page = self._by_session[parent]
            page.frames[session] = info["targetId"]
        elif info["type"] == "browser":
            return  # the root of a gate's client
        else:
            self._spawn(self._let_go(session))
            return
        self._by_session[session] = page
        self.connection.listen(session, lambda method, p: self._on_event(session, method, p))
        self._spawn(self._prepare(session))
        self._tell()

    def _detached(self, session: str) -> None:
        page = self._by_session.pop(session, None)
        if page is None:
            return
        if page.session == session:
            self._pages.pop(page.target, None)
            if self._active == page.target:
                self._active = None
        else:
            page.frames.pop(session, None)
        self._tell()

    async def _prepare(self, session: str) -> None:
        auto = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        try:
            await self.connection.call("Page.enable", {}, session)
            await self.connection.call("Target.setAutoAttach", auto, session)
            # A popup waits for this although its attach event says waitingForDebugger: false (Chromium 156, measured);
            # without it window.open never returns in the opener.
            await self.connection.call("Runtime.runIfWaitingForDebugger", {}, session)
        except (CdpError, Gone, TimeoutError):
            return  # it closed while we attached; its detach event cleans up
        self._first.set()

    async def _refresh(self, page: Page) -> None:
        """Read address and title again: Chromium tells of a new title only when the address changes too (measured)."""
        try:
            reply = await self.connection.call("Target.getTargetInfo", {"targetId": page.target})
        except (CdpError, Gone, TimeoutError):
            return
        info = reply["targetInfo"]
        if (page.url, page.title) != (info["url"], info["title"]):
            page.url, page.title = info["url"], info["title"]
            self._tell()

    async def _let_go(self, session: str) -> None:
        try:
            await self.connection.call("Target.detachFromTarget", {"sessionId": session})
        except (CdpError, Gone, TimeoutError):
            return

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self) -> None:
        for listener in list(self._changed):
            listener()
