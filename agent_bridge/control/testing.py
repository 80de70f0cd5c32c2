"""Fakes that ship with the broker: a clock that stands still, keepers that obey, fail or die on command.

`World` puts a real broker on a real database between them.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent_bridge.control.broker import Broker
from agent_bridge.control.words import ControlSettings
from agent_bridge.journal.journal import Journal
from agent_bridge.store.control import SqlControlStore
from agent_bridge.store.database import Database
from agent_bridge.store.journal import SqlJournalStore
from sandbox.fence import Fence
from sandbox.words import NOBODY, THE_AGENT, Epoch, Gone, HandoffId, Holder, SandboxId, Side, Unavailable


@dataclass(slots=True)
class FakeClock:
    """Stands still until it is moved."""

    time: float = 1_000_000.0
    jumped: float = 0.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self.time + self.jumped

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Move it on."""
        self.time += seconds

    def jump(self, seconds: float) -> None:
        """Set it, as somebody does who believes it wrong: durations stay as they were."""
        self.jumped += seconds


@dataclass(slots=True)
class FakeLink:
    """A keeper without a browser, its fence a real one, so that a wrong order of epochs is refused as it would be.

    `calls` is what was asked, in order. `failing` maps a method to the error it raises, `hold` to an event
    it waits for.
    """

    fence: Fence = field(default_factory=Fence)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    gate_is_open: bool = False
    opened: list[int] = field(default_factory=list)
    unknown: list[dict[str, Any]] = field(default_factory=list)
    check_answer: dict[str, Any] = field(default_factory=lambda: {"met": True, "parts": []})
    notes: list[str] = field(default_factory=list)
    stale: dict[str, Any] = field(default_factory=dict)
    agent_code: list[str] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    completed: list[tuple[HandoffId, dict[str, Any]]] = field(default_factory=list)
    gone: str | None = None

    async def _called(self, method: str, detail: Any = None) -> None:
        self.calls.append((method, detail))
        if method in self.hold:
            await self.hold[method].wait()
        if self.gone is not None:
            raise Gone(self.gone)
        if method in self.failing:
            raise self.failing[method]

    async def gate_close(
        self,
        *,
        epoch: Epoch,
        holder: Holder,
        since: float,
        drain_s: float,  # noqa: ARG002 - the fake drains at once
    ) -> list[dict[str, Any]]:
        """Shut the gate."""
        self.fence.push(holder, epoch, since)
        self.gate_is_open = False
        await self._called("gate_close", epoch)
        return list(self.unknown)

    async def control_push(
        self,
        *,
        epoch: Epoch,
        holder: Holder,
        since: float,
        secret: bool,
        handoff: HandoffId | None,  # noqa: ARG002 - a fake
    ) -> list[str]:
        """Change the holder; refuses while the gate is open."""
        await self._called("control_push", (epoch, holder, secret))
        if self.gate_is_open or holder.side is Side.AGENT:
            raise AssertionError("control.push is for a shut gate")
        self.fence.push(holder, epoch, since)
        return list(self.agent_code) if holder.side is Side.OPERATOR else []

    async def gate_open(self, *, epoch: Epoch, since: float) -> dict[str, Any]:
        """Open the gate; once per epoch, however often it is called."""
        await self._called("gate_open", epoch)
        self.fence.push(THE_AGENT, epoch, since)
        if epoch not in self.opened:
            self.opened.append(epoch)
        self.gate_is_open = True
        return {"notes": list(self.notes), "stale": dict(self.stale)}

    async def mark(self, label: str) -> dict[str, Any]:
        """Remember a label."""
        await self._called("mark", label)
        self.marks.add(label)
        return {"url": "https://user@shop.example/cart?secret=1#top", "title": "Cart"}

    async def diff(self, label: str) -> dict[str, Any]:
        """Answer with a small diff."""
        await self._called("diff", label)
        picture = base64.b64encode(b"\xff\xd8picture").decode()
        return {"diff": {"label": label}, "text": "one field changed", "images": {"before": picture, "after": picture}}

    async def check(self, condition: dict[str, Any]) -> dict[str, Any]:
        """Answer with `check_answer`."""
        await self._called("check", condition)
        return self.check_answer

    async def watch(self, handoff: HandoffId, condition: dict[str, Any]) -> None:  # noqa: ARG002 - a fake
        """Remember it."""
        await self._called("watch", handoff)

    async def handoff_completed(self, handoff: HandoffId, result: dict[str, Any]) -> None:
        """Remember it."""
        await self._called("handoff_completed", handoff)
        self.completed.append((handoff, result))

    @property
    def holder(self) -> Holder:
        """Who may act in this keeper."""
        return self.fence.holder if self.gone is None else NOBODY


@dataclass(slots=True)
class FakeKeepers:
    """Links by sandbox; a sandbox that is not known gets one. `down` ones cannot be reached."""

    links: dict[SandboxId, FakeLink] = field(default_factory=dict)
    down: set[SandboxId] = field(default_factory=set)

    def link(self, sandbox: SandboxId) -> FakeLink:
        """See `Keepers.link`."""
        if sandbox in self.down:
            raise Unavailable(f"the keeper of {sandbox} is not connected")
        return self.links.setdefault(sandbox, FakeLink())


@dataclass(slots=True)
class FakeNotifier:
    """Remembers what it was told."""

    told: list[Mapping[str, Any]] = field(default_factory=list)
    again: list[HandoffId] = field(default_factory=list)

    async def announce(self, handoff: Mapping[str, Any], *, again: bool = False) -> None:
        """See `Notifier.announce`."""
        if again:
            self.again.append(handoff["id"])
        self.told.append(handoff)


@dataclass(slots=True)
class FakeImages:
    """Keeps pictures in memory."""

    kept: dict[tuple[HandoffId, str], bytes] = field(default_factory=dict)

    async def save(self, handoff: HandoffId, name: str, jpeg: bytes) -> None:
        """See `Images.save`."""
        self.kept[handoff, name] = jpeg


QUICK: Final = ControlSettings(drain_s=0, keeper_s=2, grant_s=2, settle_s=2, retry_s=(0.01,))
"""Short times, for tests in real time."""


async def soon(holds: Callable[[], bool], seconds: float = 3.0) -> None:
    """Wait until something holds; fail when it does not in time."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - whatever holds has no event
            await asyncio.sleep(0.002)


SB: Final = SandboxId("sb_1")
"""The sandbox of `World.link`."""


@dataclass(slots=True)
class World:
    """Everything around a broker that outlives it."""

    database: Database
    clock: FakeClock = field(default_factory=FakeClock)
    keepers: FakeKeepers = field(default_factory=FakeKeepers)
    notifier: FakeNotifier = field(default_factory=FakeNotifier)
    images: FakeImages = field(default_factory=FakeImages)
    brokers: list[Broker] = field(default_factory=list)

    @property
    def link(self) -> FakeLink:
        """The keeper of the one sandbox most tests use."""
        return self.keepers.links[SB]

    @property
    def journal(self) -> Journal:
        """The journal of this database."""
        return Journal(SqlJournalStore(self.database), self.clock)

    async def kinds(self) -> list[str]:
        """The journal's event names, oldest first."""
        return [record.entry.kind async for record in self.journal.records()]

    async def broker(self, settings: ControlSettings = QUICK) -> Broker:
        """Start a broker on what is there, as a server does."""
        broker = Broker(
            SqlControlStore(self.database),
            self.keepers,
            self.journal,
            self.notifier,
            self.clock,
            settings,
            images=self.images,
        )
        self.brokers.append(broker)
        await broker.recover()
        return broker
