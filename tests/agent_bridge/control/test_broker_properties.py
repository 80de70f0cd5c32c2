"""The real broker on a real database, its server dying between any two steps: what holds whatever happens."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent_bridge.access.words import Operator
from agent_bridge.control.asking import HandoffRequest
from agent_bridge.control.broker import Broker
from agent_bridge.control.testing import QUICK, SB, World
from agent_bridge.control.words import Control, Handoff, Phase
from agent_bridge.journal.words import Entry
from agent_bridge.store.control import SqlControlStore
from agent_bridge.store.database import NAME, Database, migrate
from agent_bridge.words import Blocker
from sandbox.words import BatonError, Epoch, HandoffId, OperatorId, SandboxId, Side

OPERATORS = [Operator(OperatorId(f"op_{name}"), name) for name in ("ann", "bob")]
operators = st.sampled_from(OPERATORS)
dooms = st.none() | st.integers(0, 9)
"""At how many more crash points the server dies."""


@cache
def _template() -> Path:
    path = Path(tempfile.mkdtemp(prefix="broker-properties-")) / NAME
    migrate(path)
    return path


@dataclass
class Doom:
    """Counts the points at which a server may die; at its own, and at all after it, nothing goes on."""

    at: int | None = None
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    async def point(self) -> None:
        """Go on, or never again."""
        if self.at is not None:
            self.at -= 1
            if self.at < 0:
                self.dead.set()
        if self.dead.is_set():
            await asyncio.Event().wait()


@dataclass
class Ledger:
    """What was committed, by whatever server, in order."""

    control: Control | None = None
    finals: list[HandoffId] = field(default_factory=list)
    resumed: dict[HandoffId, set[int]] = field(default_factory=dict)

    def committed(self, control: Control, ended: Handoff | None) -> None:
        """Judge what is stored now against what was stored before."""
        before = self.control
        if before is not None:
            assert control.epoch >= before.epoch
            assert control.holder == before.holder or control.epoch > before.epoch
            if before.handoff is not None:
                kept = control.handoff is not None and control.handoff.id == before.handoff.id
                assert kept != (ended is not None and ended.id == before.handoff.id), "a handoff was lost"
        self.control = control
        if ended is not None:
            assert ended.id not in self.finals, "a handoff ended twice"
            self.finals.append(ended.id)
        if control.phase is Phase.OPENING and control.handoff is not None:
            self.resumed.setdefault(control.handoff.id, set()).add(control.epoch)


class MortalStore(SqlControlStore):
    """A store whose server may die before and after each write."""

    def __init__(self, database: Database, doom: Doom, ledger: Ledger) -> None:
        super().__init__(database)
        self._doom, self._ledger = doom, ledger

    async def save(self, control: Control, ended: Handoff | None, entries: Sequence[Entry]) -> None:
        """Write, or die."""
        await self._doom.point()
        # What is in the disk's hands when the server dies is written all the same, and must be known here.
        await asyncio.shield(asyncio.create_task(self._committed(control, ended, entries)))
        await self._doom.point()

    async def _committed(self, control: Control, ended: Handoff | None, entries: Sequence[Entry]) -> None:
        await super().save(control, ended, entries)
        self._ledger.committed(control, ended)

    async def save_late(self, handoff: Handoff, entries: Sequence[Entry]) -> None:
        """Write, or die."""
        await self._doom.point()
        await super().save_late(handoff, entries)
        await self._doom.point()


@dataclass
class MortalKeepers:
    """Keepers that outlive their server, which may die before and after each call."""

    world: World
    doom: Doom
    judge: Any

    def link(self, sandbox: SandboxId) -> Any:
        """See `Keepers.link`."""
        return _MortalLink(self.world.keepers.link(sandbox), self.doom, self.judge)


class _MortalLink:
    def __init__(self, link: Any, doom: Doom, judge: Any) -> None:
        self._link, self._doom, self._judge = link, doom, judge

    def __getattr__(self, method: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._doom.point()
            answer = await getattr(self._link, method)(*args, **kwargs)
            self._judge()
            await self._doom.point()
            return answer

        return call


class BrokerLife(RuleBasedStateMachine):
    """Agent and operators do as they like, time passes, and servers die under them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory(prefix="broker-")
        path = Path(self.directory.name) / NAME
        shutil.copy(_template(), path)
        self.ledger = Ledger()
        self.leases: list[tuple[Operator, Epoch]] = []
        self.asked: dict[str, HandoffId] = {}
        self.late: list[tuple[HandoffId, Epoch]] = []
        self.slips: list[str] = []
        self.loop.run(self.begin(path))

    async def begin(self, path: Path) -> None:
        """Start the first server, and its sandbox."""
        self.world = World(Database(path))
        await self.serve([])
        await self.broker.sandbox_opened(SB)

    # -- servers -----------------------------------------------------------------------------------------------

    async def serve(self, dooms: list[int]) -> None:
        """Start servers until one lives through its recovery; each of the first ones dies at its point of it."""
        for at in [*dooms, None]:
            self.doom = Doom(at)
            self.broker = Broker(
                MortalStore(self.world.database, self.doom, self.ledger),
                MortalKeepers(self.world, self.doom, self.judge_fence), self.world.journal, self.world.notifier,
                self.world.clock, QUICK, images=self.world.images,
            )  # fmt: skip
            await self.live(self.broker.recover())
            if self.doom.dead.is_set():
                await self.bury()
        assert not self.doom.dead.is_set()

    async def live(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what came of it once everything that followed is done; None where it was refused or the server died.

        An assertion that fails below is seen here: a keeper's error would only be tried again.
        """
        dead = asyncio.create_task(self.doom.dead.wait())
        task = asyncio.create_task(work)
        async with asyncio.timeout(5):
            await asyncio.wait({task, dead}, return_when=asyncio.FIRST_COMPLETED)
            while not dead.done() and (busy := self.busy()):
                await asyncio.wait({*busy, dead}, return_when=asyncio.FIRST_COMPLETED)
        dead.cancel()
        assert not self.slips, self.slips
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return None
        error = task.exception()
        if error is not None and not isinstance(error, BatonError):
            raise error
        return None if error is not None else task.result()

    def busy(self) -> set[asyncio.Task[Any]]:
        """What the server still works on."""
        runners = {room.runner for room in self.broker._rooms.values() if room.runner is not None}
        return {task for task in runners | self.broker._tasks if not task.done()}

    async def bury(self) -> None:
        """End a server without ceremony: its keeper shuts the gate by itself, what was in the disk's hands is there."""
        await self.broker.stop()
        await self.world.database.together(lambda _batch: None)
        for link in self.world.keepers.links.values():
            link.fence.shut()
            link.gate_is_open = False

    def do(self, work: Coroutine[Any, Any, Any], doom: int | None) -> Any:
        """Do something; where the server dies of it the next one takes over."""

        async def doing() -> Any:
            self.doom.at = doom
            result = await self.live(work)
            self.doom.at = None
            if self.doom.dead.is_set():
                await self.bury()
                await self.serve([])
            return result

        return self.loop.run(doing())

    def judge_fence(self) -> None:
        """The keeper knows nothing that is not stored."""
        link, stored = self.world.link, self.ledger.control
        if stored is None or link.fence.epoch > stored.epoch:
            self.slips.append(f"the keeper is at {link.fence.epoch}, stored is {stored}")
        elif link.fence.epoch == stored.epoch and link.fence.holder != stored.holder and not link.fence._severed:
            self.slips.append(f"epoch {stored.epoch} is {stored.holder}'s, the keeper says {link.fence.holder}")
        elif link.gate_is_open and link.fence.holder.side is not Side.AGENT:
            self.slips.append(f"the gate is open, and {link.fence.holder} holds")

    # -- what people do ----------------------------------------------------------------------------------------

    @rule(key=st.sampled_from(["k1", "k2", "k3"]), condition=st.booleans(), doom=dooms)
    def ask(self, key: str, condition: bool, doom: int | None) -> None:
        """Ask, or ask again what was asked before."""
        wants = {"url": "https://shop.example/*"} if condition else None
        request = HandoffRequest(Blocker.CAPTCHA, "help", condition=wants, idempotency_key=key)
        asked = self.do(self.broker.ask(SB, request), doom)
        if asked is not None:
            assert self.asked.setdefault(key, asked.handoff.id) == asked.handoff.id

    @rule(who=operators, force=st.booleans(), doom=dooms)
    def take(self, who: Operator, force: bool, doom: int | None) -> None:
        """Take control."""
        taken = self.do(self.broker.take(SB, who, force=force), doom)
        if taken is not None:
            self.leases.append((who, taken.epoch))

    @rule(which=st.integers(0, 3), say=st.sampled_from(["done", "failed", "declined", "release"]), doom=dooms)
    def say(self, which: int, say: str, doom: int | None) -> None:
        """Speak under a lease, live or long over."""
        if len(self.leases) <= which:
            return
        who, epoch = self.leases[-1 - which]
        handoff = self.do(getattr(self.broker, say)(SB, who, epoch), doom)
        if handoff is not None and any(late["epoch"] == epoch for late in handoff.late):
            self.late.append((handoff.id, epoch))

    @rule(doom=dooms)
    def cancel(self, doom: int | None) -> None:
        """Withdraw what is open."""
        if self.ledger.control is not None and self.ledger.control.handoff is not None:
            self.do(self.broker.cancel(self.ledger.control.handoff.id), doom)

    @rule(seconds=st.sampled_from([1, 25, 700, 4000]), doom=dooms)
    def pass_time(self, seconds: float, doom: int | None) -> None:
        """Let time act."""
        self.world.clock.advance(seconds)
        self.do(self.broker.tick(), doom)

    @rule(dooms=st.lists(st.integers(0, 5), max_size=2))
    def restart(self, dooms: list[int]) -> None:
        """Die at rest, and again while coming back."""

        async def restarting() -> None:
            await self.bury()
            await self.serve(dooms)

        self.loop.run(restarting())

    # -- what holds --------------------------------------------------------------------------------------------

    @invariant()
    def one_holder(self) -> None:
        """At rest keeper, broker and database agree, and of all leases ever granted at most the holder's acts."""
        fence, stored = self.world.link.fence, self.ledger.control
        assert stored is not None
        room = self.broker._rooms[SB]
        assert (room.control.epoch, room.control.holder) == (stored.epoch, stored.holder)
        assert (fence.epoch, fence.holder) == (stored.epoch, stored.holder)
        assert self.world.link.gate_is_open == (stored.holder.side is Side.AGENT)
        acting = {epoch for who, epoch in self.leases if fence.holder.operator == who.id and fence.epoch == epoch}
        assert len(acting) <= 1

    @invariant()
    def one_resume(self) -> None:
        """The gate was opened once for each handoff that ended, and for nothing else."""
        epochs = [epoch for each in self.ledger.resumed.values() for epoch in each]
        assert all(len(each) == 1 for each in self.ledger.resumed.values())
        assert set(self.world.link.opened) <= {1, *epochs}
        assert set(self.ledger.finals) <= set(self.ledger.resumed)

    def teardown(self) -> None:
        """Whatever happened, everything asked for has one result, and what was said late is there."""
        try:
            if self.ledger.control is not None and self.ledger.control.handoff is not None:
                self.take(OPERATORS[0], True, None)
                self.say(0, "failed", None)
            self.loop.run(self.nothing_lost())
        finally:
            self.loop.run(self.end())
            self.loop.close()
            self.directory.cleanup()

    async def nothing_lost(self) -> None:
        """Ask for each handoff by its id."""
        kept = await self.broker.queue(open_only=False, limit=1000)
        assert len({handoff.id for handoff in kept}) == len(kept)
        assert sorted(handoff.id for handoff in kept) == sorted(self.ledger.finals)
        assert all(handoff.state.final and handoff.result is not None for handoff in kept)
        keys = [handoff.idempotency_key for handoff in kept if handoff.idempotency_key is not None]
        assert len(keys) == len(set(keys))
        for key, handoff in self.asked.items():
            assert (await self.broker.get(handoff)).idempotency_key == key
        for handoff, epoch in self.late:
            assert any(late["epoch"] == epoch for late in (await self.broker.get(handoff)).late)

    async def end(self) -> None:
        """Stop."""
        await self.broker.stop()
        await self.world.database.close()


_QUIET = list(HealthCheck)

TestBrokerLife = BrokerLife.TestCase
TestBrokerLife.settings = settings(
    max_examples=50, stateful_step_count=20, deadline=None, derandomize=True, suppress_health_check=_QUIET
)


class LongBrokerLife(BrokerLife):
    """The same for longer."""


TestLongBrokerLife = pytest.mark.full(LongBrokerLife.TestCase)
TestLongBrokerLife.settings = settings(
    max_examples=500, stateful_step_count=50, deadline=None, suppress_health_check=_QUIET
)
