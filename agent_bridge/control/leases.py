"""The rules of a lease: how an operator gets it, keeps it, hands it on and loses it. Pure; see `machine`."""

from __future__ import annotations

from dataclasses import replace

from agent_bridge.control.errors import ExtendedBefore, NotAsked, NotNow, TakenByAnother, TooManyRequests
from agent_bridge.control.events import (
    Active,
    CeilingReached,
    Claim,
    ClockJumped,
    Deny,
    Effect,
    ExtendLease,
    Give,
    GraceOver,
    Heartbeat,
    HeartbeatLost,
    IdleTooLong,
    Notify,
    Release,
    RequestControl,
    ServerRestarted,
    Stay,
    Step,
)
from agent_bridge.control.moves import SERVER, entry, leave, meant, moved, open_handoff, pass_to, push, vouch
from agent_bridge.control.words import (
    Control,
    ControlRequest,
    ControlSettings,
    Ending,
    Handoff,
    How,
    Lease,
    Move,
    Phase,
    Reservation,
)
from agent_bridge.words import HandoffState, Outcome
from sandbox.words import NOBODY, Holder, OperatorId, Side


def claim(control: Control, event: Claim, now: float, settings: ControlSettings) -> Step:
    """One operator gets the lease; while it is kept for somebody, only they, and they go on where they were."""
    kept = meant(control, event.handoff).reserved
    # Further away than its whole length: the clock jumped back, and nobody is made to wait for that.
    if kept is None or not now < kept.until <= now + settings.grace_s:
        return grant(control, event.operator, now, settings, moved(control, How.CLAIMED, str(event.operator), now))
    if kept.operator.operator == event.operator.operator:
        move = moved(control, How.CLAIMED, str(event.operator), now)
        return grant(control, event.operator, now, settings, move, ends_at=open_handoff(control).leases[-1].ends_at)
    if not event.force:
        raise TakenByAnother(
            f"{kept.operator} lost the connection and may come back for {kept.until - now:.0f} s; try again then",
            holder=str(kept.operator), until=kept.until,
        )  # fmt: skip
    move = Move(How.FORCED, str(event.operator), str(kept.operator), now)
    return grant(control, event.operator, now, settings, move)


def claim_held(control: Control, event: Claim, now: float, settings: ControlSettings) -> Step:
    """The holder's second tab gets the same lease; anybody else is told who has it, or takes it by force."""
    meant(control, event.handoff)
    lease = control.lease
    if lease is not None and lease.operator.operator == event.operator.operator:
        return Step(_renewed(_active(control, now, settings), now, settings), (push(control),), durable=False)
    if event.force:
        return grant(control, event.operator, now, settings, moved(control, How.FORCED, str(event.operator), now))
    raise TakenByAnother(
        f"{control.holder} has control; watch, ask for it, or wait until it is released",
        holder=str(control.holder), since=control.since,
    )  # fmt: skip


def grant(
    control: Control,
    operator: Holder,
    now: float,
    settings: ControlSettings,
    move: Move,
    *,
    ends_at: float | None = None,
) -> Step:
    """Give the lease to one operator, under a new epoch; `ends_at` where an earlier lease goes on."""
    after = replace(pass_to(control, operator, now, Phase.HELD, move), claim=None)
    handoff = open_handoff(after)
    lease = Lease(
        operator, after.epoch, now, now + settings.lease_s, now + settings.idle_s, now + settings.ceiling_s,
        _has_extended(handoff, operator.operator),
    )  # fmt: skip
    if ends_at is not None:
        lease = replace(lease, ends_at=min(ends_at, _ceiling(lease, now, settings)))
    first = handoff.claimed_at if handoff.claimed_at is not None else now
    held = replace(
        handoff, state=HandoffState.HELD, lease=lease, reserved=None, leases=(*handoff.leases, lease), claimed_at=first
    )
    after = replace(after, handoff=held)
    granted = entry(
        "control/granted", after, now, operator.operator, epoch=after.epoch, holder=str(operator),
        expires_at=lease.expires_at, how=move.how.value, before=move.before,
    )  # fmt: skip
    return Step(after, (push(after),), (granted,))


def _ceiling(lease: Lease, now: float, settings: ControlSettings) -> float:
    """Return the latest end that a lease can have now; a clock that jumped back would leave it a later one."""
    return now + settings.ceiling_s + (settings.extension_s if lease.extended else 0)


def _has_extended(handoff: Handoff, operator: OperatorId | None) -> bool:
    return any(lease.extended and lease.operator.operator == operator for lease in handoff.leases)


def heartbeat(control: Control, event: Heartbeat, now: float, settings: ControlSettings) -> Step:
    """The lease lives on. Not stored: a restart parks every lease."""
    vouch(control, event)
    return Step(_renewed(control, now, settings), durable=False)


