"""What holds after any sequence of events."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent_bridge.control.events import (
    Ask,
    BrowserDied,
    Cancel,
    Check,
    Claim,
    Close,
    ConditionsChecked,
    Declined,
    Diffed,
    Done,
    Event,
    Failed,
    GateClosed,
    GateOpened,
    Heartbeat,
    OpenGate,
    Release,
    ServerRestarted,
    TakeOver,
)
from agent_bridge.control.machine import due, step
from agent_bridge.control.words import Control, ControlSettings, Handoff, Phase, Verification
from agent_bridge.words import Blocker
from sandbox.words import THE_AGENT, BatonError, Epoch, HandoffId, Holder, OperatorId, SandboxId, Side

SB = SandboxId("sb_1")
OPERATORS = [Holder(Side.OPERATOR, OperatorId(f"op_{name}"), name) for name in ("ann", "bob")]
operators = st.sampled_from(OPERATORS)
SETTINGS = ControlSettings()


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
        if after.control.holder.side is Side.OPERATOR and before.holder != after.control.holder:
            assert before.phase in {Phase.CLOSING, Phase.WAITING, Phase.PARKED}
            assert isinstance(event, GateClosed | Claim)
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

    @rule(operator=operators)
    def claim(self, operator: Holder) -> None:
        """An operator claims."""
        self.feed(Claim(operator))

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

    @rule(
        operator=operators, back=st.integers(0, 2), verb=st.sampled_from([Heartbeat, Done, Failed, Declined, Release])
    )
    def say(self, operator: Holder, back: int, verb: type[Heartbeat | Done | Failed | Declined | Release]) -> None:
        """An operator says something, under this epoch or an old one."""
        assert operator.operator is not None
        self.feed(verb(operator.operator, Epoch(max(0, self.control.epoch - back))))

    @rule()
    def cancel(self) -> None:
        """The agent withdraws."""
        self.feed(Cancel())

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        """The clock moves on and what is due happens."""
        self.now += seconds
        waiting = due(self.control)
        if waiting is not None and waiting[0] <= self.now:
            self.feed(waiting[1])

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
    def one_resume_per_handoff(self) -> None:
        """No handoff ends twice, and none resumes the agent twice."""
        assert len(set(self.ended)) == len(self.ended)
        assert len(set(self.resumed)) == len(self.resumed)


TestControlLife = ControlLife.TestCase
TestControlLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None, derandomize=True)
