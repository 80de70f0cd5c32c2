"""What may happen at the same moment to a lease, race by race, each in both orders where there are two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent_bridge.control.errors import (
    ExtendedBefore,
    HandoffEnded,
    LeaseLost,
    NotAsked,
    NotNow,
    TakenByAnother,
    TooManyRequests,
)
from agent_bridge.control.events import (
    Active,
    Cancel,
    CeilingReached,
    Claim,
    ConditionsChecked,
    Deny,
    Done,
    Expire,
    ExtendDeadline,
    ExtendLease,
    Failed,
    GateClosed,
    Give,
    GraceOver,
    Heartbeat,
    HeartbeatLost,
    IdleTooLong,
    Notify,
    PushControl,
    Release,
    RequestControl,
    ServerRestarted,
    Stay,
    TakeOver,
)
from agent_bridge.control.machine import due
from agent_bridge.control.words import Control, Handoff, How, Lease, Phase, Verification
from agent_bridge.words import Outcome
from sandbox.words import NOBODY, BatonError, Epoch, HandoffId, Holder, OperatorId, Side
from tests.agent_bridge.control.test_machine import ANN, BOB, NOW, SETTINGS, START, ann, bob, handoff, in_phase, run

S = SETTINGS
E3 = Epoch(3)
HELD = in_phase(Phase.HELD)
PARKED = in_phase(Phase.PARKED)
UNASKED = run(START, TakeOver(ANN, handoff(asked_by=Side.OPERATOR)), GateClosed(Epoch(2))).control


def lease(control: Control) -> Lease:
    """The live lease."""
    assert control.lease is not None
    return control.lease


def open_one(control: Control) -> Handoff:
    """The open handoff."""
    assert control.handoff is not None
    return control.handoff


def how(control: Control) -> tuple[How, str, str]:
    """Who moved control last."""
    assert control.last is not None
    return control.last.how, control.last.by, control.last.before


def test_whoever_lost_the_connection_keeps_the_work() -> None:
    """Within the grace only they may claim; they go on under a new epoch with the ceiling they had."""
    back = run(PARKED, Claim(ANN), now=NOW + 19)

    assert open_one(PARKED).to_wire(NOW)["reserved"] == {"operator": {"id": "op_ann", "name": "Ann"}, "until": NOW + 20}
    with pytest.raises(TakenByAnother, match="Ann lost the connection") as caught:
        run(PARKED, Claim(BOB), now=NOW + 19)
    assert caught.value.fields["until"] == NOW + S.grace_s
    assert (lease(back.control).ends_at, lease(back.control).idle_at) == (NOW + S.ceiling_s, NOW + 19 + S.idle_s)
    assert open_one(back.control).reserved is None


def test_after_the_grace_it_is_anybodys() -> None:
    """The end of the grace offers the handoff again under the same epoch; a fresh claim gets a fresh ceiling."""
    over = run(PARKED, GraceOver(), now=NOW + 20)
    again = run(over.control, Claim(ANN), now=NOW + 21)

    assert due(PARKED) == (NOW + 20, GraceOver())
    assert (over.control.phase, over.control.epoch) == (Phase.WAITING, PARKED.epoch)
    assert over.effects == (Notify(open_one(over.control), again=True),)
    assert lease(again.control).ends_at == NOW + 21 + S.ceiling_s


def test_claim_at_the_very_end_of_the_grace() -> None:
    """At that moment, before the clock was looked at, another operator may claim already; never both."""
    bobs = run(PARKED, Claim(BOB), now=NOW + 20)

    assert bobs.control.holder == BOB
    with pytest.raises(NotNow):
        run(bobs.control, GraceOver(), now=NOW + 20)


def test_a_supervisor_need_not_wait_for_the_grace() -> None:
    """By force a kept handoff is taken, and it is told from whom."""
    forced = run(PARKED, Claim(BOB, force=True))

    assert forced.control.holder == BOB
    assert how(forced.control) == (How.FORCED, "Bob", "Ann")


def test_the_grace_never_outlives_the_ceiling() -> None:
    """Who is parked right before the ceiling is not waited for beyond it."""
    parked = run(HELD, HeartbeatLost(), now=NOW + S.ceiling_s - 5)

    assert due(parked.control) == (NOW + S.ceiling_s, GraceOver())


def test_a_restart_during_the_grace_begins_it_anew() -> None:
    """Nobody can come back to a server that is not there."""
    restarted = run(PARKED, ServerRestarted(), now=NOW + 500)

    assert run(restarted.control, Claim(ANN), now=NOW + 515).control.holder == ANN
    with pytest.raises(TakenByAnother):
        run(restarted.control, Claim(BOB), now=NOW + 515)


def test_idle_before_done() -> None:
    """Idleness that was decided first ends the lease; Done then says that it did, and why."""
    idle = run(HELD, IdleTooLong(), now=NOW + 600)

    assert (idle.control.phase, idle.control.holder, idle.control.epoch) == (Phase.WAITING, NOBODY, 4)
    assert isinstance(idle.effects[0], PushControl)
    assert how(idle.control) == (How.IDLE, "server", "Ann")
    with pytest.raises(LeaseLost, match="idle"):
        run(idle.control, Done(ann, E3), now=NOW + 600)


def test_done_before_idle() -> None:
    """Done that was decided first counts; idleness finds no lease."""
    done = run(HELD, Done(ann, E3), now=NOW + 600)

    assert how(done.control) == (How.RETURNED, "Ann", "Ann")
    with pytest.raises(BatonError):
        run(done.control, IdleTooLong(), now=NOW + 600)


def test_idle_while_the_condition_is_checked() -> None:
    """Saying Done is a sign of life: whoever waits for the check of their condition is not idle."""
    held = in_phase(Phase.HELD, condition={"url": "*"})
    said = run(held, Heartbeat(ann, E3), Done(ann, E3), now=NOW + 599)
    checked = run(said.control, ConditionsChecked(Done(ann, E3), Verification(verified=True)), now=NOW + 604)

    assert lease(said.control).idle_at == NOW + 599 + S.idle_s
    assert checked.control.phase is Phase.RETURNING


def test_the_heartbeat_is_no_input() -> None:
    """A console that lives without anybody before it becomes idle; input and Stay move that."""
    beat = run(HELD, Heartbeat(ann, E3), now=NOW + 590).control
    active = run(beat, Active(ann), now=NOW + 592)
    stayed = run(beat, Stay(ann, E3), now=NOW + 595)

    assert due(beat) == (NOW + 600, IdleTooLong())
    assert lease(active.control).idle_at == NOW + 592 + S.idle_s
    assert lease(stayed.control).idle_at == NOW + 595 + S.idle_s
    assert (active.durable, stayed.durable) == (False, False)


def test_input_that_comes_late_moves_nothing() -> None:
    """Input of somebody who held control before does not keep the next one's lease."""
    bobs = run(HELD, Claim(BOB, force=True), now=NOW + 5).control

    assert run(bobs, Active(ann), now=NOW + 6).control == bobs


