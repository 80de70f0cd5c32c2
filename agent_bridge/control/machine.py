"""The control state machine: who may act on a sandbox, and what happens when that changes.

Everything that decides about control lives here, in `rules` or in `leases`; there is no I/O and no clock. `step` looks
an event up in `TABLE`; what is not in the table is refused with an error that names event, phase and holder.

Theory of operation. The agent holds control until it asks (or an operator takes over): the epoch rises, nobody
holds, and the keeper is told to close its gate. Only its acknowledgement leads on, to the queue or straight to the
operator who claimed meanwhile. An operator acts under a lease and its epoch; a lost heartbeat takes both away and
keeps the handoff for them for a while, then puts it back in the queue; idleness and the ceiling put it there at once.
The agent stays stopped all that time. An operator may ask the holder for control and be given it, or take it where
their role permits. Every end of a handoff goes the same way back:
nobody holds, *after* is compared with *before*, the gate is told to open, and only its acknowledgement makes the
handoff final and the agent the holder. So there is one way to resume, and it is taken once.

Deadlines. They run while a handoff waits or is parked. While an operator holds control nothing expires: a lease ends
by its own limits, and a deadline that passed meanwhile takes effect when the lease has ended without a Done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from agent_bridge.control import leases, moves, rules
from agent_bridge.control.events import (
    Active,
    AgentCode,
    Ask,
    BrowserDied,
    Cancel,
    CeilingReached,
    Claim,
    ClockJumped,
    Close,
    CloseGate,
    ConditionsChecked,
    Declined,
    Deny,
    Diff,
    Diffed,
    Done,
    Effect,
    Event,
    Expire,
    ExtendDeadline,
    ExtendLease,
    Failed,
    GateClosed,
    GateOpened,
    Give,
    GraceOver,
    Heartbeat,
    HeartbeatLost,
    IdleTooLong,
    OpenGate,
    PushControl,
    Release,
    RequestControl,
    ServerRestarted,
    Stay,
    Step,
    TakeOver,
)
from agent_bridge.control.words import Control, ControlSettings, Phase

type Decide = Callable[[Control, Any, float, ControlSettings], Step]


@dataclass(frozen=True, slots=True)
class Rule:
    """One cell of the table: what decides, and the phases it may lead to."""

    decide: Decide
    to: tuple[Phase, ...]


_P: Final = Phase
_OPEN: Final = (_P.CLOSING, _P.WAITING, _P.HELD, _P.PARKED, _P.RETURNING, _P.OPENING)

TABLE: Final[MappingProxyType[tuple[Phase, type[Event]], Rule]] = MappingProxyType(
    {
        (_P.AGENT, Ask): Rule(rules.ask, (_P.CLOSING,)),
        (_P.AGENT, TakeOver): Rule(rules.take_over, (_P.CLOSING,)),
        (_P.AGENT, ServerRestarted): Rule(rules.keep, (_P.AGENT,)),
        (_P.CLOSING, GateClosed): Rule(rules.gate_closed, (_P.WAITING, _P.HELD, _P.RETURNING)),
        (_P.CLOSING, Claim): Rule(rules.claim_early, (_P.CLOSING,)),
        (_P.CLOSING, Cancel): Rule(rules.end_early, (_P.CLOSING,)),
        (_P.CLOSING, Expire): Rule(rules.end_early, (_P.CLOSING,)),
        (_P.CLOSING, ServerRestarted): Rule(rules.forget_claim, (_P.CLOSING,)),
        (_P.WAITING, Claim): Rule(leases.claim, (_P.HELD,)),
        (_P.WAITING, Cancel): Rule(rules.end_waiting, (_P.RETURNING,)),
        (_P.WAITING, Expire): Rule(rules.end_waiting, (_P.RETURNING,)),
        (_P.WAITING, ServerRestarted): Rule(rules.keep, (_P.WAITING,)),
        (_P.HELD, Claim): Rule(leases.claim_held, (_P.HELD,)),
        (_P.HELD, Heartbeat): Rule(leases.heartbeat, (_P.HELD,)),
        (_P.HELD, Active): Rule(leases.active, (_P.HELD,)),
        (_P.HELD, Stay): Rule(leases.stay, (_P.HELD,)),
        (_P.HELD, ExtendLease): Rule(leases.extend, (_P.HELD,)),
        (_P.HELD, RequestControl): Rule(leases.request, (_P.HELD,)),
        (_P.HELD, Give): Rule(leases.give, (_P.HELD,)),
        (_P.HELD, Deny): Rule(leases.deny, (_P.HELD,)),
        (_P.HELD, IdleTooLong): Rule(leases.time_up, (_P.WAITING, _P.RETURNING)),
        (_P.HELD, CeilingReached): Rule(leases.time_up, (_P.WAITING, _P.RETURNING)),
        (_P.HELD, AgentCode): Rule(rules.agent_code, (_P.HELD,)),
        (_P.HELD, HeartbeatLost): Rule(leases.park, (_P.PARKED,)),
        (_P.HELD, Done): Rule(rules.done, (_P.HELD, _P.RETURNING)),
        (_P.HELD, ConditionsChecked): Rule(rules.checked, (_P.RETURNING,)),
        (_P.HELD, Failed): Rule(rules.give_up, (_P.RETURNING,)),
        (_P.HELD, Declined): Rule(rules.give_up, (_P.RETURNING,)),
        (_P.HELD, Release): Rule(leases.release, (_P.WAITING, _P.RETURNING)),
        (_P.HELD, Cancel): Rule(rules.cancel_held, (_P.RETURNING,)),
        (_P.HELD, ServerRestarted): Rule(leases.park, (_P.PARKED,)),
        (_P.PARKED, Claim): Rule(leases.claim, (_P.HELD,)),
        (_P.PARKED, GraceOver): Rule(leases.grace_over, (_P.WAITING,)),
        (_P.PARKED, Cancel): Rule(rules.end_waiting, (_P.RETURNING,)),
        (_P.PARKED, Expire): Rule(rules.end_waiting, (_P.RETURNING,)),
        (_P.PARKED, ServerRestarted): Rule(leases.keep_parked, (_P.PARKED,)),
        **{
            (phase, ExtendDeadline): Rule(rules.extend_deadline, (phase,))
            for phase in (_P.CLOSING, _P.WAITING, _P.HELD, _P.PARKED)
        },
        **{
            (phase, ClockJumped): Rule(leases.clock_jumped, (phase,))
            for phase in (_P.CLOSING, _P.WAITING, _P.HELD, _P.PARKED)
        },
        (_P.RETURNING, Diffed): Rule(rules.diffed, (_P.OPENING,)),
        (_P.RETURNING, ServerRestarted): Rule(rules.keep, (_P.RETURNING,)),
        (_P.OPENING, GateOpened): Rule(rules.gate_opened, (_P.AGENT,)),
        (_P.OPENING, ServerRestarted): Rule(rules.keep, (_P.OPENING,)),
        **{(phase, BrowserDied): Rule(rules.died, (_P.CLOSED,)) for phase in (_P.AGENT, *_OPEN)},
        **{(phase, Close): Rule(rules.close, (_P.CLOSED,)) for phase in (_P.AGENT, *_OPEN)},
    }
)
"""Every legal event in every phase; docs/state-machine.md is drawn from it."""


def step(control: Control, event: Event, now: float, settings: ControlSettings) -> Step:
    """Return what `event` leads to. Nothing is changed; raises a leaf of `Conflict` or `Gone` when it is not legal."""
    rule = TABLE.get((control.phase, type(event)))
    if rule is None:
        raise moves.refusal(control, event)
    outcome = rule.decide(control, event, now, settings)
    if outcome.control.phase not in rule.to:  # pragma: no cover - a slip in the rules, never in the caller
        raise AssertionError(f"{type(event).__name__} in {control.phase} must not lead to {outcome.control.phase}")
    return outcome


def due(control: Control) -> tuple[float, Event] | None:
    """Return when time alone will move `control`, and the event that says so."""
    if control.phase is Phase.HELD and (lease := control.lease) is not None:
        ends: tuple[tuple[float, Event], ...] = (
            (lease.expires_at, HeartbeatLost()), (lease.ends_at, CeilingReached()), (lease.idle_at, IdleTooLong()),
        )  # fmt: skip
        return min(ends, key=_time)
    waits = control.phase in {Phase.WAITING, Phase.PARKED} or (
        control.phase is Phase.CLOSING and not moves.ending(control)
    )
    if waits and control.handoff is not None:
        end: tuple[float, Event] = (control.handoff.deadline_at, Expire())
        kept = control.handoff.reserved
        # Grace first where both are over: whoever looks at the queue sees it waiting, if only for a moment.
        return (kept.until, GraceOver()) if kept is not None and kept.until <= end[0] else end
    return None


def _time(at: tuple[float, Event]) -> float:
    return at[0]


def pending(control: Control) -> tuple[Effect, ...]:
    """Return what a new server must (again) tell the keeper so that it stands where `control` says."""
    handoff = control.handoff
    if control.phase is Phase.AGENT or control.phase is Phase.OPENING:
        return (OpenGate(control.epoch, control.since),)
    if handoff is None:
        return ()
    if control.phase is Phase.CLOSING:
        return (CloseGate(control.epoch, control.holder, control.since, handoff),)
    push = PushControl(control.epoch, control.holder, control.since, handoff)
    return (push, Diff(handoff)) if control.phase is Phase.RETURNING else (push,)
