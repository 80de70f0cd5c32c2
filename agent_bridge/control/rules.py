"""The rules of the way from the agent and back to it. Pure; see `machine` for the theory of operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from agent_bridge.control.errors import ConditionsNotMet, HandoffEnded, NotNow, TakenByAnother
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
    Diffed,
    Done,
    Effect,
    Expire,
    ExtendDeadline,
    Failed,
    GateClosed,
    GateOpened,
    Notify,
    OpenGate,
    ServerRestarted,
    Step,
    TakeOver,
)
from agent_bridge.control.leases import at_work, grant
from agent_bridge.control.moves import (
    SERVER,
    ending,
    ending_entry,
    entry,
    go_back,
    leave,
    meant,
    moved,
    open_handoff,
    pass_to,
    vouch,
)
from agent_bridge.control.words import Control, ControlSettings, Ending, Handoff, How, Json, Move, Phase
from agent_bridge.journal.words import Entry
from agent_bridge.words import HandoffState, Outcome
from sandbox.words import NOBODY, THE_AGENT, NotAllowed, Side

AGENT: Final = str(THE_AGENT)


def keep(control: Control, _event: ServerRestarted, _now: float, _settings: ControlSettings) -> Step:
    """Nothing changes; the keeper is told again (`machine.pending`)."""
    return Step(control, durable=False)


def ask(control: Control, event: Ask, now: float, _settings: ControlSettings) -> Step:
    """The agent or the platform asks: the agent is stopped, and operators are told at once."""
    who = event.handoff.asked_by.value
    return _stop(replace(control, handoff=event.handoff), now, moved(control, How.ASKED, who, now), who)


def take_over(control: Control, event: TakeOver, now: float, _settings: ControlSettings) -> Step:
    """An operator takes over unasked: the agent is stopped, and the lease follows the gate's acknowledgement."""
    taken = replace(control, handoff=event.handoff, claim=event.operator)
    return _stop(taken, now, moved(control, How.TAKEN, str(event.operator), now), event.operator.operator)


def _stop(control: Control, now: float, move: Move, actor: str | None) -> Step:
    after = pass_to(control, NOBODY, now, Phase.CLOSING, move)
    handoff = open_handoff(after)
    asked = entry(
        "handoff/asked", after, now, actor, blocker=handoff.kind.value, asked_by=handoff.asked_by.value,
        epoch=after.epoch, deadline_at=handoff.deadline_at, site=handoff.site, condition=handoff.condition is not None,
    )  # fmt: skip
    tell: tuple[Effect, ...] = (Notify(handoff),) if handoff.asked_by is not Side.OPERATOR else ()
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
        step = go_back(replace(after, claim=None), handoff.ending)
    elif control.claim is not None:
        how = How.TAKEN if handoff.asked_by is Side.OPERATOR else How.CLAIMED
        step = grant(after, control.claim, now, settings, moved(after, how, str(control.claim), now))
    else:
        step = Step(replace(after, phase=Phase.WAITING, handoff=replace(handoff, state=HandoffState.WAITING)))
    return replace(step, entries=(closed, *step.entries))


def _answers(control: Control, event: GateClosed | GateOpened) -> None:
    if event.epoch != control.epoch:
        raise NotNow(
            f"the keeper answered for epoch {event.epoch}; the sandbox is at {control.epoch}", epoch=control.epoch
        )


def claim_early(control: Control, event: Claim, now: float, _settings: ControlSettings) -> Step:
    """An operator claims while the gate still closes: first come, first served, but for one who may force."""
    meant(control, event.handoff)
    if ending(control):
        raise HandoffEnded("this handoff is ending; control is on its way back to the agent")
    if control.claim is not None and control.claim.operator != event.operator.operator and not event.force:
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
    after = replace(after, last=_withdrawn(control, event, now))
    return Step(after, entries=(ending_entry(after, end, now),))


def _withdrawn(control: Control, event: Cancel | Expire, now: float) -> Move:
    if isinstance(event, Cancel):
        return moved(control, How.CANCELLED, AGENT, now)
    return moved(control, How.EXPIRED, SERVER, now)


def extend_deadline(control: Control, event: ExtendDeadline, now: float, _settings: ControlSettings) -> Step:
    """The handoff waits longer; never shorter than before."""
    handoff = open_handoff(control)
    if ending(control) or handoff.id != event.handoff:
        raise HandoffEnded(f"handoff {event.handoff} is over, or about to be", handoff=event.handoff)
    if event.deadline_at <= handoff.deadline_at:
        return Step(control, durable=False)
    after = replace(control, handoff=replace(handoff, deadline_at=event.deadline_at))
    return Step(after, entries=(entry("handoff/extended", after, now, event.actor, deadline_at=event.deadline_at),))


def agent_code(control: Control, event: AgentCode, _now: float, _settings: ControlSettings) -> Step:
    """Operator and result will say that code of the agent is in these tabs."""
    handoff = open_handoff(control)
    tabs = tuple(dict.fromkeys((*handoff.agent_code, *event.tabs)))
    return Step(replace(control, handoff=replace(handoff, agent_code=tabs)), durable=tabs != handoff.agent_code)


