"""Looking again and again whether what an agent waits for holds, while a human has control."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from sandbox.fence import Fence
from sandbox.pages import Page, Pages
from sandbox.words import BatonError, Epoch, Holder, Side

_log = structlog.get_logger(__name__)

EVERY_S: Final = 1.0
_AGAIN_S: Final = 0.2
_MOVES: Final = frozenset({"Page.frameNavigated", "Page.navigatedWithinDocument", "Page.loadEventFired"})

type Report = dict[str, Any]


class ConditionWatch:
    """Tells `tell({"handoff", "met", "parts"})` at once, and whenever that changes; costs nothing in between leases.

    It looks when a page has moved, and once a second. It ends with the lease: when nobody or the agent gets control.
    """

    def __init__(
        self,
        pages: Pages,
        fence: Fence,
        check: Callable[[Mapping[str, Any]], Awaitable[Report]],
        tell: Callable[[Report], None],
    ) -> None:
        self._check, self._tell = check, tell
        self._nudge = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ends = [pages.on_event(self._on_event), fence.listen(self._on_control)]

    def __repr__(self) -> str:
        return f"<ConditionWatch {'on' if self._task is not None else 'off'}>"

    def watch(self, handoff: str, condition: Mapping[str, Any]) -> None:
        """Begin, in place of what was watched before."""
        self.stop()
        self._task = asyncio.get_running_loop().create_task(self._run(handoff, condition))

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """End for good."""
        for end in self._ends:
            end()
        task = self._task
        self.stop()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, handoff: str, condition: Mapping[str, Any]) -> None:
        told: Report | None = None
        while True:
            self._nudge.clear()
            try:
                found = await self._check(condition)
            except (BatonError, TimeoutError) as error:
                _log.info("a condition could not be looked at", handoff=handoff, error=type(error).__name__)
            else:
                if found != told:
                    told = found
                    self._tell({"handoff": handoff, **found})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._nudge.wait(), EVERY_S)
                await asyncio.sleep(_AGAIN_S)  # a page that has just moved is not there yet

    def _on_event(self, _page: Page, _session: str, method: str, _params: dict[str, Any]) -> None:
        if method in _MOVES:
            self._nudge.set()

    def _on_control(self, holder: Holder, _epoch: Epoch) -> None:
        if holder.side is not Side.OPERATOR:
            self.stop()
