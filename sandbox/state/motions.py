"""What happens between the two snapshots that tells the human's doing from the page's.

Input, navigations, and the keys of cookies and storage that a page writes. Parts of pages are watched by `look.js`, in
the pages themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import insort
from collections.abc import Mapping
from typing import Any, Final

import structlog

from sandbox.pages import Page, Pages
from sandbox.state.capture import Capture, Storage
from sandbox.state.snapshot import Snapshot
from sandbox.state.worlds import ACTED, BINDING
from sandbox.words import Clock

_log = structlog.get_logger(__name__)

_SOON_S: Final = 0.5
_LATEST_S: Final = 30.0
_PATIENCE: Final = 10
_MOST_INPUTS: Final = 2000
_MOST_TIMES: Final = 32
_TOGETHER_S: Final = 0.05


class Motions:
    """Watches one sandbox from `begin` to `end`; `close` ends it for good. Times are seconds since 1970."""

    def __init__(self, pages: Pages, capture: Capture, clock: Clock) -> None:
        self._pages, self._capture, self._clock = pages, capture, clock
        self._inputs: list[float] = []
        self._navigations: dict[str, list[float]] = {}
        self._written: dict[tuple[str, str, str], list[float]] = {}
        self._last: Storage = {}
        self._task: asyncio.Task[None] | None = None
        self._stop = pages.on_event(self._on_event)

    def __repr__(self) -> str:
        return f"<Motions inputs={len(self._inputs)} {'watching' if self._task else 'at rest'}>"

    @property
    def inputs(self) -> tuple[float, ...]:
        """When somebody acted since `begin`."""
        return tuple(self._inputs)

    @property
    def navigations(self) -> Mapping[str, tuple[float, ...]]:
        """Frame id → when its document was replaced."""
        return {frame: tuple(times) for frame, times in self._navigations.items()}

    @property
    def written(self) -> Mapping[tuple[str, str, str], tuple[float, ...]]:
        """Key of a cookie or of storage (as in a snapshot) → when a change of its value was noticed."""
        return {key: tuple(times) for key, times in self._written.items()}

    def begin(self, snapshot: Snapshot) -> None:
        """Forget what was, and watch from this snapshot on."""
        self.end()
        self._inputs.clear()
        self._navigations.clear()
        self._written.clear()
        self._last = {**snapshot.cookies, **snapshot.storage}
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def end(self) -> None:
        """Watch no longer; what was seen is kept."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """Stop listening too."""
        self.end()
        self._stop()

    def note_input(self, at: float | None = None) -> None:
        """Somebody acts, now if no time is given."""
        at = self._clock.now() if at is None else at
        if len(self._inputs) < _MOST_INPUTS and (not self._inputs or at - self._inputs[-1] > _TOGETHER_S):
            insort(self._inputs, at)

    async def _watch(self) -> None:
        """Look at cookies and storage now and then, the less often the longer nobody acts."""
        quiet = 0
        acted = 0
        while True:
            await asyncio.sleep(min(_LATEST_S, _SOON_S * 2 ** max(0, quiet - _PATIENCE)))
            quiet = quiet + 1 if len(self._inputs) == acted else 0
            acted = len(self._inputs)
            try:
                self._compare(await self._capture.stores())
            except Exception as error:  # noqa: BLE001 - a handoff does not fail because a page could not be watched
                _log.error("watching a page's stores failed", error=type(error).__name__)

    def _compare(self, now: Storage) -> None:
        before, self._last = self._last, now
        at = self._clock.now()
        for key in before.keys() | now.keys():
            if before.get(key) != now.get(key):
                times = self._written.setdefault(key, [])
                if len(times) >= _MOST_TIMES:
                    del times[_MOST_TIMES // 4]
                times.append(at)

    def _on_event(self, _page: Page, _session: str, method: str, params: dict[str, Any]) -> None:
        if self._task is None:
            return
        if method == "Runtime.bindingCalled" and params.get("name") == BINDING:
            payload = params.get("payload", "")
            with contextlib.suppress(ValueError):
                self.note_input(float(payload.removeprefix(ACTED)) / 1000 if payload.startswith(ACTED) else None)
        elif method == "Page.frameNavigated":
            times = self._navigations.setdefault(params["frame"]["id"], [])
            if len(times) < _MOST_TIMES:
                times.append(self._clock.now())