def test_stay_with_an_old_epoch() -> None:
    """Stay of a tab that still shows an earlier lease is refused, also for the same operator."""
    again = run(PARKED, Claim(ANN)).control

    with pytest.raises(LeaseLost):
        run(again, Stay(ann, E3))
    with pytest.raises(TakenByAnother):
        run(again, Stay(bob, again.epoch))


def test_an_idle_take_over_goes_back_to_the_agent() -> None:
    """Where nobody had asked there is no queue; the result says that nobody finished it."""
    idle = run(UNASKED, IdleTooLong(), now=NOW + 600)
    end = open_one(idle.control).ending

    assert idle.control.phase is Phase.RETURNING
    assert end is not None
    assert (end.outcome, end.note) == (Outcome.EXPIRED, "Ann gave no input for 600 s")


def test_the_ceiling_ends_a_lease_that_is_used() -> None:
    """Whatever is typed, at the ceiling the handoff goes back to the queue."""
    busy = replace(HELD, handoff=replace(open_one(HELD), lease=replace(lease(HELD), expires_at=9e9, idle_at=9e9)))
    up = run(busy, CeilingReached(), now=NOW + S.ceiling_s)

    assert due(busy) == (NOW + S.ceiling_s, CeilingReached())
    assert (up.control.phase, how(up.control)[0]) == (Phase.WAITING, How.CEILING)


