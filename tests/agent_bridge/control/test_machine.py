"""The transition table, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

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
    EVENTS,
    Active,
    AgentCode,
    Ask,
    BrowserDied,
    Cancel,
    Check,
    Claim,
    ClockJumped,
    Close,
    CloseGate,
    Complete,
    ConditionsChecked,
    Declined,
    Deny,
    Diff,
    Diffed,
    Done,
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
    Notify,
    OpenGate,
    PushControl,
    Release,
    RequestControl,
    ServerRestarted,
    Stay,
    Step,
    TakeOver,
)
from agent_bridge.control.machine import TABLE, due, pending, step
from agent_bridge.control.words import Control, ControlSettings, Handoff, How, Move, Phase, Verification
from agent_bridge.words import Blocker, HandoffState, Outcome
from sandbox.words import (
    NOBODY,
    THE_AGENT,
    BatonError,
    Conflict,
    Epoch,
    Gone,
    HandoffId,
    Holder,
    NotAllowed,
    OperatorId,
    SandboxId,
    Side,
)

SB = SandboxId("sb_1")
ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
BOB = Holder(Side.OPERATOR, OperatorId("op_bob"), "Bob")
ann, bob = OperatorId("op_ann"), OperatorId("op_bob")
SETTINGS = ControlSettings()
NOW = 1000.0


def handoff(**more: Any) -> Handoff:
    """A handoff just asked for."""
    return Handoff(
        HandoffId("ho_1"), SB, Blocker.CAPTCHA, "help", more.pop("asked_by", Side.AGENT), NOW, NOW + 1800, **more
    )


START = Control(SB, Phase.AGENT, THE_AGENT, Epoch(1), NOW)


def run(control: Control, *events: Event, now: float = NOW) -> Step:
    """Apply events one after another and return the last step."""
    last = Step(control)
    for event in events:
        last = step(last.control, event, now, SETTINGS)
    return last


def in_phase(phase: Phase, **more: Any) -> Control:
    """Control in a phase, reached as it really is."""
    asked = run(START, Ask(handoff(**more)))
    waiting = run(asked.control, GateClosed(Epoch(2)))
    held = run(waiting.control, Claim(ANN), RequestControl(BOB))
    returning = run(waiting.control, Cancel()) if phase in {Phase.RETURNING, Phase.OPENING} else waiting
    reached = {
        Phase.AGENT: START,
        Phase.CLOSING: asked.control,
        Phase.WAITING: waiting.control,
        Phase.HELD: held.control,
        Phase.PARKED: run(held.control, HeartbeatLost()).control,
        Phase.RETURNING: returning.control,
        Phase.OPENING: run(returning.control, Diffed()).control if phase is Phase.OPENING else START,
        Phase.CLOSED: run(START, Close()).control,
    }[phase]
    assert reached.phase is phase
    return reached


def sample(event: type[Event]) -> Event:
    """One event of a type, said by whoever holds control in `in_phase`."""
    vouched: dict[str, Any] = {"operator": ann, "epoch": Epoch(3)}
    samples: dict[type[Event], Event] = {
        Ask: Ask(handoff()), TakeOver: TakeOver(ANN, handoff(asked_by=Side.OPERATOR)), GateClosed: GateClosed(Epoch(2)),
        Claim: Claim(ANN), Heartbeat: Heartbeat(**vouched), Done: Done(**vouched), Failed: Failed(**vouched),
        ConditionsChecked: ConditionsChecked(Done(**vouched), Verification(verified=True)),
        Declined: Declined(**vouched), Release: Release(**vouched), GateOpened: GateOpened(Epoch(3)),
        AgentCode: AgentCode(Epoch(3), ("t1",)), BrowserDied: BrowserDied("crashed"), Active: Active(ann),
        Stay: Stay(**vouched), ExtendLease: ExtendLease(**vouched, reason="a long form"),
        RequestControl: RequestControl(BOB), Give: Give(**vouched, to=bob), Deny: Deny(**vouched, to=bob),
        ClockJumped: ClockJumped(86400.0),
        ExtendDeadline: ExtendDeadline(HandoffId("ho_1"), NOW + 9000, "agent"),
    }  # fmt: skip
    return samples.get(event) or event()  # type: ignore[call-arg] # what is left takes no arguments


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("phase", Phase)
def test_every_pair_is_in_the_table_or_refused(phase: Phase, event: type[Event]) -> None:
    """Each event in each phase either leads where the table says or raises an error naming event, phase and holder."""
    control = in_phase(phase)
    rule = TABLE.get((phase, event))
    if rule is not None:
        assert step(control, sample(event), NOW, SETTINGS).control.phase in rule.to
        return

    with pytest.raises(BatonError) as caught:
        step(control, sample(event), NOW, SETTINGS)

    assert isinstance(caught.value, Gone if phase is Phase.CLOSED else Conflict)
    assert caught.value.fields["event"] == event.__name__
    assert caught.value.fields["phase"] == phase.value
    assert caught.value.fields["holder"] == str(control.holder)


def test_asking_stops_the_agent_and_tells_operators_at_once() -> None:
    """Ask takes control from the agent under a new epoch, closes the gate, and notifies before any of it is done."""
    asked = run(START, Ask(handoff()))

    assert (asked.control.holder, asked.control.epoch, asked.control.phase) == (NOBODY, 2, Phase.CLOSING)
    assert [type(effect) for effect in asked.effects] == [CloseGate, Notify]


def test_no_lease_before_the_gate_has_acknowledged() -> None:
    """A claim while the gate closes waits for its acknowledgement; the lease comes with a new epoch."""
    early = run(START, Ask(handoff()), Claim(ANN))
    granted = run(early.control, GateClosed(Epoch(2)))

    assert early.control.lease is None
    assert early.control.holder == NOBODY
    assert granted.control.phase is Phase.HELD
    assert granted.control.lease is not None
    assert granted.control.lease.epoch == granted.control.epoch == 3


def test_the_first_early_claim_wins() -> None:
    """A second operator who claims while the gate closes is told who was quicker."""
    early = run(START, Ask(handoff()), Claim(ANN))

    with pytest.raises(TakenByAnother, match="Ann"):
        run(early.control, Claim(BOB))


def test_the_same_operator_may_claim_twice() -> None:
    """A second tab of the holder gets the same lease under the same epoch."""
    held = in_phase(Phase.HELD)
    again = run(held, Claim(ANN), now=NOW + 5)

    assert again.control.epoch == held.epoch
    assert again.control.lease is not None
    assert again.control.lease.expires_at == NOW + 5 + SETTINGS.lease_s


def test_another_operator_is_told_who_holds_control() -> None:
    """A claim on held control is refused naming the holder, and changes nothing."""
    with pytest.raises(TakenByAnother, match="Ann has control"):
        run(in_phase(Phase.HELD), Claim(BOB))


def test_a_heartbeat_renews_and_is_not_stored() -> None:
    """Heartbeats move the lease's end and cost no write."""
    beat = run(in_phase(Phase.HELD), Heartbeat(ann, Epoch(3)), now=NOW + 7)

    assert beat.control.lease is not None
    assert beat.control.lease.expires_at == NOW + 7 + SETTINGS.lease_s
    assert not beat.durable


