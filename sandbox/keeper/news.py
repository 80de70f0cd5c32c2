"""What a keeper tells its server unasked: tabs, prompts, downloads, the agent's clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from sandbox.downloads import Download
from sandbox.keeper.assembly import Assembly
from sandbox.screen import Cursor, Prompt, Rect, Tab
from sandbox.words import Epoch, Holder

_SETTLE_S: Final = 0.05
_TICK_S: Final = 1.0


class Outlet(Protocol):
    """Where news go."""

    def emit(self, event: str, params: dict[str, Any]) -> None:
        """Tell the server, if there is one."""
        ...


class News:
    """Watches the parts of one sandbox and tells what changed, no more often than a server wants to hear it."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._assembly: Assembly | None = None
        self._note: Callable[[str], None] = lambda _note: None
        self._ends: list[Callable[[], object]] = []
        self._tabs_later: asyncio.TimerHandle | None = None
        self._told_agent: tuple[int, int] = (0, 0)
        self._told_tabs: list[dict[str, Any]] = []

    def follow(self, assembly: Assembly, note: Callable[[str], None]) -> None:
        """Begin. `note` hears what a person should be told about the sandbox."""
        self._assembly, self._note = assembly, note
        ticker = asyncio.create_task(self._tick())
        self._ends = [
            assembly.pages.on_change(self._on_tabs),
            assembly.pages.on_crash(self._on_crash),
            assembly.screen.listen(self),
            ticker.cancel,
        ]

    def close(self) -> None:
        """Stop watching."""
        if self._tabs_later is not None:
            self._tabs_later.cancel()
        for end in self._ends:
            end()
        self._ends.clear()

    def tabs(self) -> list[dict[str, Any]]:
        """The tabs as they are now, in their wire form."""
        tabs = self._assembly.pages.tabs() if self._assembly is not None else ()
        return [{"id": tab.id, "url": tab.url, "title": tab.title, "active": tab.active} for tab in tabs]

    def download(self, download: Download) -> None:
        """A download began, went on or ended."""
        if self._assembly is not None:
            self._assembly.state.note_download(download.name, download.state, download.size)
        self._outlet.emit("download", {"name": download.name, "state": download.state, "bytes": download.size})

    def agent_soon(self) -> None:
        """A CDP client came or went."""
        asyncio.get_running_loop().call_soon(self._tell_agent)

    def _tell_agent(self) -> None:
        if self._assembly is None:
            return
        statistics = self._assembly.gate.statistics()
        now = (statistics.clients, statistics.refused)
        if now != self._told_agent:
            self._told_agent = now
            self._outlet.emit("agent", {"clients": statistics.clients, "refused": statistics.refused})

    def _on_tabs(self) -> None:
        if self._tabs_later is None:
            self._tabs_later = asyncio.get_running_loop().call_later(_SETTLE_S, self._tell_tabs)

    def _tell_tabs(self) -> None:
        self._tabs_later = None
        tabs = self.tabs()
        if tabs != self._told_tabs:
            self._told_tabs = tabs
            self._outlet.emit("tabs", {"tabs": tabs})

    def _on_crash(self, tab: Tab) -> None:
        self._note(f"the page {tab.url} crashed; reload the tab to go on")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._tell_agent()

    # `sandbox.screen.ScreenListener`: of all that viewers hear, the server is told what kinds of prompts are open.

    def on_prompts(self, prompts: Sequence[Prompt]) -> None:
        """Tell the kinds of the open prompts; what they ask is for the holder only."""
        self._outlet.emit("prompts", {"open": [prompt.kind.value for prompt in prompts]})

    def on_cursor(self, cursor: Cursor) -> None:
        """Nothing to tell."""

    def on_tabs(self, tabs: Sequence[Tab]) -> None:
        """Nothing to tell: tabs are heard from the pages."""

    def on_clipboard(self, text: str) -> None:
        """Nothing to tell: only the holder gets it."""

    def on_masks(self, masks: Sequence[Rect]) -> None:
        """Nothing to tell."""

    def on_control(self, holder: Holder, epoch: Epoch) -> None:
        """Nothing to tell: the server said so itself."""
