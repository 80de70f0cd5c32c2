"""A handoff that the platform asked for: like the agent's own, but the agent cannot withdraw it."""

from __future__ import annotations

import pytest

from agent_bridge.access.words import Operator
from agent_bridge.control.asking import HandoffRequest
from agent_bridge.control.broker import Broker
from agent_bridge.control.errors import HandoffOpen
from agent_bridge.control.testing import SB, World, soon
from agent_bridge.control.words import Phase
from agent_bridge.words import Blocker, HandoffState
from sandbox.words import NotAllowed, OperatorId, Side

ANN = Operator(OperatorId("op_ann"), "Ann")
STUCK = HandoffRequest(Blocker.STUCK, "Do the step that it does not manage.")


async def test_it_waits_in_the_queue_and_is_announced(world: World, broker: Broker) -> None:
    """Operators are told at once; released, it is offered again instead of going back to the agent."""
    asked = await broker.ask(SB, STUCK, asked_by=Side.PLATFORM)
    await soon(lambda: broker.views()[0].phase is Phase.WAITING)
    await soon(lambda: bool(world.notifier.told))

    assert world.notifier.told[0]["asked_by"] == "platform"
    assert (await broker.view(SB)).to_wire(0)["last"]["by"] == "platform"
    taken = await broker.take(SB, ANN)
    released = await broker.release(SB, ANN, taken.epoch)
    assert (released.id, released.state) == (asked.handoff.id, HandoffState.WAITING)
    await soon(lambda: len(world.notifier.told) > 1)


async def test_the_agent_cannot_withdraw_it(broker: Broker) -> None:
    """Neither while it waits nor while an operator drives; a human ends it, or its deadline does."""
    asked = await broker.ask(SB, STUCK, asked_by=Side.PLATFORM)
    with pytest.raises(NotAllowed, match="policy"):
        await broker.cancel(asked.handoff.id)
    await soon(lambda: broker.views()[0].phase is Phase.WAITING)
    with pytest.raises(NotAllowed, match="policy"):
        await broker.cancel(asked.handoff.id)
    taken = await broker.take(SB, ANN)
    with pytest.raises(NotAllowed, match="policy"):
        await broker.cancel(asked.handoff.id)

    assert (await broker.done(SB, ANN, taken.epoch)).state is HandoffState.RESOLVED


async def test_it_is_not_asked_beside_an_open_one(broker: Broker) -> None:
    """A human who was asked for by the agent is as good."""
    await broker.ask(SB, HandoffRequest(Blocker.CAPTCHA, "help"))

    with pytest.raises(HandoffOpen):
        await broker.ask(SB, STUCK, asked_by=Side.PLATFORM)
