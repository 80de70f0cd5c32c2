"""The broker: runs the state machine for every sandbox.

Each step is decided by `machine.step` under the sandbox's lock, stored, and only then carried out. What is stored is
enough to go on after a crash at any point: `recover` tells every keeper again where its sandbox stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, Final

import structlog

from agent_bridge.control import machine
from agent_bridge.control.asking import HandoffRequest, new_handoff, read_timeout
from agent_bridge.control.errors import HandoffEnded, InvalidAsk, KeeperSilent, NotNow, SandboxClosed
from agent_bridge.control.events import (
    Active,
    Ask,
    BrowserDied,
    Cancel,
    Check,
    Claim,
    ClockJumped,
    Close,
    Event,
    ExtendDeadline,
    Notify,
    OpenGate,
    ServerRestarted,
    Step,
    TakeOver,
)
from agent_bridge.control.ports import ControlStore, Images, JournalPort, Keepers, Notifier
from agent_bridge.control.room import Room
from agent_bridge.control.runner import Runner
from agent_bridge.control.verbs import OperatorVerbs
from agent_bridge.control.words import (
    Change,
    Control,
    ControlSettings,
    ControlView,
    Handoff,
    Json,
    Person,
    Phase,
    Taken,
    as_holder,
)
from agent_bridge.journal.words import Entry
from agent_bridge.words import Blocker
from sandbox.words import (
    THE_AGENT,
    BatonError,
    Clock,
    Conflict,
    Epoch,
    Gone,
    HandoffId,
    NotFound,
    OperatorId,
    SandboxId,
    Side,
)

log = structlog.get_logger(__name__)

LONGEST_SLEEP_S: Final = 1.0
"""`run` looks at the clock at least this often, so that a clock that jumps is noticed."""

JUMP_S: Final = 2.0
"""A clock that differs by more from what it was to be was set: time servers correct less than that by slewing."""

_AT_ONCE: Final = 200
"""How many sandboxes move at the same time: as many as the store commits together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A handoff that was asked for; `new` is False when its idempotency key was known."""

    handoff: Handoff
    new: bool


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """How many sandboxes stand where, and how many handoffs are open."""

    sandboxes: int
    open_handoffs: int
    phases: dict[str, int] = field(default_factory=dict)


class Broker(OperatorVerbs):
    """Control of all sandboxes of one server. Call `recover` once before anything else, and keep `run` running."""

    def __init__(
        self,
        store: ControlStore,
        keepers: Keepers,
        journal: JournalPort,
        notifier: Notifier,
        clock: Clock,
        settings: ControlSettings | None = None,
        *,
        images: Images,
    ) -> None:
        self._store = store
        self._keepers = keepers
        self._journal = journal
        self._notifier = notifier
        self._clock = clock
        self.settings = settings or ControlSettings()
        self._rooms: dict[SandboxId, Room] = {}
        self._open: dict[HandoffId, Room] = {}
        self._finals: dict[HandoffId, asyncio.Future[Handoff]] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._due: list[tuple[float, SandboxId]] = []
        self._sooner = asyncio.Event()
        self._wall_ahead = clock.now() - clock.monotonic()
        self._stopping: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runner = Runner(keepers, images, self.settings, self._apply, self._trouble)

    def __repr__(self) -> str:
        return f"<Broker [sandboxes: {len(self._rooms)} | handoffs: {len(self._open)} open]>"

    def statistics(self) -> BrokerStatistics:
        """Return a frozen copy of the counters."""
        phases: dict[str, int] = {}
        for room in self._rooms.values():
            phases[room.control.phase.value] = phases.get(room.control.phase.value, 0) + 1
        return BrokerStatistics(len(self._rooms), len(self._open), phases)

    # -- sandboxes ---------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take over what an earlier server left: leases are parked, every keeper is told again where it stands."""
        await _together(self._recover(control) for control in await self._store.controls())

    async def _recover(self, control: Control) -> None:
        room = self._rooms[control.sandbox] = Room(control)
        if control.handoff is not None:
            self._open[control.handoff.id] = room
        await self._apply(room, ServerRestarted())
        room.effects.clear()
        room.effects.extend(machine.pending(room.control))
        self._runner.start(room)
        if room.control.handoff is not None and room.control.handoff.asked_by is not Side.OPERATOR:
            self._spawn(self._announce(room.control.handoff))

    async def sandbox_opened(
        self,
        sandbox: SandboxId,
        *,
        name: str = "",
        width: int = 0,
        height: int = 0,
        isolation: str = "",
        owner: str = "",
    ) -> ControlView:
        """Give a new sandbox to the agent; returns once its gate is open. Raises `KeeperSilent`, `Gone`."""
        now = self._clock.now()
        control = Control(sandbox, Phase.AGENT, THE_AGENT, Epoch(1), now)
        data = {"name": name, "width": width, "height": height, "isolation": isolation, "owner": owner, "epoch": 1}
        await self._store.save(control, None, [Entry("sandbox/opened", now, sandbox, None, "server", data)])
        room = self._rooms[sandbox] = Room(control)
        room.effects.append(OpenGate(control.epoch, now))
        self._runner.start(room)
        await room.until(lambda: room.acknowledged >= 1 or room.control.phase is Phase.CLOSED, self.settings.grant_s)
        if room.control.phase is Phase.CLOSED:
            raise SandboxClosed(f"sandbox {sandbox} ended before it was ready; try again")
        if room.acknowledged < 1:
            raise KeeperSilent(room.trouble or f"sandbox {sandbox} does not answer; close it and open another")
        return room.view()

    def sandbox_adopted(self, sandbox: SandboxId) -> None:
        """Tell a keeper whose link was gone for a while where its sandbox stands. Unknown sandboxes are passed over."""
        room = self._rooms.get(sandbox)
        if room is not None:
            done = set(map(type, room.effects))
            room.effects.extendleft(e for e in reversed(machine.pending(room.control)) if type(e) not in done)
            room.hurry.set()
            self._runner.start(room)

    async def sandbox_gone(self, sandbox: SandboxId, reason: str) -> None:
        """Browser or keeper ended by itself: an open handoff ends as failed with `reason`. Again changes nothing."""
        await self._end(sandbox, BrowserDied(reason))

    async def close(self, sandbox: SandboxId, reason: str = "the sandbox was closed") -> None:
        """The sandbox is closed on purpose: an open handoff is cancelled. Again changes nothing."""
        await self._end(sandbox, Close(reason))

    async def _end(self, sandbox: SandboxId, event: BrowserDied | Close) -> None:
        room = self._rooms.get(sandbox)
        if room is None:
            return
        try:
            await self._apply(room, event)
        except Gone:
            return

    async def keeper_event(self, sandbox: SandboxId, name: str, params: Json) -> None:
        """Take an event of a keeper; those that do not concern control are passed over."""
        if name == "browser.died":
            await self.sandbox_gone(sandbox, str(params.get("reason") or "the browser ended"))
        elif name == "activity":
            room, who = self._rooms.get(sandbox), params.get("operator")
            if room is not None and who is not None and room.control.holder.operator == who:
                with contextlib.suppress(Conflict, Gone):
                    await self._apply(room, Active(OperatorId(str(who))))

    # -- the agent's verbs -------------------------------------------------------------------------------------

    async def ask(
        self, sandbox: SandboxId, request: HandoffRequest, *, client: str | None = None, url: str = "", title: str = "",
        asked_by: Side = Side.AGENT,
    ) -> Asked:  # fmt: skip
        """Ask for a human, for the agent or by policy. Returns as soon as the handoff is in the queue.

        The same idempotency key returns the same handoff, also after its end. Raises `HandoffOpen`, `SandboxClosed`,
        `NotFound`.
        """
        room = await self._room(sandbox)
        return await self._shielded(self._ask(room, request, client, url, title, asked_by))

    async def _ask(
        self, room: Room, request: HandoffRequest, client: str | None, url: str, title: str, asked_by: Side
    ) -> Asked:
        async with room.lock:
            if request.idempotency_key is not None:
                sandbox = room.control.sandbox
                known = await self._store.handoff_by_key(sandbox, request.idempotency_key)
                if known is not None:
                    current = room.control.handoff
                    return Asked(current if current and current.id == known.id else known, new=False)
            handoff = new_handoff(
                room.control.sandbox, request, self._clock.now(), self.settings, asked_by=asked_by, client=client,
                url=url, title=title,
            )  # fmt: skip
            await self._step(room, Ask(handoff))
        return Asked(handoff, new=True)

    async def get(self, handoff: HandoffId) -> Handoff:
        """Return a handoff as it stands. Raises `NotFound`."""
        room = self._open.get(handoff)
        if room is not None and room.control.handoff is not None and room.control.handoff.id == handoff:
            return room.control.handoff
        found = await self._store.handoff(handoff)
        if found is None:
            raise NotFound(f"there is no handoff {handoff}", handoff=handoff)
        return found

    async def wait(self, handoff: HandoffId, timeout_s: float) -> Handoff:
        """Return a handoff once it is final, or as it stands after `timeout_s`. Raises `NotFound`."""
        now = await self.get(handoff)
        if now.state.final:
            return now
        final = self._finals.setdefault(handoff, asyncio.get_running_loop().create_future())
        if handoff not in self._open:
            self._finals.pop(handoff, None)
            return await self.get(handoff)
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_future()
        waited: set[asyncio.Future[Any]] = {final, self._stopping}
        await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return final.result() if final.done() else await self.get(handoff)

    async def extend_handoff(self, handoff: HandoffId, timeout_s: float, actor: str = "agent") -> Handoff:
        """Let an open handoff wait until `timeout_s` from now; never shorter than before.

        Raises `InvalidAsk`, `NotFound`, `HandoffEnded`.
        """
        timeout = read_timeout(timeout_s, self.settings)
        if timeout is None:
            raise InvalidAsk("say for how many seconds, from now, the handoff is to wait", field="timeout_s")
        room = await self._room_of(handoff)
        await self._apply(room, ExtendDeadline(handoff, self._clock.now() + timeout, actor))
        return await self.get(handoff)

    async def cancel(self, handoff: HandoffId) -> Handoff:
        """Withdraw an open handoff; returns it once final, or as it stands. Raises `NotFound`, `HandoffEnded`."""
        await self._apply(await self._room_of(handoff), Cancel(handoff))
        return await self.wait(handoff, self.settings.settle_s)

    async def queue(self, *, open_only: bool = True, limit: int = 100) -> list[Handoff]:
        """Return the open handoffs, the oldest first; or all, the newest first."""
        held = [room.control.handoff for room in self._open.values() if room.control.handoff is not None]
        if open_only:
            return sorted(held, key=lambda handoff: handoff.created_at)
        live = {handoff.id: handoff for handoff in held}
        return [live.get(handoff.id, handoff) for handoff in await self._store.recent(limit=limit)]

    async def view(self, sandbox: SandboxId) -> ControlView:
        """Return who has control of a sandbox. Raises `NotFound`."""
        room = self._rooms.get(sandbox)
        if room is not None:
            return room.view()
        control = await self._store.control(sandbox)
        if control is None:
            raise NotFound(f"there is no sandbox {sandbox}", sandbox=sandbox)
        return Room(control).view()

    def views(self) -> list[ControlView]:
        """Return who has control, for every sandbox that is open."""
        return [room.view() for room in self._rooms.values()]

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` after every change (it must not block); returns a function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # -- taking control ----------------------------------------------------------------------------------------

    async def take(
        self, sandbox: SandboxId, operator: Person, handoff: HandoffId | None = None, *, force: bool = False
    ) -> Taken:
        """Give an operator control: of the open handoff, or unasked where there is none.

        With `force` also from another operator; who may do that, the caller knows. Returns once the keeper has
        acknowledged, so that the operator's first input passes. Raises `TakenByAnother`, `HandoffEnded`,
        `KeeperSilent`, `SandboxClosed`, `NotFound`.
        """
        room = await self._room(sandbox)
        who = as_holder(operator)
        current = room.control.handoff
        if handoff is not None and (current is None or current.id != handoff):
            ended = await self.get(handoff)
            raise HandoffEnded(f"handoff {handoff} has ended: {ended.state}", handoff=handoff, state=ended.state.value)
        if current is None:
            unasked = HandoffRequest(Blocker.UNKNOWN)
            record = new_handoff(sandbox, unasked, self._clock.now(), self.settings, asked_by=Side.OPERATOR)
            await self._apply(room, TakeOver(who, record))
        else:
            await self._apply(room, Claim(who, force, handoff))

        def settled() -> bool:
            c = room.control
            granted = c.phase is Phase.HELD and c.holder.operator == who.operator and room.acknowledged >= c.epoch
            still = c.phase is Phase.CLOSING and c.claim is not None and c.claim.operator == who.operator
            return granted or not (still or (c.phase is Phase.HELD and c.holder.operator == who.operator))

        if not await room.until(settled, self.settings.grant_s):
            raise KeeperSilent(room.trouble or f"sandbox {sandbox} does not answer; the agent stays stopped; try again")
        lease, held = room.control.lease, room.control.handoff
        if lease is None or held is None or lease.operator.operator != who.operator:
            raise NotNow(f"{room.control.holder} has control now; look again", holder=str(room.control.holder))
        return Taken(lease.epoch, lease, held)

    # -- time --------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Let time act: leases and deadlines that have run out."""
        await self._mind_jumps()
        now = self._clock.now()
        while self._due and self._due[0][0] <= now:
            rooms = []
            while self._due and self._due[0][0] <= now:
                when, sandbox = heapq.heappop(self._due)
                room = self._rooms.get(sandbox)
                if room is not None and room.reminded == when:
                    room.reminded = None
                    rooms.append(room)
            await _together(self._shielded(self._expire(room)) for room in rooms)

    async def _mind_jumps(self) -> None:
        """Where somebody set the clock, what was left of leases and deadlines is left still."""
        ahead = self._clock.now() - self._clock.monotonic()
        by = ahead - self._wall_ahead
        if abs(by) <= JUMP_S:
            return
        self._wall_ahead = ahead
        log.warning("control.clock_jumped", by=by)
        await _together(self._jump(room, by) for room in list(self._open.values()))

    async def _jump(self, room: Room, by: float) -> None:
        try:
            with contextlib.suppress(Conflict, Gone):  # on its way back already: nothing of it depends on time
                await self._apply(room, ClockJumped(by))
        except BatonError as error:
            log.error("control.clock", sandbox=room.control.sandbox, reason=str(error))

    async def _expire(self, room: Room) -> None:
        try:
            async with room.lock:
                next_due = machine.due(room.control)
                if next_due is None:
                    return
                if next_due[0] <= self._clock.now():
                    await self._step(room, next_due[1])
                else:
                    self._remind(room)
        except BatonError as error:
            log.error("control.tick", sandbox=room.control.sandbox, reason=str(error))
            self._remind(room, self._clock.now() + LONGEST_SLEEP_S)

    async def run(self) -> None:
        """Keep time until cancelled."""
        while True:
            self._sooner.clear()
            await self.tick()
            wait = LONGEST_SLEEP_S
            if self._due:
                wait = min(wait, max(0.0, self._due[0][0] - self._clock.now()))
            try:
                await asyncio.wait_for(self._sooner.wait(), wait)
            except TimeoutError:
                continue

    def answer_waiting(self) -> None:
        """Answer everybody in `wait`, now and from now on, with the handoff as it stands: the server ends."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_future()
        if not self._stopping.done():
            self._stopping.set_result(None)

    async def stop(self) -> None:
        """Stop working on effects and answer everybody who waits; `recover` goes on from what is stored."""
        self.answer_waiting()
        runners = [room.runner for room in self._rooms.values() if room.runner is not None]
        for task in [*runners, *self._tasks]:
            task.cancel()
        await asyncio.gather(*runners, *self._tasks, return_exceptions=True)

    # -- inside ------------------------------------------------------------------------------------------------

    async def _room(self, sandbox: SandboxId) -> Room:
        room = self._rooms.get(sandbox)
        if room is None:
            await self.view(sandbox)
            raise SandboxClosed(f"sandbox {sandbox} has ended; open a new one", sandbox=sandbox)
        return room

    async def _room_of(self, handoff: HandoffId) -> Room:
        room = self._open.get(handoff)
        if room is None:
            ended = await self.get(handoff)
            raise HandoffEnded(f"handoff {handoff} has ended: {ended.state}", handoff=handoff, state=ended.state.value)
        return room

    async def _apply(self, room: Room, event: Event) -> Step:
        return await self._shielded(self._locked(room, event))

    async def _locked(self, room: Room, event: Event) -> Step:
        async with room.lock:
            return await self._step(room, event)

    async def _step(self, room: Room, event: Event) -> Step:
        """Decide, store, take over, and hand on; the caller holds the room's lock."""
        step = machine.step(room.control, event, self._clock.now(), self.settings)
        if step.durable:
            await self._store.save(step.control, step.ended, step.entries)
        before, room.control = room.control, step.control
        self._index(room, before, step)
        for effect in step.effects:
            if isinstance(effect, Notify):
                self._spawn(self._announce(effect.handoff, again=effect.again))
            elif not isinstance(effect, Check):
                room.effects.append(effect)
        self._runner.start(room)
        self._remind(room)
        room.changed()
        if step.durable:
            self._tell(Change(room.view(), step.ended))
        return step

    def _index(self, room: Room, before: Control, step: Step) -> None:
        if step.control.handoff is not None:
            self._open[step.control.handoff.id] = room
        elif before.handoff is not None:
            self._open.pop(before.handoff.id, None)
        if step.ended is not None:
            final = self._finals.pop(step.ended.id, None)
            if final is not None and not final.done():
                final.set_result(step.ended)
        if step.control.phase is Phase.CLOSED:
            self._rooms.pop(step.sandbox, None)
            room.effects.clear()
            room.hurry.set()

    def _remind(self, room: Room, at: float | None = None) -> None:
        next_due = machine.due(room.control)
        if next_due is None:
            return
        when = at if at is not None else next_due[0]
        # One reminder a room is enough: it looks again when it comes too early, as after each heartbeat.
        if room.reminded is not None and room.reminded <= when:
            return
        room.reminded = when
        if not self._due or when < self._due[0][0]:
            self._sooner.set()
        heapq.heappush(self._due, (when, room.control.sandbox))

    def _tell(self, change: Change) -> None:
        for listener in list(self._listeners):
            try:
                listener(change)
            except Exception:
                log.exception("control.listener")

    async def _announce(self, handoff: Handoff, *, again: bool = False) -> None:
        try:
            await self._notifier.announce(handoff.to_wire(self._clock.now()), again=again)
        except Exception:
            log.exception("control.announce", handoff=handoff.id)

    async def _trouble(self, room: Room, sentence: str | None) -> None:
        room.trouble = sentence
        room.changed()
        self._tell(Change(room.view()))
        if sentence is not None:
            try:
                await self._journal.append(
                    "control/trouble", sandbox=room.control.sandbox, epoch=room.control.epoch, reason=sentence
                )
            except BatonError as error:
                log.error("control.journal", reason=str(error))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shielded[T](self, work: Coroutine[Any, Any, T]) -> T:
        # A caller who hangs up must not cut a step in two: stored, but not taken over.
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)


async def _together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do them all, some at a time, so that what they write is committed together."""
    for some in batched(works, _AT_ONCE):
        await asyncio.gather(*some)
