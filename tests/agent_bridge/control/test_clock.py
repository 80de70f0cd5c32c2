"""Clocks that are set while somebody works: leases neither live for ever nor end at once."""

from __future__ import annotations

import pytest

from agent_bridge.access.words import Operator
from agent_bridge.control.broker import Broker
from agent_bridge.control.testing import SB, World, soon
from agent_bridge.control.words import Phase
from sandbox.words import OperatorId
from tests.agent_bridge.control.conftest import AskFor

ANN = Operator(OperatorId("op_ann"), "Ann")
DAY = 86_400.0


@pytest.mark.parametrize("by", [DAY, -DAY])
async def test_a_lease_lasts_as_long_as_it_would_have_when_the_clock_is_set(
    by: float, broker: Broker, world: World, ask: AskFor
) -> None:
    """A jump moves the ends with the clock; the heartbeat that stays away is noticed in time."""
    await ask()
    taken = await broker.take(SB, ANN)
    world.clock.advance(1)
    world.clock.jump(by)
    await broker.tick()
    view = await broker.view(SB)
    assert view.phase is Phase.HELD
    assert view.handoff is not None
    assert view.handoff.lease is not None
    assert view.handoff.lease.expires_at == taken.lease.expires_at + by
    world.clock.advance(broker.settings.lease_s)
    await broker.tick()
    assert (await broker.view(SB)).phase is Phase.PARKED
    assert "control/clock" in await world.kinds()


@pytest.mark.parametrize("by", [DAY, -DAY])
async def test_a_handoff_waits_as_long_as_it_would_have_when_the_clock_is_set(
    by: float, broker: Broker, world: World, ask: AskFor
) -> None:
    """A jump moves the deadline with the clock."""
    handoff = await ask(timeout_s=100)
    world.clock.jump(by)
    await broker.tick()
    world.clock.advance(99)
    await broker.tick()
    assert not (await broker.get(handoff.id)).state.final
    world.clock.advance(1)
    await broker.tick()
    await soon(lambda: broker.views()[0].phase is Phase.AGENT)
    assert (await broker.get(handoff.id)).state.final
