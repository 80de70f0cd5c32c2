"""What each cell of the machine's table decides. Pure; see `machine` for the theory of operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from agent_bridge.control.errors import (
    ConditionsNotMet,
    HandoffEnded,
    HandoffOpen,
    LeaseLost,
    NotNow,
    SandboxClosed,
    TakenByAnother,
)
from agent_bridge.control.events import (
    AgentCode,
    Ask,
    BrowserDied,
    Cancel,
    Check,
    Claim,
    Close,
    CloseGate,
    Complete,
    ConditionsChecked,
    Declined,
    Diff,
    Diffed,
    Done,
    Effect,
    Event,
    Expire,
    Failed,
    GateClosed,
    GateOpened,
    Heartbeat,
    HeartbeatLost,
    Notify,
    OpenGate,
    PushControl,
    Release,
    ServerRestarted,
    Step,
    TakeOver,
)
from agent_bridge.control.words import Control, ControlSettings, Ending, Handoff, Json, Lease, Phase
from agent_bridge.journal.words import Entry
from agent_bridge.words import HandoffState, Outcome
from sandbox.words import NOBODY, THE_AGENT, BatonError, Epoch, Holder, NotAllowed, Side

type Vouched = Heartbeat | Done | Failed | Declined | Release
"""What an operator says under a lease."""

_VOUCHED: Final = (Heartbeat, Done, ConditionsChecked, Failed, Declined, Release)


def refusal(control: Control, event: Event) -> BatonError:
    """Return the error for an event that the table does not list in this phase."""
    facts = {"event": type(event).__name__, "phase": control.phase.value, "holder": str(control.holder)}
    if control.phase is Phase.CLOSED:
        return SandboxClosed(f"sandbox {control.sandbox} has ended; open a new one", **facts)
    if isinstance(event, Ask | TakeOver) and control.handoff is not None:
        return HandoffOpen(
            f"handoff {control.handoff.id} is open in this sandbox already; wait for its result or cancel it",
            handoff=control.handoff.id, **facts,
        )  # fmt: skip
    if isinstance(event, _VOUCHED):
        return LeaseLost(
            f"your lease is over and {control.holder} has control; take control again", epoch=control.epoch, **facts
        )
    if control.phase in {Phase.RETURNING, Phase.OPENING} and control.handoff is not None:
        return HandoffEnded(
            f"handoff {control.handoff.id} is ending; control is on its way back to the agent",
            handoff=control.handoff.id, **facts,
        )  # fmt: skip
    return NotNow(
        f"{facts['event']} is not possible while the sandbox is {facts['phase']} and {control.holder} has control",
        **facts,
    )


def ending(control: Control) -> bool:
    """Whether the open handoff is on its way out."""
    return control.handoff is not None and control.handoff.ending is not None


def open_handoff(control: Control) -> Handoff:
    """Return the open handoff; phases between the agent's have one."""
    if control.handoff is None:  # pragma: no cover - the table keeps it so
        raise AssertionError(f"{control.phase} without a handoff")
    return control.handoff


def pass_to(control: Control, holder: Holder, now: float, phase: Phase) -> Control:
    """Return control in other hands: the one place where the epoch rises."""
    return replace(control, holder=holder, epoch=Epoch(control.epoch + 1), since=now, phase=phase)


def push(control: Control) -> PushControl:
    """Return the effect that tells the keeper who holds control."""
    return PushControl(control.epoch, control.holder, control.since, control.handoff)


def entry(kind: str, control: Control, now: float, actor: str | None = "server", **data: object) -> Entry:
    """Return a journal entry about the sandbox and its open handoff."""
    handoff = control.handoff.id if control.handoff else None
    return Entry(kind, now, control.sandbox, handoff, actor or "server", data)


