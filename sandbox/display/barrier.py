"""Waiting until the browser has taken the X events that were sent, before it is told something by DevTools.

The two ways do not keep each other's order: a key pressed by X is overtaken by text put in by DevTools (measured).
Chromium answers `_NET_WM_PING` (EWMH) from the same queue in which it finds the keys.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

import xcffib.xproto as x

from sandbox.display.fake import FakeInput

_ANSWER_S: Final = 0.5
_WORDS: Final = 32


class Barrier:
    """`wait` returns once the browser has taken every X event sent before. `on_event` must hear the root's events."""

    def __init__(self, fake: FakeInput) -> None:
        self._fake = fake
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def __repr__(self) -> str:
        return f"<Barrier {len(self._waiting)} waiting>"

    async def wait(self) -> None:
        """Wait, but not for a browser that hangs. Raises `Gone`."""
        self._count = self._count % 0xFFFF + 1
        count, done = self._count, self._loop.create_future()
        if not self._fake.ping(count):
            return
        self._waiting[count] = done
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done, _ANSWER_S)
        finally:
            self._waiting.pop(count, None)

    def on_event(self, event: Any) -> None:
        """Hear an event of the root window; callable from any thread."""
        if isinstance(event, x.ClientMessageEvent) and event.format == _WORDS:
            self._loop.call_soon_threadsafe(self._answered, event.data.data32[1])

    def _answered(self, count: int) -> None:
        waiting = self._waiting.get(count)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