@pytest.mark.parametrize("event", [Heartbeat, Done, Failed, Declined, Release])
def test_an_old_epoch_is_refused(event: Any) -> None:
    """What is said under an epoch that has passed is refused."""
    with pytest.raises(LeaseLost, match="epoch 2"):
        run(in_phase(Phase.HELD), event(ann, Epoch(2)))


@pytest.mark.parametrize("event", [Heartbeat, Done, Failed, Declined, Release])
def test_only_the_holder_speaks(event: Any) -> None:
    """What somebody else says is refused, even under the right epoch."""
    with pytest.raises(TakenByAnother):
        run(in_phase(Phase.HELD), event(BOB.operator, Epoch(3)))


def test_a_lost_heartbeat_parks() -> None:
    """Without heartbeats nobody holds, the epoch rises, the agent stays stopped and the handoff is in the queue."""
    parked = run(in_phase(Phase.HELD), HeartbeatLost())

    assert (parked.control.holder, parked.control.epoch) == (NOBODY, 4)
    assert parked.control.handoff is not None
    assert parked.control.handoff.state is HandoffState.PARKED
    assert not any(isinstance(effect, OpenGate) for effect in parked.effects)


@pytest.mark.parametrize(("operator", "later"), [(ANN, 0), (ANN, 21), (BOB, 21)])
def test_a_parked_handoff_can_be_claimed(operator: Holder, later: float) -> None:
    """The same operator at once, or anybody after the grace, gets a parked handoff under a new epoch."""
    again = run(in_phase(Phase.PARKED), Claim(operator), now=NOW + later)

    assert (again.control.holder, again.control.epoch) == (operator, 5)


