"""What operators say to keep a lease, to hand it on, and to ask for one."""

from __future__ import annotations

from abc import ABC, abstractmethod

from agent_bridge.control.asking import clean_note
from agent_bridge.control.errors import InvalidAsk, LeaseLost
from agent_bridge.control.events import Deny, Event, ExtendLease, Give, Heartbeat, RequestControl, Stay, Step
from agent_bridge.control.room import Room
from agent_bridge.control.words import ControlSettings, ControlView, Lease, Person, as_holder
from sandbox.words import Epoch, OperatorId, SandboxId


class LeaseVerbs(ABC):
    """The part of the broker that is about leases. Without one the holder's verbs raise `LeaseLost`, `TakenByAnother`.

    All raise `SandboxClosed` and `NotFound`.
    """

    settings: ControlSettings

    @abstractmethod
    async def _apply(self, room: Room, event: Event) -> Step: ...

    @abstractmethod
    async def _room(self, sandbox: SandboxId) -> Room: ...

    async def heartbeat(self, sandbox: SandboxId, operator: Person, epoch: Epoch) -> Lease:
        """Renew a lease: the console lives."""
        return await self._kept(sandbox, Heartbeat(operator.id, epoch))

    async def stay(self, sandbox: SandboxId, operator: Person, epoch: Epoch) -> Lease:
        """Renew a lease: the operator is there, though they give no input."""
        return await self._kept(sandbox, Stay(operator.id, epoch))

    async def extend_lease(self, sandbox: SandboxId, operator: Person, epoch: Epoch, reason: str) -> Lease:
        """Move the lease's ceiling, once in a handoff; the reason is journalled. Raises `ExtendedBefore`."""
        said = clean_note(reason, self.settings, "reason")
        if not said:
            raise InvalidAsk("say why you need longer; the reason is kept in the journal", field="reason")
        return await self._kept(sandbox, ExtendLease(operator.id, epoch, said))

    async def _kept(self, sandbox: SandboxId, event: Heartbeat | Stay | ExtendLease) -> Lease:
        step = await self._apply(await self._room(sandbox), event)
        if step.control.lease is None:  # pragma: no cover - the rule returns a lease or raises
            raise LeaseLost("your lease is over; take control again", epoch=step.control.epoch)
        return step.control.lease

    async def request_control(self, sandbox: SandboxId, operator: Person, note: str | None = None) -> ControlView:
        """Ask the operator who holds control for it; again changes the note. Raises `NotNow` where nobody holds it."""
        room = await self._room(sandbox)
        await self._apply(room, RequestControl(as_holder(operator), clean_note(note, self.settings)))
        return room.view()

    async def give(self, sandbox: SandboxId, operator: Person, epoch: Epoch, to: OperatorId) -> ControlView:
        """Pass control to an operator who asked for it. Raises `NotAsked`.

        Returns once the keeper has acknowledged, or does not answer in time: then the other holds control all the same.
        """
        room = await self._room(sandbox)
        given = (await self._apply(room, Give(operator.id, epoch, to))).control.epoch
        await room.until(lambda: room.acknowledged >= given or room.control.epoch != given, self.settings.grant_s)
        return room.view()

    async def deny(self, sandbox: SandboxId, operator: Person, epoch: Epoch, to: OperatorId) -> ControlView:
        """Keep control although somebody asked for it. Raises `NotAsked`."""
        room = await self._room(sandbox)
        await self._apply(room, Deny(operator.id, epoch, to))
        return room.view()