def vouch(control: Control, event: Vouched) -> Lease:
    """Return the lease the event was said under. Raises `LeaseLost` or `TakenByAnother`."""
    lease = control.lease
    if lease is None or lease.operator.operator != event.operator:
        raise TakenByAnother(f"{control.holder} has control, not you; take control first", holder=str(control.holder))
    if event.epoch != control.epoch:
        raise LeaseLost(
            f"this belongs to epoch {event.epoch}; the sandbox is at {control.epoch}; take control again",
            epoch=control.epoch,
        )
    return lease


def keep(control: Control, _event: ServerRestarted, _now: float, _settings: ControlSettings) -> Step:
    """Nothing changes; the keeper is told again (`machine.pending`)."""
    return Step(control, durable=False)


def ask(control: Control, event: Ask, now: float, settings: ControlSettings) -> Step:
    """The agent asks: it is stopped, and operators are told at once."""
    return _stop(replace(control, handoff=event.handoff), now, settings, "agent")


def take_over(control: Control, event: TakeOver, now: float, settings: ControlSettings) -> Step:
    """An operator takes over unasked: the agent is stopped, and the lease follows the gate's acknowledgement."""
    taken = replace(control, handoff=event.handoff, claim=event.operator)
    return _stop(taken, now, settings, event.operator.operator)


def _stop(control: Control, now: float, _settings: ControlSettings, actor: str | None) -> Step:
    after = pass_to(control, NOBODY, now, Phase.CLOSING)
    handoff = open_handoff(after)
    asked = entry(
        "handoff/asked", after, now, actor, blocker=handoff.kind.value, asked_by=handoff.asked_by.value,
        epoch=after.epoch, deadline_at=handoff.deadline_at, site=handoff.site, condition=handoff.condition is not None,
    )  # fmt: skip
    tell: tuple[Effect, ...] = (Notify(handoff),) if handoff.asked_by is Side.AGENT else ()
    return Step(after, (CloseGate(after.epoch, NOBODY, now, handoff), *tell), (asked,))


def gate_closed(control: Control, event: GateClosed, now: float, settings: ControlSettings) -> Step:
    """The agent is stopped: on to the queue, to the operator who claimed meanwhile, or back if it ended meanwhile."""
    _answers(control, event)
    handoff = replace(open_handoff(control), unknown=event.unknown)
    if event.url and not handoff.url:
        handoff = handoff.at(event.url, event.title)
    closed = entry("control/closed", control, now, epoch=event.epoch, unknown=len(event.unknown))
    after = replace(control, handoff=handoff)
    if handoff.ending is not None:
        step = _go_back(replace(after, claim=None), handoff.ending, now)
    elif control.claim is not None:
        step = _grant(after, control.claim, now, settings)
    else:
        step = Step(replace(after, phase=Phase.WAITING, handoff=replace(handoff, state=HandoffState.WAITING)))
    return replace(step, entries=(closed, *step.entries))


def _answers(control: Control, event: GateClosed | GateOpened) -> None:
    if event.epoch != control.epoch:
        raise NotNow(
            f"the keeper answered for epoch {event.epoch}; the sandbox is at {control.epoch}", epoch=control.epoch
        )


def claim_early(control: Control, event: Claim, now: float, _settings: ControlSettings) -> Step:
    """An operator claims while the gate still closes: first come, first served."""
    if ending(control):
        raise HandoffEnded("this handoff is ending; control is on its way back to the agent")
    if control.claim is not None and control.claim.operator != event.operator.operator:
        raise TakenByAnother(f"{control.claim} was quicker and gets control", holder=str(control.claim))
    claimed = entry("handoff/claimed", control, now, event.operator.operator, epoch=control.epoch)
    return Step(replace(control, claim=event.operator), entries=(claimed,))


def forget_claim(control: Control, _event: ServerRestarted, _now: float, _settings: ControlSettings) -> Step:
    """Whoever claimed before a restart claims again."""
    return Step(replace(control, claim=None))


