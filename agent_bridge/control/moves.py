"""What the rules share: who may speak, how control passes on, and the way back to the agent. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from agent_bridge.control.errors import HandoffEnded, HandoffOpen, LeaseLost, NotNow, SandboxClosed, TakenByAnother
from agent_bridge.control.events import (
    Ask,
    ConditionsChecked,
    Declined,
    Deny,
    Diff,
    Done,
    Event,
    ExtendLease,
    Failed,
    Give,
    Heartbeat,
    PushControl,
    Release,
    RequestControl,
    Stay,
    Step,
    TakeOver,
)
from agent_bridge.control.words import Control, Ending, Handoff, How, Lease, Move, Phase
from agent_bridge.journal.words import Entry
from agent_bridge.words import HandoffState
from sandbox.words import NOBODY, BatonError, Epoch, HandoffId, Holder

SERVER: Final = "server"
"""Who moves control when time, or the server's own restart, does."""

type Vouched = Heartbeat | Stay | ExtendLease | Give | Deny | Done | Failed | Declined | Release
"""What an operator says under a lease."""

_VOUCHED: Final = (Heartbeat, Stay, ExtendLease, Give, Deny, Done, ConditionsChecked, Failed, Declined, Release)


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
        why = f" ({control.last.how})" if control.last else ""
        return LeaseLost(
            f"your lease is over{why} and {control.holder} has control; take control again", epoch=control.epoch,
            **facts,
        )  # fmt: skip
    if control.phase in {Phase.RETURNING, Phase.OPENING} and control.handoff is not None:
        return HandoffEnded(
            f"handoff {control.handoff.id} is ending; control is on its way back to the agent",
            handoff=control.handoff.id, **facts,
        )  # fmt: skip
    if isinstance(event, RequestControl):
        return NotNow(f"no operator has control now ({control.phase}); take it instead of asking for it", **facts)
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


def meant(control: Control, handoff: HandoffId | None) -> Handoff:
    """Return the open handoff where it is the one that was meant. Raises `HandoffEnded` where another is."""
    current = open_handoff(control)
    if handoff not in {None, current.id}:
        raise HandoffEnded(f"handoff {handoff} has ended; {current.id} is open now", handoff=handoff)
    return current


def pass_to(control: Control, holder: Holder, now: float, phase: Phase, move: Move | None) -> Control:
    """Return control in other hands: the one place where the epoch rises. Whoever asked for it asks anew.

    Without a `move` the last one stays: the agent gets back what was moved its way before.
    """
    return replace(
        control, holder=holder, epoch=Epoch(control.epoch + 1), since=now, phase=phase, requests=(),
        last=move or control.last,
    )  # fmt: skip


def moved(control: Control, how: How, by: str, now: float) -> Move:
    """Return the move away from whoever holds control."""
    return Move(how, by, str(control.holder), now)


def push(control: Control) -> PushControl:
    """Return the effect that tells the keeper who holds control."""
    return PushControl(control.epoch, control.holder, control.since, control.handoff)


def entry(kind: str, control: Control, now: float, actor: str | None = SERVER, **data: object) -> Entry:
    """Return a journal entry about the sandbox and its open handoff."""
    handoff = control.handoff.id if control.handoff else None
    return Entry(kind, now, control.sandbox, handoff, actor or SERVER, data)


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


def leave(control: Control, end: Ending, now: float, move: Move, actor: str | None = None) -> Step:
    """Take control from the operator, then go back. `actor` is by default the operator."""
    after = pass_to(control, NOBODY, now, Phase.RETURNING, move)
    step = go_back(after, end)
    said = ending_entry(step.control, end, now, actor or control.holder.operator)
    return Step(step.control, (push(step.control), *step.effects), (said,))


def ending_entry(control: Control, end: Ending, now: float, actor: str | None = SERVER) -> Entry:
    """Return the journal entry of a handoff that begins to end."""
    return entry(
        "handoff/ending", control, now, actor, outcome=end.outcome.value, note=end.note, epoch=control.epoch,
        verified=end.verification.verified, overridden=end.verification.overridden,
    )  # fmt: skip


def go_back(control: Control, end: Ending) -> Step:
    """Begin the way back to the agent: *after* is compared with *before*."""
    handoff = replace(open_handoff(control), state=HandoffState.RETURNING, lease=None, reserved=None, ending=end)
    after = replace(control, phase=Phase.RETURNING, handoff=handoff)
    return Step(after, (Diff(handoff),))
