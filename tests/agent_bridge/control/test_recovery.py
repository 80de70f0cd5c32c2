"""Servers that die between any two steps, and what the next one makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from agent_bridge.access.words import Operator
from agent_bridge.control.asking import HandoffRequest
from agent_bridge.control.broker import Broker
from agent_bridge.control.testing import QUICK, SB, World, soon
from agent_bridge.control.words import Control, Handoff, Phase
from agent_bridge.journal.words import Entry
from agent_bridge.store.control import SqlControlStore
from agent_bridge.words import Blocker, HandoffState
from sandbox.words import THE_AGENT, BatonError, HandoffId, OperatorId, SandboxId, Side

ANN = Operator(OperatorId("op_ann"), "Ann")
HELP = HandoffRequest(Blocker.CAPTCHA, "help", idempotency_key="k1")


@dataclass
class MortalStore:
    """A store whose process dies at the nth write, just before it is done or just after."""

    inner: SqlControlStore
    at: int
    after: bool
    writes: int = 0
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    async def _die(self) -> None:
        self.dead.set()
        await asyncio.Event().wait()

    async def save(self, control: Control, ended: Handoff | None, entries: Sequence[Entry]) -> None:
        """Write, or die."""
        self.writes += 1
        if self.writes == self.at and not self.after:
            await self._die()
        await self.inner.save(control, ended, entries)
        if self.writes == self.at and self.after:
            await self._die()

    async def save_late(self, handoff: Handoff, entries: Sequence[Entry]) -> None:
        """Write."""
        await self.inner.save_late(handoff, entries)

    async def controls(self) -> list[Control]:
        """Read."""
        return await self.inner.controls()

    async def control(self, sandbox: SandboxId) -> Control | None:
        """Read."""
        return await self.inner.control(sandbox)

    async def handoff(self, handoff: HandoffId) -> Handoff | None:
        """Read."""
        return await self.inner.handoff(handoff)

    async def handoff_by_key(self, sandbox: SandboxId, key: str) -> Handoff | None:
        """Read."""
        return await self.inner.handoff_by_key(sandbox, key)

    async def recent(self, sandbox: SandboxId | None = None, limit: int = 100) -> list[Handoff]:
        """Read."""
        return await self.inner.recent(sandbox, limit)


async def story(broker: Broker) -> Handoff:
    """Agent and operator do what it takes, again after every restart, until the handoff is over."""
    asked = await broker.ask(SB, HELP)
    for _ in range(20):
        handoff = await broker.get(asked.handoff.id)
        if handoff.state.final:
            return handoff
        try:
            taken = await broker.take(SB, ANN)
            await broker.done(SB, ANN, taken.epoch, "typed it")
        except BatonError:
            await broker.wait(handoff.id, 0.2)
    raise AssertionError("it never ended")


async def live(world: World, at: int, *, after: bool) -> bool:
    """Run the story on a server that dies at a write; whether it died."""
    store = MortalStore(SqlControlStore(world.database), at, after)
    broker = Broker(store, world.keepers, world.journal, world.notifier, world.clock, QUICK, images=world.images)

    async def all_of_it() -> None:
        await broker.recover()
        await story(broker)

    task = asyncio.create_task(all_of_it())
    dead = asyncio.create_task(store.dead.wait())
    await asyncio.wait({task, dead}, return_when=asyncio.FIRST_COMPLETED)
    died = store.dead.is_set()
    for ended in (task, dead):
        ended.cancel()
    await broker.stop()
    await asyncio.gather(task, dead, return_exceptions=True)
    return died


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("again", [0, 1, 2])
@pytest.mark.parametrize("at", range(1, 7))
async def test_a_crash_at_any_write_loses_nothing(world: World, at: int, again: int, after: bool) -> None:
    """Wherever servers die, the handoff is asked for once, ends once as resolved, and the agent resumes once."""
    first = await world.broker(QUICK)
    await first.sandbox_opened(SB)
    await first.stop()

    assert await live(world, at, after=after)
    if again:
        await live(world, again, after=not after)
    last = await world.broker(QUICK)
    final = await story(last)
    await soon(lambda: world.link.gate_is_open)

    assert final.state is HandoffState.RESOLVED
    assert [handoff.id for handoff in await last.queue(open_only=False)] == [final.id]
    assert len(world.link.opened) == 2
    assert world.link.holder == THE_AGENT
    assert (await last.view(SB)).epoch == world.link.fence.epoch
    assert (await world.journal.verify()).intact
    assert (await world.kinds()).count("handoff/ended") == 1


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.HELD, Phase.PARKED])
async def test_a_restart_keeps_the_agent_stopped(world: World, phase: Phase) -> None:
    """After a restart the queue is as it was, leases are parked, and the agent has not moved."""
    first = await world.broker()
    await first.sandbox_opened(SB)
    asked = (await first.ask(SB, HELP)).handoff
    await soon(lambda: first.views()[0].phase is Phase.WAITING)
    epoch = 2
    if phase is not Phase.WAITING:
        epoch = (await first.take(SB, ANN)).epoch
    if phase is Phase.PARKED:
        world.clock.advance(60)
        await first.tick()
    await first.stop()
    world.link.fence.shut()
    second = await world.broker()
    queue = await second.queue()
    await soon(lambda: world.link.holder.side is Side.NOBODY)

    assert [handoff.id for handoff in queue] == [asked.id]
    assert queue[0].state is (HandoffState.WAITING if phase is Phase.WAITING else HandoffState.PARKED)
    assert (await second.view(SB)).epoch >= epoch
    assert world.link.opened == [1]
    assert (await second.take(SB, ANN)).handoff.id == asked.id


async def test_a_restart_gives_the_agent_its_gate_back(world: World) -> None:
    """Where the agent held control it holds it again, under the same epoch."""
    first = await world.broker()
    await first.sandbox_opened(SB)
    await first.stop()
    world.link.fence.shut()
    await world.broker()
    await soon(lambda: world.link.holder == THE_AGENT)

    assert world.link.fence.epoch == 1


async def test_what_died_meanwhile_ends_its_handoff(world: World) -> None:
    """A sandbox whose keeper did not live to see the next server ends its handoff as failed, with the reason."""
    first = await world.broker()
    await first.sandbox_opened(SB)
    asked = (await first.ask(SB, HELP)).handoff
    await first.stop()
    world.keepers.down.add(SB)
    second = await world.broker()
    await second.sandbox_gone(SB, "its keeper was gone when the server came back")
    final = await second.wait(asked.id, 2)

    assert final.state is HandoffState.FAILED
    assert final.result is not None
    assert "its keeper was gone" in final.result["note"]


async def test_waiting_handoffs_are_announced_again(world: World) -> None:
    """A notification that was not yet written when the server died is made up for."""
    first = await world.broker()
    await first.sandbox_opened(SB)
    await first.ask(SB, HELP)
    await first.stop()
    world.notifier.told.clear()
    await world.broker()

    await soon(lambda: bool(world.notifier.told))
    assert world.notifier.told[0]["kind"] == "captcha"


async def test_a_result_outlives_the_server(world: World) -> None:
    """The next server answers for a handoff that the last one finished, word for word."""
    first = await world.broker()
    await first.sandbox_opened(SB)
    final = await story(first)
    await first.stop()
    second = await world.broker()

    assert await second.get(final.id) == final
    assert (await second.ask(SB, HELP)).handoff == final
