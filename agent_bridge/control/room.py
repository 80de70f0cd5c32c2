"""One sandbox inside the broker: its control, the effects still to be carried out, and who waits for a change."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from agent_bridge.control.events import CloseGate, Diff, Effect, OpenGate, PushControl
from agent_bridge.control.words import Control, ControlView, Phase


@dataclass(slots=True, eq=False)
class Room:
    """`acknowledged` is the last epoch the keeper has confirmed; `trouble` a sentence while it does not answer.

    `reminded` is when the broker will look at the room again, None where it will not.
    """

    control: Control
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    effects: deque[Effect] = field(default_factory=deque)
    runner: asyncio.Task[None] | None = None
    acknowledged: int = 0
    trouble: str | None = None
    reminded: float | None = None
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: set[asyncio.Future[None]] = field(default_factory=set)

    def __repr__(self) -> str:
        c = self.control
        return f"<Room {c.sandbox} {c.phase} {c.holder} epoch={c.epoch} [effects: {len(self.effects)} to do]>"

    def view(self) -> ControlView:
        """Return what may be shown."""
        c = self.control
        return ControlView(c.sandbox, c.phase, c.holder, c.epoch, c.since, c.handoff, self.trouble, c.requests, c.last)

    def stale(self, effect: Effect) -> bool:
        """Whether control has moved on since the effect was decided, so that it must not be carried out."""
        if isinstance(effect, Diff):
            return self.control.phase is not Phase.RETURNING
        if isinstance(effect, CloseGate | PushControl | OpenGate) and effect.epoch < self.control.epoch:
            return True
        return self.control.phase is Phase.CLOSED

    def changed(self) -> None:
        """Wake everybody in `until`."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, holds: Callable[[], bool], timeout: float) -> bool:  # noqa: ASYNC109 - answers, not raises
        """Wait until `holds()`, checked after every change; False after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not holds():
                    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.add(future)
                    try:
                        await future
                    finally:
                        self._waiting.discard(future)
        except TimeoutError:
            return holds()
        return True
