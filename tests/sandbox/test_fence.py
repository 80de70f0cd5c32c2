"""The fence lets exactly one holder act, under exactly one epoch."""

from __future__ import annotations

import pytest

from sandbox.fence import Fence
from sandbox.words import NOBODY, THE_AGENT, Conflict, Epoch, HeldByAnother, Holder, OperatorId, Side, StaleEpoch

ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
BOB = Holder(Side.OPERATOR, OperatorId("op_bob"), "Bob")


def test_starts_shut_for_everybody() -> None:
    """A new fence lets neither the agent nor an operator act."""
    fence = Fence()

    with pytest.raises(HeldByAnother):
        fence.check_agent(Epoch(0))
    with pytest.raises(HeldByAnother):
        fence.check_operator(OperatorId("op_ann"), Epoch(0))


def test_passes_only_the_holder_of_the_epoch() -> None:
    """An operator passes with their own epoch; another operator, the agent and an older epoch do not."""
    fence = Fence()
    fence.push(ANN, Epoch(4), 10.0)

    fence.check_operator(OperatorId("op_ann"), Epoch(4))
    with pytest.raises(HeldByAnother):
        fence.check_operator(OperatorId("op_bob"), Epoch(4))
    with pytest.raises(StaleEpoch):
        fence.check_operator(OperatorId("op_ann"), Epoch(3))
    with pytest.raises(HeldByAnother) as refusal:
        fence.check_agent(Epoch(4))
    assert refusal.value.fields == {"holder": "Ann", "since": 10.0}
    assert fence.statistics().passed == 1
    assert fence.statistics().refused == 3


def test_agent_is_stale_after_control_went_round() -> None:
    """What the agent sent before a handoff is refused after it."""
    fence = Fence()
    fence.push(THE_AGENT, Epoch(1), 0.0)
    fence.push(NOBODY, Epoch(2), 1.0)
    fence.push(THE_AGENT, Epoch(3), 2.0)

    fence.check_agent(Epoch(3))
    with pytest.raises(StaleEpoch):
        fence.check_agent(Epoch(1))


def test_epoch_never_goes_back_and_never_changes_hands() -> None:
    """A push with an old epoch, or with a new holder under the same epoch, changes nothing."""
    fence = Fence()
    fence.push(ANN, Epoch(5), 0.0)

    with pytest.raises(StaleEpoch):
        fence.push(THE_AGENT, Epoch(4), 0.0)
    with pytest.raises(Conflict):
        fence.push(BOB, Epoch(5), 0.0)
    fence.push(ANN, Epoch(5), 0.0)
    assert (fence.holder, fence.epoch) == (ANN, 5)


def test_shut_remembers_whose_the_epoch_is() -> None:
    """After the authority was lost nobody acts; the same holder may be pushed again, another one may not."""
    fence = Fence()
    fence.push(ANN, Epoch(5), 0.0)
    fence.shut()

    with pytest.raises(HeldByAnother):
        fence.check_operator(OperatorId("op_ann"), Epoch(5))
    with pytest.raises(Conflict):
        fence.push(BOB, Epoch(5), 0.0)
    fence.push(ANN, Epoch(5), 0.0)
    fence.check_operator(OperatorId("op_ann"), Epoch(5))


def test_listeners_hear_every_change_until_they_end() -> None:
    """A listener is told the present state at once, then each push, then nothing more."""
    fence = Fence()
    heard: list[tuple[str, int]] = []
    end = fence.listen(lambda holder, epoch: heard.append((str(holder), epoch)))
    fence.push(ANN, Epoch(1), 0.0)
    fence.shut()
    end()
    fence.push(BOB, Epoch(2), 0.0)

    assert heard == [("nobody", 0), ("Ann", 1), ("nobody", 1)]
