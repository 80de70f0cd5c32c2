"""Watching the pages of one sandbox for blockers, while the agent holds control.

A page is looked at when it has settled after a navigation, a change of its document or something the agent did; never
on a clock. Where nothing changes nothing is done, and a page that does not answer is left alone longer and longer.
While anybody else holds control detection stands still; at the return every page is looked at anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from sandbox.blockers.detect import detect
from sandbox.blockers.eyes import Eyes, Sight
from sandbox.blockers.facts import Facts, Native, Scan, Signal
from sandbox.blockers.ledger import Judged, Ledger
from sandbox.blockers.policy import Policies, Policy
from sandbox.blockers.stuck import Repeats, action_of
from sandbox.fence import Fence
from sandbox.pages import Page, Pages, bare_url
from sandbox.words import Clock, Epoch, Holder, NotFound, Side

SETTLE_S: Final = 0.3
"""How long a page must have been quiet."""
LONGEST_S: Final = 2.0
"""A page that is never quiet is looked at all the same."""
GAP_S: Final = 0.5
WIDEST_GAP_S: Final = 5.0
"""Between two looks at a page that changes all the time and never differently."""
SILENCE_S: Final = 60.0
"""The longest that a page which does not answer is left alone."""
_UNAUTHORIZED: Final = 401
_LOADED: Final = frozenset({"Page.domContentEventFired", "Page.loadEventFired", "Page.frameStoppedLoading"})
_EFFECTS: Final = frozenset({"Page.downloadWillBegin", "Page.windowOpen", "Page.fileChooserOpened"})
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class News:
    """Something about one tab's blockers has changed."""

    target: str
    url: str
    title: str
    current: tuple[Judged, ...]
    new: tuple[Judged, ...] = ()
    gone: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: `{"target", "url", "title", "findings", "new", "gone"}`."""
        return {
            "target": self.target, "url": self.url, "title": self.title,
            "findings": [judged_wire(each) for each in self.current],
            "new": [each.finding.kind for each in self.new], "gone": list(self.gone),
        }  # fmt: skip


def judged_wire(judged: Judged) -> dict[str, Any]:
    """Return a finding's JSON form with its policy: `{"kind", "sort", "confidence", "where", "why", "policy"}`."""
    return {**judged.finding.to_wire(), "policy": judged.policy.value}


@dataclass(slots=True)
class _Watched:
    """What is known of one page."""

    target: str
    ledger: Ledger = field(default_factory=Ledger)
    repeats: Repeats = field(default_factory=Repeats)
    scans: tuple[Scan, ...] = ()
    sight: Sight | None = None
    dirty: bool = True
    dialog: Signal | None = None
    chooser: tuple[str, int, Signal] | None = None
    acted_at: float = float("-inf")
    looked_at: float = float("-inf")
    gap: float = GAP_S
    silent: int = 0
    wanted: float | None = None
    firm: float | None = None
    timer: asyncio.TimerHandle | None = None
    looking: asyncio.Task[None] | None = None
    told: tuple[dict[str, Any], ...] = ()