def done(control: Control, event: Done, now: float, settings: ControlSettings) -> Step:
    """The operator is done: on the way back at once, or after the agent's condition was checked."""
    vouch(control, event)
    condition = open_handoff(control).condition
    if condition is not None:
        # Whoever says Done is there: they must not be found idle while the page is looked at.
        return Step(at_work(control, now, settings), (Check(condition),), durable=False)
    return _leave(control, Ending(Outcome.RESOLVED, event.note, str(control.holder)), now)


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
    return _leave(control, Ending(Outcome.RESOLVED, event.done.note, str(control.holder), verification), now)


def _leave(control: Control, end: Ending, now: float) -> Step:
    return leave(control, end, now, moved(control, How.RETURNED, str(control.holder), now))


def give_up(control: Control, event: Failed | Declined, now: float, _settings: ControlSettings) -> Step:
    """The operator could not, or will not."""
    vouch(control, event)
    outcome = Outcome.FAILED if isinstance(event, Failed) else Outcome.DECLINED
    return _leave(control, Ending(outcome, event.note, str(control.holder)), now)


def cancel_held(control: Control, event: Cancel, now: float, _settings: ControlSettings) -> Step:
    """The agent withdraws while an operator holds control: it is taken from them first."""
    return leave(control, _end_of(control, event), now, _withdrawn(control, event, now), AGENT)


def end_waiting(control: Control, event: Cancel | Expire, now: float, _settings: ControlSettings) -> Step:
    """It ends while nobody holds control."""
    end = _end_of(control, event)
    step = go_back(replace(control, last=_withdrawn(control, event, now)), end)
    return replace(step, entries=(ending_entry(step.control, end, now), *step.entries))


def _end_of(control: Control, event: Cancel | Expire) -> Ending:
    if isinstance(event, Expire):
        return Ending(Outcome.EXPIRED, "nobody finished it before the deadline")
    meant(control, event.handoff)
    if open_handoff(control).asked_by is Side.OPERATOR:
        raise NotAllowed("an operator took over; only they can give control back", holder=str(control.holder))
    if open_handoff(control).asked_by is Side.PLATFORM:
        raise NotAllowed("a policy of this server asked for a human; an operator decides", holder=str(control.holder))
    return Ending(Outcome.CANCELLED, "the agent withdrew its request")


def diffed(control: Control, event: Diffed, now: float, _settings: ControlSettings) -> Step:
    """What changed is known and kept; the agent becomes the holder, and the gate is told to open."""
    handoff = replace(
        open_handoff(control), result={"diff": event.diff, "text": event.text, "images": list(event.images)}
    )
    after = replace(pass_to(control, THE_AGENT, now, Phase.OPENING, None), handoff=handoff)
    return Step(after, (OpenGate(after.epoch, now),))


def gate_opened(control: Control, event: GateOpened, now: float, _settings: ControlSettings) -> Step:
    """The agent is back: the handoff is final. The only way to resume."""
    _answers(control, event)
    notes = [note for note in event.notes if note]
    final = finish(open_handoff(control), now, notes, event.stale)
    returned = entry("control/returned", control, now, epoch=control.epoch, notes=notes)
    after = replace(control, phase=Phase.AGENT, handoff=None)
    return Step(after, (Complete(final),), (returned, ended(control, final, now)), final)


def finish(handoff: Handoff, now: float, notes: Sequence[str] = (), stale: Json | None = None) -> Handoff:
    """Return a handoff made final, its result assembled."""
    end = handoff.ending or Ending(Outcome.FAILED, "it ended without a word")
    over = replace(handoff, state=HandoffState(end.outcome.value), ended_at=now, lease=None, reserved=None)
    return replace(over, result={**_result(over, end, now, notes), "stale": stale or {}})


def _verification(handoff: Handoff, end: Ending) -> Json:
    """Where what was typed is secret the agent hears of the whole alone: parts could spell a secret out."""
    wire = end.verification.to_wire()
    if handoff.secret and wire["parts"]:
        wire["parts"] = [{"condition": handoff.condition, "met": end.verification.verified is True, "why": ""}]
    return wire


def _result(handoff: Handoff, end: Ending, now: float, notes: Sequence[str]) -> Json:
    seen = handoff.result or {}
    driven = max(0.0, now - handoff.claimed_at) if handoff.claimed_at is not None else 0.0
    return {
        "handoff": handoff.id, "outcome": end.outcome.value, "note": end.note, "operator": end.operator,
        "duration_s": round(driven, 3), "waited_s": handoff.waited_s(now),
        "verification": _verification(handoff, end), "diff": seen.get("diff", {}), "text": seen.get("text", ""),
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
    closed = moved(control, How.CLOSED, SERVER, now)
    after = replace(pass_to(control, NOBODY, now, Phase.CLOSED, closed), handoff=None, claim=None)
    if control.handoff is None:
        return Step(after, entries=(gone,))
    final = finish(replace(control.handoff, ending=end), now)
    return Step(after, (Complete(final),), (gone, ended(control, final, now)), final)