def test_release_goes_back_to_the_queue() -> None:
    """Release of an asked handoff leaves the agent stopped."""
    released = run(in_phase(Phase.HELD), Release(ann, Epoch(3)))

    assert (released.control.phase, released.control.holder, released.control.epoch) == (Phase.WAITING, NOBODY, 4)


def test_release_of_an_unasked_take_over_goes_to_the_agent() -> None:
    """Where nobody had asked, giving control back gives it to the agent."""
    taken = run(START, TakeOver(ANN, handoff(asked_by=Side.OPERATOR)), GateClosed(Epoch(2)))
    released = run(taken.control, Release(ann, Epoch(3)))
    back = run(released.control, Diffed(), GateOpened(Epoch(5)))

    assert taken.control.phase is Phase.HELD
    assert released.control.phase is Phase.RETURNING
    assert back.control.holder == THE_AGENT


def test_done_takes_control_before_it_compares() -> None:
    """Done takes control from the operator under a new epoch, then asks for the diff; the gate stays shut."""
    done = run(in_phase(Phase.HELD), Done(ann, Epoch(3), "typed it"))

    assert (done.control.holder, done.control.epoch) == (NOBODY, 4)
    assert [type(effect) for effect in done.effects] == [PushControl, Diff]


def test_a_condition_is_checked_before_done_counts() -> None:
    """With a condition Done first asks for it to be checked, and nothing else changes."""
    held = in_phase(Phase.HELD, condition={"url": "*ok*"})
    done = run(held, Done(ann, Epoch(3)))

    assert done.control == held
    assert done.effects == (Check({"url": "*ok*"}),)


def test_a_condition_that_does_not_hold_refuses_done() -> None:
    """Done is refused with the parts that do not hold."""
    held = in_phase(Phase.HELD, condition={"url": "*ok*"})
    parts = ({"condition": {"url": "*ok*"}, "met": False, "why": "the page is elsewhere"},)

    with pytest.raises(ConditionsNotMet) as caught:
        run(held, ConditionsChecked(Done(ann, Epoch(3)), Verification(verified=False, parts=parts)))

    assert caught.value.fields["parts"] == list(parts)


def test_an_operator_may_override_with_a_reason() -> None:
    """An override ends the handoff as resolved but not verified, with the reason; blanks are no reason."""
    held = in_phase(Phase.HELD, condition={"url": "*ok*"})
    unmet = Verification(verified=False)
    over = run(held, ConditionsChecked(Done(ann, Epoch(3), override="the site moved"), unmet))

    assert over.control.handoff is not None
    assert over.control.handoff.ending is not None
    assert over.control.handoff.ending.verification == replace(unmet, overridden="the site moved")
    with pytest.raises(ConditionsNotMet):
        run(held, ConditionsChecked(Done(ann, Epoch(3), override="  "), unmet))


