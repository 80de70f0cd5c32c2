"""Leases in the broker, on a real database: kept, idle, at their ceiling, given, taken by force."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from agent_bridge.access.words import Operator
from agent_bridge.control.broker import Broker
from agent_bridge.control.errors import InvalidAsk, NotNow, TakenByAnother
from agent_bridge.control.testing import SB, World, soon
from agent_bridge.control.words import Handoff, How, Phase
from agent_bridge.words import HandoffState
from sandbox.words import BatonError, OperatorId, Side, TooLarge, Unavailable

ANN = Operator(OperatorId("op_ann"), "Ann")
BOB = Operator(OperatorId("op_bob"), "Bob")

type AskFor = Callable[..., Awaitable[Handoff]]


async def test_the_grace_runs_by_the_clock(world: World, broker: Broker, ask: AskFor) -> None:
    """A lost lease is kept for its operator, then offered to all, who are told again."""
    handoff = await ask()
    await broker.take(SB, ANN)
    world.clock.advance(21)
    await broker.tick()
    with pytest.raises(TakenByAnother, match="Ann lost the connection"):
        await broker.take(SB, BOB)
    world.clock.advance(20)
    await broker.tick()
    await soon(lambda: bool(world.notifier.again))

    assert (await broker.get(handoff.id)).state is HandoffState.WAITING
    assert world.notifier.again == [handoff.id]
    assert (await broker.take(SB, BOB)).lease.operator.name == "Bob"
    assert "control/grace_over" in await world.kinds()


async def test_the_grace_survives_the_server(world: World, broker: Broker, ask: AskFor) -> None:
    """After a restart the operator who held control may come back, with the ceiling they had; others wait."""
    await ask()
    first = await broker.take(SB, ANN)
    await broker.stop()
    world.clock.advance(100)
    again = await world.broker()
    with pytest.raises(TakenByAnother):
        await again.take(SB, BOB)
    back = await again.take(SB, ANN)

    assert back.epoch > first.epoch
    assert back.lease.ends_at == first.lease.ends_at


async def test_an_idle_operator_loses_control(world: World, broker: Broker, ask: AskFor) -> None:
    """Heartbeats alone keep no lease for longer than the idle time; the keeper stops their input."""
    broker.settings = replace(broker.settings, idle_s=40)
    await ask()
    taken = await broker.take(SB, ANN)
    for _ in range(4):
        world.clock.advance(10)
        await broker.tick()
        if (await broker.view(SB)).phase is Phase.HELD:
            await broker.heartbeat(SB, ANN, taken.epoch)
    await soon(lambda: world.link.holder.side is Side.NOBODY)
    view = await broker.view(SB)

    assert view.phase is Phase.WAITING
    assert view.last is not None
    assert (view.last.how, view.last.before) == (How.IDLE, "Ann")
    assert not world.link.gate_is_open


async def test_input_keeps_control_up_to_the_ceiling(world: World, broker: Broker, ask: AskFor) -> None:
    """Who types is not idle; an extension with a reason moves the ceiling once, and is journalled."""
    broker.settings = replace(broker.settings, idle_s=40, ceiling_s=100, extension_s=50)
    await ask()
    taken = await broker.take(SB, ANN)
    with pytest.raises(InvalidAsk, match="why"):
        await broker.extend_lease(SB, ANN, taken.epoch, " ")
    with pytest.raises(TooLarge):
        await broker.extend_lease(SB, ANN, taken.epoch, "x" * 5000)
    longer = await broker.extend_lease(SB, ANN, taken.epoch, "the bank is slow")
    while (await broker.view(SB)).phase is Phase.HELD:
        await broker.heartbeat(SB, ANN, taken.epoch)
        await broker.keeper_event(SB, "activity", {"operator": ANN.id})
        world.clock.advance(15)
        await broker.tick()

    assert longer.ends_at == taken.lease.ends_at + broker.settings.extension_s
    assert 0 <= world.clock.now() - longer.ends_at < 15
    said = [r.entry.data async for r in world.journal.records() if r.entry.kind == "control/extended"]
    assert [data["reason"] for data in said] == ["the bank is slow"]


async def test_control_is_given_at_once(world: World, broker: Broker, ask: AskFor) -> None:
    """When giving returns the keeper lets the other's input pass, and not the giver's."""
    await ask()
    taken = await broker.take(SB, ANN)
    await broker.request_control(SB, BOB, "I have the phone")
    view = await broker.give(SB, ANN, taken.epoch, BOB.id)

    world.link.fence.check_operator(BOB.id, view.epoch)
    with pytest.raises(BatonError):
        world.link.fence.check_operator(ANN.id, taken.epoch)
    assert (await broker.heartbeat(SB, BOB, view.epoch)).operator.name == "Bob"


async def test_control_is_given_though_the_keeper_is_silent(world: World, broker: Broker, ask: AskFor) -> None:
    """The other holds control all the same; nobody's input passes until the keeper has heard of it."""
    broker.settings = replace(broker.settings, grant_s=0.1)
    await ask()
    taken = await broker.take(SB, ANN)
    await broker.request_control(SB, BOB)
    world.link.failing["control_push"] = Unavailable("busy")
    view = await broker.give(SB, ANN, taken.epoch, BOB.id)
    del world.link.failing["control_push"]

    assert view.holder.name == "Bob"
    await soon(lambda: world.link.holder.name == "Bob")


