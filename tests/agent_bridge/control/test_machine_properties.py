"""What holds after any sequence of events."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent_bridge.control.events import (
    Active,
    Ask,
    BrowserDied,
    Cancel,
    Check,
    Claim,
    Close,
    ConditionsChecked,
    Declined,
    Deny,
    Diffed,
    Done,
    Event,
    ExtendDeadline,
    ExtendLease,
    Failed,
    GateClosed,
    GateOpened,
    Give,
    Heartbeat,
    OpenGate,
    PushControl,
    Release,
    RequestControl,
    ServerRestarted,
    Stay,
    TakeOver,
)
from agent_bridge.control.machine import due, step
from agent_bridge.control.words import Control, ControlSettings, Handoff, Phase, Verification
from agent_bridge.store.codec import control_from_row, control_to_json, handoff_from_json, handoff_to_json
from agent_bridge.words import Blocker, HandoffState
from sandbox.words import THE_AGENT, BatonError, Epoch, HandoffId, Holder, OperatorId, SandboxId, Side

SB = SandboxId("sb_1")
OPERATORS = [Holder(Side.OPERATOR, OperatorId(f"op_{name}"), name) for name in ("ann", "bob", "cy")]
operators = st.sampled_from(OPERATORS)
SETTINGS = ControlSettings(idle_s=90, ceiling_s=200, extension_s=50, max_requests=1)


class ControlLife(RuleBasedStateMachine):
    """Throws events at control in any order, legal or not, with a clock that moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.control = Control(SB, Phase.AGENT, THE_AGENT, Epoch(1), self.now)
        self.asked = 0
        self.ended: list[HandoffId] = []
        self.resumed: list[HandoffId] = []

    def feed(self, event: Event) -> None:
        """Apply one event and judge the step; an event that is refused changes nothing."""
        before = self.control
        try:
            after = step(before, event, self.now, SETTINGS)
        except BatonError:
            return
        assert after.control.epoch >= before.epoch
        assert (after.control.holder == before.holder) or after.control.epoch > before.epoch
        assert after.durable or after.control.epoch == before.epoch
        self.judge_transfer(before, event, after.control)
        if after.control.epoch > before.epoch and after.control.phase in {Phase.HELD, Phase.PARKED, Phase.WAITING}:
            assert any(isinstance(e, PushControl) and e.epoch == after.control.epoch for e in after.effects)
        for effect in after.effects:
            if isinstance(effect, OpenGate):
                assert after.control.holder == THE_AGENT
                assert after.control.handoff is not None
                self.resumed.append(after.control.handoff.id)
        if after.ended is not None:
            assert after.ended.state.final
            assert after.ended.result is not None
            self.ended.append(after.ended.id)
        if before.handoff is not None:
            kept = after.control.handoff is not None and after.control.handoff.id == before.handoff.id
            assert kept != (after.ended is not None and after.ended.id == before.handoff.id)
        self.control = after.control
        for effect in after.effects:
            if isinstance(effect, Check) and isinstance(event, Done):
                self.feed(ConditionsChecked(event, Verification(verified=self.asked % 2 == 0)))

    def judge_transfer(self, before: Control, event: Event, after: Control) -> None:
        """Control comes to an operator by claim or gift only; while it is kept for one, to them or by force."""
        moved = after.epoch > before.epoch
        assert not (moved and after.requests)
        if not moved:
            assert len({r.operator for r in after.requests}) == len(after.requests) <= SETTINGS.max_requests
            return
        assert after.last is not None
        if after.holder.side is not Side.OPERATOR:
            return
        assert isinstance(event, GateClosed | Claim | Give)
        if before.phase is Phase.HELD:
            assert isinstance(event, Give) or (isinstance(event, Claim) and event.force)
            assert after.last.before == str(before.holder)
        if isinstance(event, Give):
            assert after.holder in {r.operator for r in before.requests}
        kept = before.handoff.reserved if before.handoff else None
        keeps = kept is not None and self.now < kept.until <= self.now + SETTINGS.grace_s
        if kept is not None and keeps and isinstance(event, Claim) and not event.force:
            assert after.holder == kept.operator
            assert before.handoff is not None
            assert after.lease is not None
            assert after.lease.ends_at <= before.handoff.leases[-1].ends_at

    @rule(condition=st.booleans())
    def ask(self, condition: bool) -> None:
        """The agent asks."""
        self.asked += 1
        self.feed(Ask(self.new(Side.AGENT, condition=condition)))

    @rule(operator=operators)
    def take_over(self, operator: Holder) -> None:
        """An operator takes over."""
        self.asked += 1
        self.feed(TakeOver(operator, self.new(Side.OPERATOR)))

    def new(self, asked_by: Side, *, condition: bool = False) -> Handoff:
        """A new handoff."""
        made = HandoffId(f"ho_{self.asked}")
        wanted = {"url": "*"} if condition else None
        return Handoff(made, SB, Blocker.CAPTCHA, "", asked_by, self.now, self.now + 60, condition=wanted)

    @rule(operator=operators, force=st.booleans())
    def claim(self, operator: Holder, force: bool) -> None:
        """An operator claims, or a supervisor takes."""
        self.feed(Claim(operator, force))

    @precondition(lambda self: self.control.phase not in {Phase.HELD, Phase.CLOSED})
    @rule(operator=operators)
    def come_to_hold(self, operator: Holder) -> None:
        """Everything goes well until an operator holds control."""
        for _ in range(5):
            if self.control.phase is Phase.AGENT:
                self.ask(condition=False)
            elif self.control.phase in {Phase.WAITING, Phase.PARKED}:
                self.claim(operator, force=False)
            elif self.control.phase is not Phase.HELD:
                self.keeper_answers()

    @precondition(lambda self: self.control.phase is Phase.HELD)
    @rule(wanted=st.sampled_from([Heartbeat, Stay, Active, ExtendLease]))
    def holder_keeps(self, wanted: type[Event]) -> None:
        """The holder does what keeps a lease."""
        who, epoch = self.control.holder.operator, self.control.epoch
        assert who is not None
        said: dict[type[Event], Event] = {
            Heartbeat: Heartbeat(who, epoch), Stay: Stay(who, epoch), Active: Active(who),
        }  # fmt: skip
        self.feed(said.get(wanted) or ExtendLease(who, epoch, "slow"))

    @precondition(lambda self: self.control.phase is Phase.HELD)
    @rule(times=st.integers(1, 30), wanted=st.sampled_from([Heartbeat, Stay]))
    def hours_pass(self, times: int, wanted: type[Event]) -> None:
        """The console lives, whether or not somebody sits before it."""
        for _ in range(times):
            if self.control.phase is Phase.HELD:
                self.holder_keeps(wanted)
                self.time_passes(10)

    @rule(operator=operators, note=st.sampled_from(["", "I know the code"]))
    def request(self, operator: Holder, note: str) -> None:
        """An operator asks for control."""
        self.feed(RequestControl(operator, note))

    @rule(operator=operators, to=operators, back=st.integers(0, 1), verb=st.sampled_from([Give, Deny]))
    def answer(self, operator: Holder, to: Holder, back: int, verb: type[Give | Deny]) -> None:
        """Somebody, maybe the holder, answers somebody, maybe one who asked."""
        assert operator.operator is not None
        assert to.operator is not None
        self.feed(verb(operator.operator, Epoch(max(0, self.control.epoch - back)), to.operator))

    @precondition(lambda self: bool(self.control.requests))
    @rule()
    def asked_and_given(self) -> None:
        """The holder gives control to the first who asks, who may have left."""
        holder, to = self.control.holder.operator, self.control.requests[0].operator.operator
        assert holder is not None
        assert to is not None
        self.feed(Give(holder, self.control.epoch, to))
        assert self.control.holder.operator == to

    @rule(operator=operators)
    def input_arrives(self, operator: Holder) -> None:
        """The keeper tells of input, maybe of somebody who held control before."""
        assert operator.operator is not None
        before = self.control
        self.feed(Active(operator.operator))
        if before.holder != operator:
            assert self.control == before

    @rule(operator=operators, back=st.integers(0, 1))
    def extend(self, operator: Holder, back: int) -> None:
        """Somebody wants longer: once for each operator of a handoff."""
        assert operator.operator is not None
        before = self.control.lease
        self.feed(ExtendLease(operator.operator, Epoch(max(0, self.control.epoch - back)), "a long form"))
        if before is not None and before.extended and self.control.lease is not None:
            assert self.control.lease.ends_at == before.ends_at

    @rule(seconds=st.floats(1, 500))
    def extend_deadline(self, seconds: float) -> None:
        """Somebody lets the handoff wait longer; it never waits shorter."""
        handoff = self.control.handoff
        if handoff is not None:
            self.feed(ExtendDeadline(handoff.id, self.now + seconds, "agent"))
            assert self.control.handoff is not None
            assert self.control.handoff.deadline_at >= handoff.deadline_at

    @precondition(lambda self: self.control.phase in {Phase.CLOSING, Phase.RETURNING, Phase.OPENING})
    @rule()
    def keeper_answers(self) -> None:
        """The keeper did what it was told."""
        answers: dict[Phase, Event] = {
            Phase.CLOSING: GateClosed(self.control.epoch), Phase.RETURNING: Diffed(),
            Phase.OPENING: GateOpened(self.control.epoch),
        }  # fmt: skip
        self.feed(answers[self.control.phase])

    @rule(answer=st.sampled_from([GateClosed(Epoch(1)), Diffed(), GateOpened(Epoch(1))]))
    def keeper_repeats(self, answer: Event) -> None:
        """An answer of the keeper comes late, or twice."""
        before = self.control
        self.feed(answer)
        assert self.control == before or isinstance(answer, Diffed)

    @rule(operator=operators, back=st.integers(0, 2), verb=st.sampled_from([Stay, Done, Failed, Declined, Release]))
    def say(self, operator: Holder, back: int, verb: type[Stay | Done | Failed | Declined | Release]) -> None:
        """An operator says something, under this epoch or an old one."""
        assert operator.operator is not None
        self.feed(verb(operator.operator, Epoch(max(0, self.control.epoch - back))))

    @precondition(lambda self: self.asked % 3 == 0)
    @rule()
    def cancel(self) -> None:
        """The agent withdraws."""
        self.feed(Cancel())

    @rule(seconds=st.one_of(st.floats(0, 100), st.sampled_from([-3600.0, -5.0, 7200.0]), st.floats(0, 30)))
    def time_passes(self, seconds: float) -> None:
        """The clock moves on, or jumps back or forth, and what is due happens."""
        self.now += seconds
        waiting = due(self.control)
        if waiting is not None and waiting[0] <= self.now:
            self.feed(waiting[1])

    @precondition(lambda self: self.control.epoch % 3 == 0)
    @rule()
    def restart(self) -> None:
        """A new server takes over."""
        self.feed(ServerRestarted())

    @precondition(lambda self: self.asked > 3)
    @rule(event=st.sampled_from([BrowserDied("crashed"), Close()]))
    def end(self, event: Event) -> None:
        """The sandbox ends."""
        self.feed(event)

    @invariant()
    def never_agent_held_with_an_open_handoff(self) -> None:
        """While a handoff is open the agent holds control only at the moment its gate is being opened."""
        if self.control.phase is Phase.AGENT:
            assert self.control.handoff is None
            assert self.control.holder == THE_AGENT
        elif self.control.phase is not Phase.OPENING:
            assert self.control.holder != THE_AGENT

    @invariant()
    def one_holder_and_its_lease(self) -> None:
        """An operator holds control exactly while they have a lease, of this epoch."""
        lease = self.control.lease
        assert (self.control.holder.side is Side.OPERATOR) == (lease is not None) == (self.control.phase is Phase.HELD)
        if lease is not None:
            assert (lease.operator, lease.epoch) == (self.control.holder, self.control.epoch)

    @invariant()
    def a_lease_is_bounded(self) -> None:
        """However the clock jumped, no lease is longer than its ceiling and one extension."""
        lease = self.control.lease
        if lease is not None:
            ceiling = SETTINGS.ceiling_s + (SETTINGS.extension_s if lease.extended else 0)
            assert lease.ends_at <= self.control.since + ceiling + 1e-6

    @invariant()
    def kept_only_while_parked(self) -> None:
        """A handoff is kept for somebody only while it is parked, and never past their ceiling."""
        handoff = self.control.handoff
        if handoff is not None and handoff.reserved is not None:
            assert self.control.phase is Phase.PARKED
            assert handoff.state is HandoffState.PARKED
            assert handoff.reserved.until <= handoff.leases[-1].ends_at

    @invariant()
    def what_is_stored_is_what_is_known(self) -> None:
        """Control reads back from the store as it is."""
        c = self.control
        document = handoff_to_json(c.handoff) if c.handoff is not None else None
        assert control_from_row(c.sandbox, c.phase.value, c.epoch, control_to_json(c), document) == c
        if document is not None:
            assert handoff_from_json(document) == c.handoff

    @invariant()
    def one_resume_per_handoff(self) -> None:
        """No handoff ends twice, and none resumes the agent twice."""
        assert len(set(self.ended)) == len(self.ended)
        assert len(set(self.resumed)) == len(self.resumed)


TestControlLife = ControlLife.TestCase
TestControlLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, derandomize=True)
