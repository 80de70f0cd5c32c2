"""What an operator says to end a lease: done, failed, declined, release; and check, before it."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import replace

from agent_bridge.control import moves
from agent_bridge.control.asking import clean_note
from agent_bridge.control.errors import ConditionsNotMet
from agent_bridge.control.events import ConditionsChecked, Declined, Done, Failed, Heartbeat, Release, Step
from agent_bridge.control.holding import LeaseVerbs
from agent_bridge.control.ports import ControlStore, JournalPort, Keepers
from agent_bridge.control.room import Room
from agent_bridge.control.words import Handoff, Json, Person, Phase, Verification
from agent_bridge.journal.words import Entry
from agent_bridge.words import Outcome
from sandbox.words import BatonError, Clock, Conflict, Epoch, Gone, HandoffId, SandboxId, Unavailable

RECENT = 20
"""How many finished handoffs of a sandbox are searched for the lease of a late word."""


class OperatorVerbs(LeaseVerbs):
    """The part of the broker that operators speak to. Without a lease each raises `LeaseLost` or `TakenByAnother`."""

    _store: ControlStore
    _keepers: Keepers
    _journal: JournalPort
    _clock: Clock
    _rooms: dict[SandboxId, Room]

    @abstractmethod
    async def wait(self, handoff: HandoffId, timeout_s: float) -> Handoff:
        """Return a handoff once it is final, or as it stands after `timeout_s`."""

    async def done(
        self, sandbox: SandboxId, operator: Person, epoch: Epoch, note: str | None = None, override: str | None = None
    ) -> Handoff:
        """The blocker is solved. Returns the handoff once the agent has control again, or as it stands.

        Raises `ConditionsNotMet` (with `parts`) when the agent's condition does not hold and no `override` reason is
        given. Said after the handoff has ended, it is recorded there as late.
        """
        reason = clean_note(override, self.settings, "override") or None
        event = Done(operator.id, epoch, clean_note(note, self.settings), reason)
        return await self._say(sandbox, operator, event, Outcome.RESOLVED)

    async def failed(self, sandbox: SandboxId, operator: Person, epoch: Epoch, note: str | None = None) -> Handoff:
        """The operator could not solve it."""
        return await self._say(
            sandbox, operator, Failed(operator.id, epoch, clean_note(note, self.settings)), Outcome.FAILED
        )

    async def declined(self, sandbox: SandboxId, operator: Person, epoch: Epoch, note: str | None = None) -> Handoff:
        """The operator refuses."""
        event = Declined(operator.id, epoch, clean_note(note, self.settings))
        return await self._say(sandbox, operator, event, Outcome.DECLINED)

    async def release(self, sandbox: SandboxId, operator: Person, epoch: Epoch) -> Handoff:
        """Give control back: to the queue, or to the agent where the operator had taken over unasked."""
        room = await self._room(sandbox)
        step = await self._apply(room, Release(operator.id, epoch))
        handoff = moves.open_handoff(step.control)
        if step.control.phase is Phase.RETURNING:
            return await self.wait(handoff.id, self.settings.settle_s)
        return handoff

    async def check(self, sandbox: SandboxId, operator: Person, epoch: Epoch) -> Json:
        """Evaluate the agent's condition as Done would; returns `{"met", "parts"}`, `met` None where there is none."""
        room = await self._room(sandbox)
        step = await self._apply(room, Heartbeat(operator.id, epoch))
        condition = moves.open_handoff(step.control).condition
        if condition is None:
            return {"met": None, "parts": []}
        verification = await self._verify(room, condition)
        return {"met": verification.verified, "parts": list(verification.parts)}

    async def _say(
        self, sandbox: SandboxId, operator: Person, event: Done | Failed | Declined, outcome: Outcome
    ) -> Handoff:
        try:
            room = await self._room(sandbox)
            step = await self._apply(room, event)
        except (Conflict, Gone):
            if (known := await self._said_before(sandbox, operator, event, outcome)) is not None:
                return known
            raise
        if isinstance(event, Done) and step.control.phase is Phase.HELD:
            step = await self._checked(room, event, moves.open_handoff(step.control))
        return await self.wait(moves.open_handoff(step.control).id, self.settings.settle_s)

    async def _checked(self, room: Room, event: Done, handoff: Handoff) -> Step:
        verification = await self._verify(room, handoff.condition or {})
        try:
            return await self._apply(room, ConditionsChecked(event, verification))
        except ConditionsNotMet:
            await self._journal.append(
                "handoff/refused", sandbox=room.control.sandbox, handoff=handoff.id, actor=event.operator,
                epoch=event.epoch, parts=len(verification.parts),
            )  # fmt: skip
            raise

    async def _verify(self, room: Room, condition: Json) -> Verification:
        """Ask the keeper. A condition that cannot be evaluated does not hold, and says why."""
        try:
            async with asyncio.timeout(self.settings.keeper_s):
                answer = await self._keepers.link(room.control.sandbox).check(condition)
        except (Gone, Unavailable):
            raise
        except (BatonError, TimeoutError) as error:
            why = str(error) or "the page did not answer in time"
            return Verification(verified=False, parts=({"condition": condition, "met": None, "why": why},))
        return Verification(answer.get("met") is True, tuple(answer.get("parts") or ()))

    async def _said_before(
        self, sandbox: SandboxId, operator: Person, event: Done | Failed | Declined, outcome: Outcome
    ) -> Handoff | None:
        """Return the handoff whose lease this was, if it is ending or over; a word after its end is kept as late."""
        room = self._rooms.get(sandbox)
        current = room.control.handoff if room else None
        if current is not None and current.ending is not None and _held_by(current, operator, event.epoch):
            return await self.wait(current.id, self.settings.settle_s)
        for handoff in await self._store.recent(sandbox, RECENT):
            if handoff.state.final and _held_by(handoff, operator, event.epoch):
                return await self._late(handoff, operator, event, outcome)
        return None

    async def _late(
        self, handoff: Handoff, operator: Person, event: Done | Failed | Declined, outcome: Outcome
    ) -> Handoff:
        said = {"operator": operator.name, "outcome": outcome.value, "note": event.note, "epoch": event.epoch}
        again = any({**late, "at": 0} == {**said, "at": 0} for late in handoff.late)
        if again or (handoff.ending is not None and handoff.ending.outcome is outcome and handoff.ending.operator):
            return handoff
        now = self._clock.now()
        late = replace(handoff, late=(*handoff.late, {**said, "at": now}))
        entry = Entry(
            "handoff/late", now, handoff.sandbox, handoff.id, operator.id,
            {"outcome": outcome.value, "note": event.note, "epoch": event.epoch},
        )  # fmt: skip
        await self._store.save_late(late, [entry])
        return late


def _held_by(handoff: Handoff, operator: Person, epoch: Epoch) -> bool:
    return any(lease.epoch == epoch and lease.operator.operator == operator.id for lease in handoff.leases)