def test_one_extension_for_each_operator() -> None:
    """Once, also after losing and getting back control; the next operator has one of their own."""
    longer = run(HELD, ExtendLease(ann, E3, "a long form"), now=NOW + 10)
    back = run(longer.control, HeartbeatLost(), Claim(ANN), now=NOW + 30).control
    fresh = run(longer.control, Release(ann, E3), Claim(ANN), now=NOW + 30).control
    bobs = run(fresh, Claim(BOB, force=True), now=NOW + 40).control

    assert longer.entries[0].data["reason"] == "a long form"
    assert lease(back).ends_at == NOW + S.ceiling_s + S.extension_s
    for again in (back, fresh):
        with pytest.raises(ExtendedBefore):
            run(again, ExtendLease(ann, again.epoch, "more"))
    assert lease(run(bobs, ExtendLease(bob, bobs.epoch, "mine")).control).extended


def test_giving_leaves_no_moment_between() -> None:
    """One step, one epoch: the other holds control, the giver's words are refused naming them."""
    given = run(HELD, Give(ann, E3, bob))

    assert (given.control.phase, given.control.holder, given.control.epoch) == (Phase.HELD, BOB, 4)
    assert how(given.control) == (How.GIVEN, "Ann", "Ann")
    assert given.control.requests == ()
    with pytest.raises(TakenByAnother, match="Bob has control"):
        run(given.control, Done(ann, E3))


def test_given_to_one_who_has_left() -> None:
    """Somebody who was given control and never showed up is not waited for: anybody may claim at once."""
    given = run(HELD, Give(ann, E3, bob))
    lost = run(given.control, HeartbeatLost(), now=NOW + 20)
    came = run(given.control, Heartbeat(bob, Epoch(4)), now=NOW + 5)
    kept = run(came.control, HeartbeatLost(), now=NOW + 25)

    assert run(lost.control, Claim(ANN), now=NOW + 20).control.holder == ANN
    with pytest.raises(TakenByAnother):
        run(kept.control, Claim(ANN), now=NOW + 25)


def test_given_to_one_who_did_not_ask() -> None:
    """Control cannot be pushed on somebody, nor on one whose request was refused meanwhile."""
    denied = run(HELD, Deny(ann, E3, bob)).control

    for who in (bob, OperatorId("op_cy")):
        with pytest.raises(NotAsked):
            run(denied, Give(ann, E3, who))


def test_giving_under_a_lost_lease() -> None:
    """A gift that arrives after the heartbeat was lost is none."""
    with pytest.raises(LeaseLost):
        run(PARKED, Give(ann, E3, bob))


def test_requests_end_with_the_lease() -> None:
    """Whoever asked the former holder has not asked the next."""
    for event in (HeartbeatLost(), IdleTooLong(), Release(ann, E3), Failed(ann, E3), ServerRestarted(), Cancel()):
        assert run(HELD, event).control.requests == ()


def test_asking_twice_is_one_request() -> None:
    """Again changes the note and keeps the place; nobody asks themselves, and not everybody may."""
    again = run(HELD, RequestControl(BOB, "please"), now=NOW + 9).control
    crowd = HELD
    for n in range(S.max_requests - 1):
        crowd = run(crowd, RequestControl(Holder(Side.OPERATOR, OperatorId(f"op_{n}"), "X"))).control

    assert [(r.operator, r.note, r.at) for r in again.requests] == [(BOB, "please", NOW)]
    with pytest.raises(NotNow):
        run(HELD, RequestControl(ANN))
    with pytest.raises(TooManyRequests):
        run(crowd, RequestControl(Holder(Side.OPERATOR, OperatorId("op_late"), "Late")))


def test_force_while_the_gate_closes() -> None:
    """No lease before the acknowledgement, force or not; it goes to the last who may have it."""
    closing = run(in_phase(Phase.CLOSING), Claim(ANN), Claim(BOB, force=True)).control
    closed = run(closing, GateClosed(Epoch(2))).control

    assert (closing.lease, closing.holder) == (None, NOBODY)
    assert closed.holder == BOB
    with pytest.raises(TakenByAnother):
        run(closing, Claim(ANN))