def active(control: Control, event: Active, now: float, settings: ControlSettings) -> Step:
    """The holder's input moves the end for idleness; input that was somebody else's, or comes late, does nothing."""
    if control.holder.operator != event.operator:
        return Step(control, durable=False)
    return Step(_active(control, now, settings), durable=False)


def stay(control: Control, event: Stay, now: float, settings: ControlSettings) -> Step:
    """The holder is there: as a heartbeat and an input."""
    vouch(control, event)
    return Step(_renewed(_active(control, now, settings), now, settings), durable=False)


def clock_jumped(control: Control, event: ClockJumped, now: float, _settings: ControlSettings) -> Step:
    """Whatever time was left is left still: of a lease, of the grace, of the deadline."""
    handoff = open_handoff(control)
    kept = handoff.reserved
    after = replace(
        control,
        handoff=replace(
            handoff, deadline_at=handoff.deadline_at + event.by,
            lease=_shifted(handoff.lease, event.by) if handoff.lease else None,
            leases=tuple(_shifted(lease, event.by) for lease in handoff.leases),
            reserved=replace(kept, until=kept.until + event.by) if kept else None,
        ),
    )  # fmt: skip
    return Step(after, entries=(entry("control/clock", after, now, by=event.by),))


def _shifted(lease: Lease, by: float) -> Lease:
    return replace(lease, expires_at=lease.expires_at + by, idle_at=lease.idle_at + by, ends_at=lease.ends_at + by)


def _with(control: Control, lease: Lease) -> Control:
    return replace(control, handoff=replace(open_handoff(control), lease=lease))


def _renewed(control: Control, now: float, settings: ControlSettings) -> Control:
    lease = control.lease
    if lease is None:
        return control
    # Nothing may be further away than its whole length: after a clock jumped back a lease would outlive its console.
    return _with(
        control,
        replace(
            lease, expires_at=now + settings.lease_s, idle_at=min(lease.idle_at, now + settings.idle_s),
            ends_at=min(lease.ends_at, _ceiling(lease, now, settings)),
        ),
    )  # fmt: skip


def _active(control: Control, now: float, settings: ControlSettings) -> Control:
    lease = control.lease
    return _with(control, replace(lease, idle_at=now + settings.idle_s)) if lease else control


def at_work(control: Control, now: float, settings: ControlSettings) -> Control:
    """Return control whose holder just did something that shows they are there."""
    return _active(control, now, settings)


def extend(control: Control, event: ExtendLease, now: float, settings: ControlSettings) -> Step:
    """Move the ceiling, once for each operator of a handoff; the reason is journalled."""
    lease = vouch(control, event)
    if lease.extended:
        raise ExtendedBefore("you have extended this before; finish, or give control to somebody else")
    longer = replace(lease, ends_at=lease.ends_at + settings.extension_s, idle_at=now + settings.idle_s, extended=True)
    handoff = open_handoff(control)
    after = replace(control, handoff=replace(handoff, lease=longer, leases=(*handoff.leases[:-1], longer)))
    said = entry(
        "control/extended", after, now, event.operator, epoch=after.epoch, ends_at=longer.ends_at, reason=event.reason
    )
    return Step(after, entries=(said,))


def request(control: Control, event: RequestControl, now: float, settings: ControlSettings) -> Step:
    """An operator asks the holder; again only changes the note."""
    if control.holder.operator == event.operator.operator:
        raise NotNow("you have control already", holder=str(control.holder))
    others = tuple(r for r in control.requests if r.operator.operator != event.operator.operator)
    if len(others) >= settings.max_requests:
        raise TooManyRequests(f"{len(others)} operators ask for control already; wait for {control.holder}")
    known = next((r for r in control.requests if r not in others), None)
    if known is not None and known.note == event.note:
        return Step(control, durable=False)
    asked = ControlRequest(event.operator, event.note, known.at if known else now)
    after = replace(control, requests=tuple(sorted((*others, asked), key=lambda r: r.at)))
    said = entry("control/requested", after, now, event.operator.operator, epoch=after.epoch, note=event.note)
    return Step(after, entries=(said,))


def give(control: Control, event: Give, now: float, settings: ControlSettings) -> Step:
    """The holder passes control to an operator who asked for it; there is no moment without a holder."""
    vouch(control, event)
    asked = _request_of(control, event.to)
    return grant(control, asked.operator, now, settings, moved(control, How.GIVEN, str(control.holder), now))


def deny(control: Control, event: Deny, now: float, _settings: ControlSettings) -> Step:
    """The holder keeps control."""
    vouch(control, event)
    asked = _request_of(control, event.to)
    after = replace(control, requests=tuple(r for r in control.requests if r is not asked))
    said = entry("control/denied", after, now, event.operator, epoch=after.epoch, to=str(asked.operator))
    return Step(after, entries=(said,))