def test_a_check_that_comes_after_the_lease_is_refused() -> None:
    """A lease that was lost while the condition was checked does not count as done."""
    with pytest.raises(LeaseLost):
        run(in_phase(Phase.PARKED), ConditionsChecked(Done(ann, Epoch(3)), Verification(verified=True)))


@pytest.mark.parametrize(("event", "outcome"), [(Failed, Outcome.FAILED), (Declined, Outcome.DECLINED)])
def test_giving_up_is_an_outcome(event: Any, outcome: Outcome) -> None:
    """Failed and Declined go back to the agent with the note."""
    gone = run(in_phase(Phase.HELD), event(ann, Epoch(3), "cannot read it"), Diffed(), GateOpened(Epoch(5)))

    assert gone.ended is not None
    assert gone.ended.result is not None
    assert (gone.ended.state, gone.ended.result["note"]) == (HandoffState(outcome), "cannot read it")
    assert gone.ended.result["operator"] == "Ann"


def test_a_handoff_is_final_only_when_the_gate_has_opened() -> None:
    """Between the diff and the gate's acknowledgement the handoff is still returning."""
    opening = run(in_phase(Phase.HELD), Done(ann, Epoch(3)), Diffed({"url": 1}, "changed", ("before",)))
    back = run(opening.control, GateOpened(Epoch(5), ("scripts did not run",)))

    assert opening.ended is None
    assert opening.effects == (OpenGate(Epoch(5), NOW),)
    assert back.ended is not None
    assert back.ended.result is not None
    assert back.ended.result["diff"] == {"url": 1}
    assert back.ended.result["notes"] == ["scripts did not run"]
    returned = Move(How.RETURNED, "Ann", "Ann", NOW)
    assert back.control == Control(SB, Phase.AGENT, THE_AGENT, Epoch(5), NOW, last=returned)
    assert back.effects == (Complete(back.ended),)


def test_times_are_those_of_the_human() -> None:
    """`waited_s` runs until the first claim, `duration_s` from then to the return, across parking and re-claiming."""
    waiting = in_phase(Phase.WAITING)
    held = run(waiting, Claim(ANN), now=NOW + 10)
    again = run(run(held.control, HeartbeatLost(), now=NOW + 20).control, Claim(BOB, force=True), now=NOW + 30)
    done = run(again.control, Done(OperatorId("op_bob"), Epoch(5)), Diffed(), GateOpened(Epoch(7)), now=NOW + 35)

    assert done.ended is not None
    assert done.ended.result is not None
    assert (done.ended.result["waited_s"], done.ended.result["duration_s"]) == (10, 25)


def test_cancelling_while_the_gate_closes_lets_it_finish() -> None:
    """A cancelled handoff opens the gate only after its close was acknowledged."""
    cancelled = run(in_phase(Phase.CLOSING), Cancel())
    closed = run(cancelled.control, GateClosed(Epoch(2)))

    assert cancelled.effects == ()
    assert closed.control.phase is Phase.RETURNING
    with pytest.raises(HandoffEnded):
        run(cancelled.control, Claim(ANN))


def test_cancelling_takes_control_from_the_operator_first() -> None:
    """The agent may withdraw from a human who holds control; they lose it under a new epoch before the gate opens."""
    cancelled = run(in_phase(Phase.HELD), Cancel())

    assert (cancelled.control.phase, cancelled.control.holder, cancelled.control.epoch) == (Phase.RETURNING, NOBODY, 4)
    assert isinstance(cancelled.effects[0], PushControl)


def test_the_agent_cannot_cancel_a_take_over() -> None:
    """Control that an operator took unasked is theirs to give back."""
    taken = run(START, TakeOver(ANN, handoff(asked_by=Side.OPERATOR)), GateClosed(Epoch(2)))

    with pytest.raises(NotAllowed):
        run(taken.control, Cancel())


def test_deadlines_run_while_nobody_holds() -> None:
    """Waiting ends at the deadline, holding at the lease, being the agent's never."""
    assert due(in_phase(Phase.WAITING)) == (NOW + 1800, Expire())
    assert due(in_phase(Phase.HELD)) == (NOW + SETTINGS.lease_s, HeartbeatLost())
    assert due(START) is None