def end_early(control: Control, event: Cancel | Expire, now: float, _settings: ControlSettings) -> Step:
    """It ends while the gate still closes: the gate is let finish, then opened again."""
    if ending(control):
        raise HandoffEnded("this handoff is ending already")
    end = _end_of(control, event)
    after = replace(control, claim=None, handoff=replace(open_handoff(control), ending=end))
    return Step(after, entries=(_ending(after, end, now),))


def claim(control: Control, event: Claim, now: float, settings: ControlSettings) -> Step:
    """One operator gets the lease."""
    return _grant(control, event.operator, now, settings)


def claim_again(control: Control, event: Claim, now: float, settings: ControlSettings) -> Step:
    """The holder's second tab gets the same lease; anybody else is told who has it."""
    lease = control.lease
    if lease is None or lease.operator.operator != event.operator.operator:
        raise TakenByAnother(
            f"{control.holder} has control; watch, or wait until it is released",
            holder=str(control.holder),
            since=control.since,
        )
    return Step(_renewed(control, lease, now, settings), (push(control),), durable=False)


def agent_code(control: Control, event: AgentCode, _now: float, _settings: ControlSettings) -> Step:
    """Operator and result will say that code of the agent is in these tabs."""
    handoff = open_handoff(control)
    tabs = tuple(dict.fromkeys((*handoff.agent_code, *event.tabs)))
    return Step(replace(control, handoff=replace(handoff, agent_code=tabs)), durable=tabs != handoff.agent_code)


def heartbeat(control: Control, event: Heartbeat, now: float, settings: ControlSettings) -> Step:
    """The lease lives on. Not stored: a restart parks every lease."""
    return Step(_renewed(control, vouch(control, event), now, settings), durable=False)


def _renewed(control: Control, lease: Lease, now: float, settings: ControlSettings) -> Control:
    renewed = replace(lease, expires_at=max(lease.expires_at, now + settings.lease_s))
    return replace(control, handoff=replace(open_handoff(control), lease=renewed))


def _grant(control: Control, operator: Holder, now: float, settings: ControlSettings) -> Step:
    after = replace(pass_to(control, operator, now, Phase.HELD), claim=None)
    lease = Lease(operator, after.epoch, now, now + settings.lease_s)
    handoff = open_handoff(after)
    first = handoff.claimed_at if handoff.claimed_at is not None else now
    held = replace(handoff, state=HandoffState.HELD, lease=lease, leases=(*handoff.leases, lease), claimed_at=first)
    after = replace(after, handoff=held)
    granted = entry(
        "control/granted",
        after,
        now,
        operator.operator,
        epoch=after.epoch,
        holder=str(operator),
        expires_at=lease.expires_at,
    )
    return Step(after, (push(after),), (granted,))


def park(control: Control, event: HeartbeatLost | ServerRestarted, now: float, settings: ControlSettings) -> Step:
    """The lease ends without a word: nobody holds, the agent stays stopped, the handoff is in the queue again.

    It does not expire before the operator had `grace_s` to come back. Where nobody had asked for a human, the agent
    does not wait long for one who went away.
    """
    reason = "heartbeat lost" if isinstance(event, HeartbeatLost) else "server restarted"
    after = pass_to(control, NOBODY, now, Phase.PARKED)
    handoff = open_handoff(after)
    deadline = max(handoff.deadline_at, now + settings.grace_s)
    if handoff.asked_by is Side.OPERATOR:
        deadline = min(deadline, now + max(settings.grace_s, settings.unasked_s))
    handoff = replace(handoff, state=HandoffState.PARKED, lease=None, deadline_at=deadline)
    after = replace(after, handoff=handoff)
    parked = entry("control/parked", after, now, epoch=after.epoch, holder=str(control.holder), reason=reason)
    return Step(after, (push(after), Notify(handoff)), (parked,))