def _request_of(control: Control, operator: OperatorId) -> ControlRequest:
    for asked in control.requests:
        if asked.operator.operator == operator:
            return asked
    raise NotAsked("this operator does not ask for control any more; look at the requests", operator=operator)


def park(control: Control, event: HeartbeatLost | ServerRestarted, now: float, settings: ControlSettings) -> Step:
    """The lease ends without a word: nobody holds, the agent stays stopped, the handoff is kept for the operator.

    It does not expire before they had `grace_s` to come back. Where nobody had asked for a human, the agent
    does not wait long for one who went away. Somebody who was given control and never showed up is not waited for.
    """
    lost = isinstance(event, HeartbeatLost)
    how = How.HEARTBEAT if lost else How.RESTARTED
    lease, given = control.lease, control.last is not None and control.last.how is How.GIVEN
    after = pass_to(control, NOBODY, now, Phase.PARKED, moved(control, how, SERVER, now))
    handoff = open_handoff(after)
    deadline = max(handoff.deadline_at, now + settings.grace_s)
    if handoff.asked_by is Side.OPERATOR:
        deadline = min(deadline, now + max(settings.grace_s, settings.unasked_s))
    handoff = replace(handoff, state=HandoffState.PARKED, lease=None, deadline_at=deadline)
    if lease is not None:
        absent = lost and given and lease.expires_at <= lease.since + settings.lease_s
        until = min(now if absent else now + settings.grace_s, lease.ends_at)
        handoff = replace(handoff, reserved=Reservation(lease.operator, until))
    after = replace(after, handoff=handoff)
    reason = "heartbeat lost" if lost else "server restarted"
    parked = entry("control/parked", after, now, epoch=after.epoch, holder=str(control.holder), reason=reason)
    return Step(after, (push(after), Notify(handoff)), (parked,))


def keep_parked(control: Control, _event: ServerRestarted, now: float, settings: ControlSettings) -> Step:
    """Nobody could come back while there was no server: the grace begins anew."""
    handoff = open_handoff(control)
    if handoff.reserved is None:
        return Step(control, durable=False)
    until = min(now + settings.grace_s, handoff.leases[-1].ends_at)
    longer = replace(
        handoff, reserved=replace(handoff.reserved, until=until),
        deadline_at=max(handoff.deadline_at, now + settings.grace_s),
    )  # fmt: skip
    return Step(replace(control, handoff=longer))


def grace_over(control: Control, _event: GraceOver, now: float, _settings: ControlSettings) -> Step:
    """The handoff is anybody's again."""
    handoff = open_handoff(control)
    who = str(handoff.reserved.operator) if handoff.reserved else "nobody"
    after = replace(control, phase=Phase.WAITING, handoff=replace(handoff, state=HandoffState.WAITING, reserved=None))
    over = entry("control/grace_over", after, now, epoch=after.epoch, holder=who)
    return Step(after, _offer(after), (over,))


def _offer(control: Control) -> tuple[Effect, ...]:
    handoff = open_handoff(control)
    return (Notify(handoff, again=True),) if handoff.asked_by is not Side.OPERATOR else ()


def time_up(control: Control, event: IdleTooLong | CeilingReached, now: float, settings: ControlSettings) -> Step:
    """The lease ends, though the console lives: back to the queue, or to the agent where nobody had asked."""
    idle = isinstance(event, IdleTooLong)
    how = How.IDLE if idle else How.CEILING
    if open_handoff(control).asked_by is Side.OPERATOR:
        why = f"gave no input for {settings.idle_s:g} s" if idle else "reached the longest time for one lease"
        end = Ending(Outcome.EXPIRED, f"{control.holder} {why}", str(control.holder))
        return leave(control, end, now, moved(control, how, SERVER, now), SERVER)
    return _to_queue(control, now, how, SERVER, SERVER)


def release(control: Control, event: Release, now: float, _settings: ControlSettings) -> Step:
    """Back to the queue; to the agent where an operator had taken over unasked."""
    vouch(control, event)
    name = str(control.holder)
    if open_handoff(control).asked_by is Side.OPERATOR:
        return leave(control, Ending(Outcome.RESOLVED, "", name), now, moved(control, How.RELEASED, name, now))
    return _to_queue(control, now, How.RELEASED, name, event.operator)


def _to_queue(control: Control, now: float, how: How, by: str, actor: str) -> Step:
    after = pass_to(control, NOBODY, now, Phase.WAITING, moved(control, how, by, now))
    after = replace(after, handoff=replace(open_handoff(control), state=HandoffState.WAITING, lease=None))
    released = entry(
        "control/released", after, now, actor, epoch=after.epoch, holder=str(control.holder), reason=how.value
    )
    return Step(after, (push(after), *_offer(after)), (released,))