async def test_a_request_is_for_a_holder(broker: Broker, ask: AskFor) -> None:
    """Where nobody holds control it is taken, not asked for."""
    await ask()

    with pytest.raises(NotNow, match="take it"):
        await broker.request_control(SB, BOB)


async def test_force_takes_it_from_the_first(world: World, broker: Broker, ask: AskFor) -> None:
    """The first operator's lease is over when force returns; of two at once the later one has it."""
    await ask()
    taken = await broker.take(SB, ANN)
    forced = await broker.take(SB, BOB, force=True)

    world.link.fence.check_operator(BOB.id, forced.epoch)
    with pytest.raises(TakenByAnother, match="Bob has control"):
        await broker.done(SB, ANN, taken.epoch)
    view = await broker.view(SB)
    assert view.last is not None
    assert view.last.to_wire() == {"how": "forced", "by": "Bob", "from": "Ann", "at": world.clock.now()}


async def test_force_while_the_gate_closes(world: World, broker: Broker) -> None:
    """A supervisor is let in before an operator who waits for the gate; that one is told."""
    gate = world.link.hold["gate_close"] = asyncio.Event()
    slow = asyncio.create_task(broker.take(SB, ANN))
    await soon(lambda: broker.views()[0].phase is Phase.CLOSING)
    quick = asyncio.create_task(broker.take(SB, BOB, force=True))
    await asyncio.sleep(0)
    with pytest.raises(NotNow):
        await slow
    gate.set()

    assert (await quick).lease.operator.name == "Bob"


async def test_idle_and_done_at_once(world: World, broker: Broker, ask: AskFor) -> None:
    """Exactly one of them counts, and the agent resumes at most once."""
    broker.settings = replace(broker.settings, idle_s=40)
    await ask()
    taken = await broker.take(SB, ANN)
    lease = taken.lease
    while world.clock.now() < lease.idle_at - 10:
        world.clock.advance(10)
        await broker.heartbeat(SB, ANN, taken.epoch)
    world.clock.advance(10)
    _, done = await asyncio.gather(broker.tick(), broker.done(SB, ANN, taken.epoch), return_exceptions=True)
    view = await broker.view(SB)

    assert (view.phase is Phase.AGENT) == (not isinstance(done, BaseException))
    assert len(world.link.opened) == (2 if view.phase is Phase.AGENT else 1)


async def test_stale_handles_are_in_the_result(world: World, broker: Broker, ask: AskFor) -> None:
    """What the gate says about the agent's handles is passed on."""
    world.link.stale = {"handles": 3, "documents": [], "all": False}
    await ask()
    taken = await broker.take(SB, ANN)
    done = await broker.done(SB, ANN, taken.epoch)

    assert done.result is not None
    assert done.result["stale"] == world.link.stale