def done(control: Control, event: Done, now: float, _settings: ControlSettings) -> Step:
    """The operator is done: on the way back at once, or after the agent's condition was checked."""
    vouch(control, event)
    condition = open_handoff(control).condition
    if condition is not None:
        return Step(control, (Check(condition),), durable=False)
    return _leave(control, Ending(Outcome.RESOLVED, event.note, _name(control)), now)


def checked(control: Control, event: ConditionsChecked, now: float, _settings: ControlSettings) -> Step:
    """The condition holds, or the operator overrides it with a reason; else they are told what is missing."""
    vouch(control, event.done)
    verification, override = event.verification, (event.done.override or "").strip() or None
    if not verification.verified and override is None:
        raise ConditionsNotMet(
            "what the agent waits for does not hold yet; go on, or override with a reason",
            parts=list(verification.parts),
        )
    if not verification.verified:
        verification = replace(verification, verified=False, overridden=override)
    return _leave(control, Ending(Outcome.RESOLVED, event.done.note, _name(control), verification), now)


def give_up(control: Control, event: Failed | Declined, now: float, _settings: ControlSettings) -> Step:
    """The operator could not, or will not."""
    vouch(control, event)
    outcome = Outcome.FAILED if isinstance(event, Failed) else Outcome.DECLINED
    return _leave(control, Ending(outcome, event.note, _name(control)), now)


def release(control: Control, event: Release, now: float, _settings: ControlSettings) -> Step:
    """Back to the queue; to the agent where an operator had taken over unasked."""
    vouch(control, event)
    handoff = open_handoff(control)
    if handoff.asked_by is Side.OPERATOR:
        return _leave(control, Ending(Outcome.RESOLVED, "", _name(control)), now)
    after = pass_to(control, NOBODY, now, Phase.WAITING)
    after = replace(after, handoff=replace(handoff, state=HandoffState.WAITING, lease=None))
    released = entry("control/released", after, now, event.operator, epoch=after.epoch, holder=str(control.holder))
    return Step(after, (push(after), Notify(open_handoff(after))), (released,))


def cancel_held(control: Control, event: Cancel, now: float, _settings: ControlSettings) -> Step:
    """The agent withdraws while an operator holds control: it is taken from them first."""
    return _leave(control, _end_of(control, event), now)


def end_waiting(control: Control, event: Cancel | Expire, now: float, _settings: ControlSettings) -> Step:
    """It ends while nobody holds control."""
    end = _end_of(control, event)
    step = _go_back(control, end, now)
    return replace(step, entries=(_ending(step.control, end, now), *step.entries))


def _end_of(control: Control, event: Cancel | Expire) -> Ending:
    if isinstance(event, Expire):
        return Ending(Outcome.EXPIRED, "nobody finished it before the deadline")
    if open_handoff(control).asked_by is Side.OPERATOR:
        raise NotAllowed("an operator took over; only they can give control back", holder=str(control.holder))
    return Ending(Outcome.CANCELLED, "the agent withdrew its request")


def _name(control: Control) -> str:
    return str(control.holder)


def _leave(control: Control, end: Ending, now: float) -> Step:
    """Take control from the operator, then go back."""
    after = pass_to(control, NOBODY, now, Phase.RETURNING)
    step = _go_back(after, end, now)
    actor = control.holder.operator if end.operator else "agent"
    return Step(step.control, (push(step.control), *step.effects), (_ending(step.control, end, now, actor),))


def _ending(control: Control, end: Ending, now: float, actor: str | None = "server") -> Entry:
    return entry(
        "handoff/ending", control, now, actor, outcome=end.outcome.value, note=end.note, epoch=control.epoch,
        verified=end.verification.verified, overridden=end.verification.overridden,
    )  # fmt: skip


def _go_back(control: Control, end: Ending, _now: float) -> Step:
    handoff = replace(open_handoff(control), state=HandoffState.RETURNING, lease=None, ending=end)
    after = replace(control, phase=Phase.RETURNING, handoff=handoff)
    return Step(after, (Diff(handoff),))


