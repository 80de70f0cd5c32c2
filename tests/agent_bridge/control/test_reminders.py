"""The broker's reminders of what time will do: few, and none too late."""

from __future__ import annotations

from agent_bridge.access.words import Operator
from agent_bridge.control.broker import Broker
from agent_bridge.control.testing import SB, World
from agent_bridge.control.words import Phase
from sandbox.words import OperatorId

ANN = Operator(OperatorId("op_ann"), "Ann")


async def test_heartbeats_leave_no_reminders_behind(world: World, broker: Broker) -> None:
    """However often a lease is renewed, the broker keeps a handful of reminders, and parks it in time."""
    taken = await broker.take(SB, ANN)
    for _ in range(30):
        world.clock.advance(broker.settings.lease_s / 3)
        await broker.heartbeat(SB, ANN, taken.epoch)
        await broker.tick()

    assert len(broker._due) <= 3
    world.clock.advance(broker.settings.lease_s + 1)
    await broker.tick()
    assert (await broker.view(SB)).phase is not Phase.HELD