def test_force_while_it_is_going_back() -> None:
    """Once a handoff ends nobody can take control out of the agent's way."""
    for phase in (Phase.RETURNING, Phase.OPENING):
        with pytest.raises(HandoffEnded):
            run(in_phase(phase), Claim(BOB, force=True))


def test_force_and_give_at_once() -> None:
    """Whichever is first, the second finds another epoch: one holder, one lease."""
    forced = run(HELD, Claim(BOB, force=True)).control
    with pytest.raises(TakenByAnother):
        run(forced, Give(ann, E3, bob))
    given = run(HELD, Give(ann, E3, bob)).control

    assert run(given, Claim(BOB, force=True)).control.epoch == given.epoch


def test_two_tabs_of_one_operator() -> None:
    """Both share a lease and an epoch; force from the second tab changes nothing either."""
    second = run(HELD, Claim(ANN, force=True), now=NOW + 3).control

    assert (second.epoch, second.requests) == (HELD.epoch, HELD.requests)
    assert lease(run(second, Heartbeat(ann, E3), now=NOW + 8).control).expires_at == NOW + 8 + S.lease_s


def test_the_clock_jumps_back() -> None:
    """The next heartbeat brings every end of the lease back within its length; nothing is lost."""
    back = run(HELD, Heartbeat(ann, E3), now=NOW - 7200).control
    kept = lease(back)

    assert (kept.expires_at, kept.idle_at, kept.ends_at) == (
        NOW - 7200 + S.lease_s, NOW - 7200 + S.idle_s, NOW - 7200 + S.ceiling_s,
    )  # fmt: skip
    assert run(PARKED, Claim(BOB), now=NOW - 7200).control.holder == BOB
    again = run(PARKED, ServerRestarted(), now=NOW - 7200).control
    assert lease(run(again, Claim(ANN), now=NOW - 7199).control).ends_at <= NOW - 7199 + S.ceiling_s


def test_the_clock_jumps_forth() -> None:
    """All is over at once: the lease is parked first, then offered; the agent stays stopped."""
    late = NOW + 86400
    first = due(HELD)
    assert first is not None
    parked = run(HELD, first[1], now=late).control
    after = due(parked)
    assert after is not None
    waiting = run(parked, after[1], now=late).control

    assert [type(first[1]), type(after[1])] == [HeartbeatLost, GraceOver]
    assert (waiting.phase, waiting.holder) == (Phase.WAITING, NOBODY)


def test_a_deadline_never_moves_back() -> None:
    """Longer counts and is journalled; shorter, or of a handoff that ended, does not."""
    waiting = in_phase(Phase.WAITING)
    ours = HandoffId("ho_1")
    longer = run(waiting, ExtendDeadline(ours, NOW + 9000, "agent"))
    shorter = run(longer.control, ExtendDeadline(ours, NOW + 10, "op_ann"))

    assert due(longer.control) == (NOW + 9000, Expire())
    assert [e.kind for e in longer.entries] == ["handoff/extended"]
    assert shorter.control == longer.control
    for control in (run(in_phase(Phase.CLOSING), Cancel()).control, run(waiting, Expire()).control):
        with pytest.raises(HandoffEnded):
            run(control, ExtendDeadline(ours, NOW + 9000, "agent"))
    with pytest.raises(HandoffEnded):
        run(waiting, ExtendDeadline(HandoffId("ho_before"), NOW + 9000, "agent"))


@pytest.mark.parametrize("phase", [Phase.CLOSING, Phase.WAITING, Phase.HELD, Phase.PARKED])
def test_what_was_meant_for_an_earlier_handoff_misses_the_next(phase: Phase) -> None:
    """Neither a cancel nor a claim, of a handoff that ended meanwhile, hits the one that was asked for since."""
    before = HandoffId("ho_before")
    for event in (Cancel(before), Claim(ANN, handoff=before), Claim(BOB, force=True, handoff=before)):
        with pytest.raises(HandoffEnded):
            run(in_phase(phase), event)