def diffed(control: Control, event: Diffed, now: float, _settings: ControlSettings) -> Step:
    """What changed is known and kept; the agent becomes the holder, and the gate is told to open."""
    handoff = replace(
        open_handoff(control), result={"diff": event.diff, "text": event.text, "images": list(event.images)}
    )
    after = replace(pass_to(control, THE_AGENT, now, Phase.OPENING), handoff=handoff)
    return Step(after, (OpenGate(after.epoch, now),))


def gate_opened(control: Control, event: GateOpened, now: float, _settings: ControlSettings) -> Step:
    """The agent is back: the handoff is final. The only way to resume."""
    _answers(control, event)
    notes = [note for note in event.notes if note]
    final = finish(open_handoff(control), now, notes)
    returned = entry("control/returned", control, now, epoch=control.epoch, notes=notes)
    after = replace(control, phase=Phase.AGENT, handoff=None)
    return Step(after, (Complete(final),), (returned, ended(control, final, now)), final)


def finish(handoff: Handoff, now: float, notes: Sequence[str] = ()) -> Handoff:
    """Return a handoff made final, its result assembled."""
    end = handoff.ending or Ending(Outcome.FAILED, "it ended without a word")
    over = replace(handoff, state=HandoffState(end.outcome.value), ended_at=now, lease=None)
    return replace(over, result=_result(over, end, now, notes))


def _result(handoff: Handoff, end: Ending, now: float, notes: Sequence[str]) -> Json:
    seen = handoff.result or {}
    driven = max(0.0, now - handoff.claimed_at) if handoff.claimed_at is not None else 0.0
    return {
        "handoff": handoff.id, "outcome": end.outcome.value, "note": end.note, "operator": end.operator,
        "duration_s": round(driven, 3), "waited_s": handoff.waited_s(now),
        "verification": end.verification.to_wire(), "diff": seen.get("diff", {}), "text": seen.get("text", ""),
        "unknown": list(handoff.unknown), "exposure": handoff.exposure, "notes": list(notes),
        "images": seen.get("images", []),
    }  # fmt: skip


def ended(control: Control, final: Handoff, now: float) -> Entry:
    """Return the journal entry of a handoff's end."""
    result = final.result or {}
    verified = result["verification"]["verified"]
    return entry(
        "handoff/ended", control, now, outcome=final.state.value, duration_s=result["duration_s"],
        waited_s=result["waited_s"], verified=verified,
    )  # fmt: skip


def died(control: Control, event: BrowserDied, now: float, _settings: ControlSettings) -> Step:
    """Browser or keeper is gone: an open handoff ends as failed, with that reason."""
    gone = entry("sandbox/died", control, now, reason=event.reason, epoch=control.epoch, phase=control.phase.value)
    said = control.handoff.ending if control.handoff else None
    word = f"; the operator had said {said.outcome}: {said.note}" if said and said.operator else ""
    end = Ending(Outcome.FAILED, f"the sandbox ended: {event.reason}{word}", said.operator if said else None)
    return _closed(control, end, gone, now)


def close(control: Control, event: Close, now: float, _settings: ControlSettings) -> Step:
    """The sandbox is closed on purpose: an open handoff is cancelled with it."""
    gone = entry("sandbox/closed", control, now, reason=event.reason, epoch=control.epoch)
    said = control.handoff.ending if control.handoff else None
    return _closed(control, said or Ending(Outcome.CANCELLED, event.reason), gone, now)


def _closed(control: Control, end: Ending, gone: Entry, now: float) -> Step:
    after = replace(pass_to(control, NOBODY, now, Phase.CLOSED), handoff=None, claim=None)
    if control.handoff is None:
        return Step(after, entries=(gone,))
    final = finish(replace(control.handoff, ending=end), now)
    return Step(after, (Complete(final),), (gone, ended(control, final, now)), final)