def test_a_passed_deadline_leaves_time_to_come_back() -> None:
    """A heartbeat lost after the deadline leaves the operator the time of grace before the handoff expires."""
    held = in_phase(Phase.HELD)
    parked = run(held, HeartbeatLost(), now=NOW + 2500)
    over = run(parked.control, GraceOver(), now=NOW + 2500 + SETTINGS.grace_s)

    assert due(parked.control) == (NOW + 2500 + SETTINGS.grace_s, GraceOver())
    assert due(over.control) == (NOW + 2500 + SETTINGS.grace_s, Expire())


def test_a_take_over_that_is_left_behind_ends_soon() -> None:
    """Where nobody had asked for a human the agent does not wait the whole deadline for one who went away."""
    taken = run(START, TakeOver(ANN, handoff(asked_by=Side.OPERATOR)), GateClosed(Epoch(2)), HeartbeatLost())
    over = run(taken.control, GraceOver(), now=NOW + SETTINGS.grace_s)

    assert due(over.control) == (NOW + SETTINGS.unasked_s, Expire())


@pytest.mark.parametrize(
    "phase", [Phase.CLOSING, Phase.WAITING, Phase.HELD, Phase.PARKED, Phase.RETURNING, Phase.OPENING]
)
def test_the_browsers_death_fails_the_handoff(phase: Phase) -> None:
    """In every phase the browser's death ends the open handoff as failed, with that reason."""
    died = run(in_phase(phase), BrowserDied("out of memory"))

    assert died.ended is not None
    assert died.ended.result is not None
    assert died.ended.state is HandoffState.FAILED
    assert "out of memory" in died.ended.result["note"]
    assert died.control.phase is Phase.CLOSED


def test_asking_twice_names_the_open_handoff() -> None:
    """A second Ask is refused with the id of the open handoff."""
    with pytest.raises(HandoffOpen, match="ho_1") as caught:
        run(in_phase(Phase.WAITING), Ask(handoff()))

    assert caught.value.fields["handoff"] == "ho_1"


def test_a_closed_sandbox_says_so() -> None:
    """Whatever is said to a sandbox that has ended, the error says that it has."""
    with pytest.raises(SandboxClosed, match="open a new one"):
        run(in_phase(Phase.CLOSED), Claim(ANN))


def test_claiming_without_a_handoff_is_refused() -> None:
    """There is nothing to claim while the agent works."""
    with pytest.raises(NotNow):
        run(START, Claim(ANN))


def test_code_of_the_agent_is_reported() -> None:
    """Code that the agent left in a tab is named in the handoff, and as exposure where text is secret."""
    secret = in_phase(Phase.HELD)
    assert secret.handoff is not None
    secret = replace(secret, handoff=replace(secret.handoff, kind=Blocker.CREDENTIALS))
    told = run(secret, AgentCode(Epoch(3), ("t1",)), AgentCode(Epoch(3), ("t1", "t2")))
    plain = run(in_phase(Phase.HELD), AgentCode(Epoch(3), ("t1",)))

    assert told.control.handoff is not None
    assert told.control.handoff.agent_code == ("t1", "t2")
    assert "exposure possible" in (told.control.handoff.exposure or "")
    assert plain.control.handoff is not None
    assert plain.control.handoff.exposure is None


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.CLOSED])
def test_a_restart_never_resumes_the_agent(phase: Phase) -> None:
    """After a restart a lease is parked, all else stands where it stood, and the gate opens only where it was open."""
    restarted = run(in_phase(phase), ServerRestarted())
    told = pending(restarted.control)

    assert restarted.control.phase is (Phase.PARKED if phase is Phase.HELD else phase)
    assert any(isinstance(effect, OpenGate) for effect in told) == (phase in {Phase.AGENT, Phase.OPENING})