class Watch:
    """Watches one browser's pages. Create it on the running loop, after `pages.start`; `close` ends it.

    `on_news` hears each change once; it must not block.
    """

    def __init__(
        self, pages: Pages, fence: Fence, policies: Policies, clock: Clock, on_news: Callable[[News], None]
    ) -> None:
        self.policies = policies
        self._pages, self._clock, self._on_news = pages, clock, on_news
        self._eyes = Eyes(pages.connection)
        self._watched: dict[str, _Watched] = {}
        self._on = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.looks = 0
        self._ends: list[Callable[[], None]] = []
        if not policies.idle:
            self._on_pages()
            self._ends = [
                pages.on_change(self._on_pages), pages.on_event(self._on_event), fence.listen(self._on_control),
            ]  # fmt: skip

    def __repr__(self) -> str:
        return f"<Watch {'on' if self._on else 'standing still'} [pages: {len(self._watched)} | looks: {self.looks}]>"

    @property
    def resting(self) -> bool:
        """Whether no page is being looked at, or about to be."""
        return not any(each.timer or each.looking for each in self._watched.values())

    def current(self, target: str | None = None) -> list[dict[str, Any]]:
        """Return what is there now, as `{"target", "url", "title", "findings"}` for each page that has something."""
        found = []
        for page in self._pages.all:
            watched = self._watched.get(page.target)
            if watched is not None and watched.told and target in {None, page.target}:
                findings = list(watched.told)
                found.append(
                    {"target": page.target, "url": bare_url(page.url), "title": page.title, "findings": findings}
                )
        return found

    def acted(self, target: str | None, method: str, params: Mapping[str, Any]) -> None:
        """The agent has sent this command to a page. Cheap: it is called for every one."""
        if target is None or not self._on or (action := action_of(method, params)) is None:
            return
        watched = self._watched.get(target) or self._owner(target)
        if watched is None:
            return
        watched.acted_at = self._clock.monotonic()
        watched.repeats.acted(action)
        self._soon(watched, SETTLE_S)

    def forget(self, target: str, kind: str) -> None:
        """Tell a finding anew, if it is still there: nobody has dealt with it."""
        if (watched := self._watched.get(target)) is not None:
            watched.ledger.forget(kind)
            watched.dirty = True
            self._soon(watched, LONGEST_S, WIDEST_GAP_S)

    async def close(self) -> None:
        """Stop watching."""
        self._on = False
        for end in self._ends:
            end()
        self._stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _owner(self, target: str) -> _Watched | None:
        """Find the page of a frame that lives in a process of its own."""
        owners = (page.target for page in self._pages.all if target in page.frames.values())
        return next((self._watched[owner] for owner in owners if owner in self._watched), None)

    # What happens.

    def _on_control(self, holder: Holder, _epoch: Epoch) -> None:
        on = holder.side is Side.AGENT
        if on == self._on:
            return
        self._on = on
        if not on:
            self._stop()
            return
        self._eyes.renew()
        for page in self._pages.all:
            watched = self._watched[page.target]
            watched.repeats.forget()
            watched.dirty, watched.silent, watched.gap = True, 0, GAP_S
            self._soon(watched, SETTLE_S)

    def _on_pages(self) -> None:
        there = {page.target for page in self._pages.all}
        self._eyes.forget({session for page in self._pages.all for session in page.sessions})
        for target in self._watched.keys() - there:
            watched = self._watched.pop(target)
            _cancel(watched)
            if watched.told:
                gone = tuple(each["kind"] for each in watched.told)
                self._on_news(News(target, "", "", (), (), gone))
        for target in there - self._watched.keys():
            self._watched[target] = _Watched(target)
            self._soon(self._watched[target], SETTLE_S)

    def _on_event(self, page: Page, session: str, method: str, params: dict[str, Any]) -> None:
        watched = self._watched.get(page.target)
        if watched is None:
            return
        match method:
            case "Page.frameNavigated":
                if "parentId" not in params["frame"] and session == page.session:
                    watched.dialog = watched.chooser = None
                self._changed(watched)
            case "Page.navigatedWithinDocument":
                self._changed(watched)
            case "Runtime.bindingCalled" if params.get("name") == self._eyes.binding:
                watched.dirty = True
                self._soon(watched, 0.0, watched.gap)
            case "Page.javascriptDialogOpening":
                watched.dialog = Signal(Native(params["type"]), params.get("frameId") or page.target)
                watched.repeats.forget()
                self._soon(watched, SETTLE_S)
            case "Page.javascriptDialogClosed":
                watched.dialog = None
                self._soon(watched, 0.0)
            case "Page.fileChooserOpened" if "backendNodeId" in params:
                signal = Signal(Native.FILE_CHOOSER, params["frameId"])
                watched.chooser = (session, params["backendNodeId"], signal)
                watched.repeats.forget()
                self._soon(watched, SETTLE_S)
            case _ if method in _LOADED:
                self._changed(watched)
            case _ if method in _EFFECTS:
                watched.repeats.forget()

    def _changed(self, watched: _Watched) -> None:
        watched.dirty, watched.gap, watched.silent = True, GAP_S, 0
        self._soon(watched, SETTLE_S)

    # When a page is looked at.

    def _soon(self, watched: _Watched, delay: float, gap: float = 0.0) -> None:
        """Look once the page has been quiet for `delay`; `gap` after the last look at the soonest."""
        if not self._on:
            return
        now = self._clock.monotonic()
        if watched.wanted is None:
            watched.wanted = now
        at = max(min(now + delay, watched.wanted + LONGEST_S), watched.looked_at + gap)
        if watched.firm is not None:
            at = min(at, watched.firm)
        if watched.timer is not None:
            watched.timer.cancel()
        loop = asyncio.get_running_loop()
        watched.timer = loop.call_later(max(0.0, at - now), self._begin, watched)

    def _begin(self, watched: _Watched) -> None:
        watched.timer = None
        if watched.looking is not None:
            self._soon(watched, SETTLE_S)
            return
        watched.wanted = watched.firm = None
        watched.looking = self._spawn(self._look(watched))

    def _stop(self) -> None:
        for watched in self._watched.values():
            _cancel(watched)

    # Looking.

    async def _look(self, watched: _Watched) -> None:
        try:
            page = self._pages.get(watched.target)
        except NotFound:
            return
        if watched.dialog is None and not await self._read(watched, page):
            watched.silent += 1
            watched.firm = None
            self._soon(watched, 0.0, min(SILENCE_S, 2.0**watched.silent))
            return
        if watched.chooser is not None and watched.dialog is None:
            session, node, _signal = watched.chooser
            if not await self._eyes.empty_chooser(session, node):
                watched.chooser = None
        if self._on and self._watched.get(watched.target) is watched:
            self._judge(watched, page)

    async def _read(self, watched: _Watched, page: Page) -> bool:
        """Look into the page; False where it does not answer."""
        scan, watched.dirty = watched.dirty, False
        watched.looked_at = self._clock.monotonic()
        self.looks += 1
        sight = await self._eyes.look(page, scan=scan)
        if sight is None or (scan and not sight.scans):
            watched.dirty = True
            return False
        watched.silent = 0
        same = watched.sight is not None and watched.sight.document == sight.document
        if scan:
            # A page that goes on changing and comes to the same is looked at less and less often.
            watched.gap = min(WIDEST_GAP_S, 2 * watched.gap) if same and watched.scans == sight.scans else GAP_S
            watched.scans = sight.scans
        watched.sight = sight
        watched.repeats.read(sight.state, sight.place, self._clock.monotonic())
        return True

    def _judge(self, watched: _Watched, page: Page) -> None:
        now = self._clock.monotonic()
        url = bare_url(page.url)
        found: dict[str, Judged] = {}
        for finding in detect(self._facts(watched, page)):
            policy = self.policies.judge(finding)
            known = found.get(finding.kind)
            if policy is not Policy.IGNORE and (known is None or known.finding.confidence < finding.confidence):
                found[finding.kind] = Judged(finding, policy)
        document = f"{watched.sight.document if watched.sight else ''} {url}"
        told = watched.ledger.see(document, found, now, now - watched.acted_at)
        current = watched.ledger.current
        wires = tuple(judged_wire(each) for each in current)
        changed = [w["kind"] for w in wires] != [w["kind"] for w in watched.told]
        watched.told = wires
        if told.new or told.gone or changed:
            self._on_news(News(watched.target, url, page.title, current, told.new, told.gone))
        if told.again_s is not None:
            # A look that finds only what was told already does not become a reason for the next one.
            watched.firm = now + told.again_s
            self._soon(watched, told.again_s)

    def _facts(self, watched: _Watched, page: Page) -> Facts:
        signals: list[Signal] = []
        sight = watched.sight
        if watched.dialog is not None:
            signals.append(watched.dialog)
        if watched.chooser is not None:
            signals.append(watched.chooser[2])
        if sight is not None and sight.failed and sight.status == _UNAUTHORIZED:
            # Chromium shows its own error page where it was asked for a password and had none.
            signals.append(Signal(Native.BASIC_AUTH, page.target))
        return Facts(
            url=page.url, status=sight.status if sight else None, frames=watched.scans, signals=tuple(signals),
            stuck=watched.repeats.stuck,
        )  # fmt: skip

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        for watched in self._watched.values():
            if watched.looking is task:
                watched.looking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a look for blockers failed", error=type(error).__name__)


def _cancel(watched: _Watched) -> None:
    for waiting in (watched.timer, watched.looking):
        if waiting is not None:
            waiting.cancel()
    watched.timer = watched.looking = watched.wanted = watched.firm = None
