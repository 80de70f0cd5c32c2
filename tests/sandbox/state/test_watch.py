"""Watching a condition: told at once and when it changes, only while an operator has control."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from sandbox.fence import Fence
from sandbox.pages import PageEvent
from sandbox.state import watch
from sandbox.state.watch import ConditionWatch
from sandbox.words import NOBODY, THE_AGENT, Epoch, Holder, OperatorId, Side, Unavailable

ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
BOB = Holder(Side.OPERATOR, OperatorId("op_bob"), "Bob")


@dataclass
class Rig:
    """A watch, what it looks at, and what it told."""

    fence: Fence = field(default_factory=Fence)
    met: bool = False
    error: Exception | None = None
    looks: int = 0
    told: list[tuple[str, bool]] = field(default_factory=list)
    events: list[PageEvent] = field(default_factory=list)
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, listener: PageEvent) -> Callable[[], None]:
        """See `Pages.on_event`."""
        self.events.append(listener)
        return lambda: self.events.remove(listener)

    async def check(self, condition: Mapping[str, Any]) -> dict[str, Any]:
        """Say what the test says."""
        self.looks += 1
        self.looked.set()
        if self.error is not None:
            raise self.error
        return {"met": self.met, "parts": [{"condition": dict(condition), "met": self.met, "why": ""}]}

    async def more(self, looks: int = 2) -> None:
        """Wait until it has looked again."""
        until = self.looks + looks
        async with asyncio.timeout(5):
            while self.looks < until:
                self.looked.clear()
                await self.looked.wait()


@pytest_asyncio.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Quick looks."""
    monkeypatch.setattr(watch, "EVERY_S", 0.005)
    monkeypatch.setattr(watch, "_AGAIN_S", 0)
    yield Rig()


@pytest_asyncio.fixture
async def watching(rig: Rig) -> AsyncIterator[ConditionWatch]:
    """A watch whose sandbox Ann has."""
    rig.fence.push(ANN, Epoch(2), 0)
    made = ConditionWatch(rig, rig.fence, rig.check, lambda told: rig.told.append((told["handoff"], told["met"])))  # type: ignore[arg-type] # all it asks of pages
    yield made
    await made.close()
    assert rig.events == []


async def test_told_at_once_and_when_it_changes(rig: Rig, watching: ConditionWatch) -> None:
    """Not in between, and not because a look failed."""
    watching.watch("ho_1", {"text": "x"})
    await rig.more()
    assert rig.told == [("ho_1", False)]
    rig.error = Unavailable("between two documents")
    await rig.more()
    rig.error, rig.met = None, True
    await rig.more()
    assert rig.told == [("ho_1", False), ("ho_1", True)]


@pytest.mark.parametrize("holder", [THE_AGENT, NOBODY])
async def test_it_ends_with_the_lease(rig: Rig, watching: ConditionWatch, holder: Holder) -> None:
    """Whoever else gets control, and when nobody has it: nothing is looked at any more."""
    watching.watch("ho_1", {"text": "x"})
    await rig.more()
    rig.fence.push(holder, Epoch(3), 0)
    assert repr(watching) == "<ConditionWatch off>"
    looks = rig.looks
    await asyncio.sleep(0)
    assert rig.looks == looks


async def test_it_goes_on_with_the_next_operator(rig: Rig, watching: ConditionWatch) -> None:
    """A new watch takes the place of the one before, and tells anew; a server that is gone ends it."""
    watching.watch("ho_1", {"text": "x"})
    await rig.more()
    rig.fence.push(BOB, Epoch(3), 0)
    watching.watch("ho_1", {"text": "x"})
    await rig.more()
    assert rig.told == [("ho_1", False), ("ho_1", False)]
    rig.fence.shut()
    assert repr(watching) == "<ConditionWatch off>"


async def test_a_page_that_moves_is_looked_at(
    rig: Rig, watching: ConditionWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for the next second."""
    monkeypatch.setattr(watch, "EVERY_S", 60)
    watching.watch("ho_1", {"text": "x"})
    await rig.more(1)
    for _ in range(3):
        await asyncio.sleep(0)
        rig.events[0](None, "", "Page.frameNavigated", {})  # type: ignore[arg-type] # it does not look at the page
    await rig.more(1)
