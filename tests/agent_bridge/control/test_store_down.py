"""A database that cannot be written for a while: a clear error, the agent stays stopped, and it goes on afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent_bridge.access.words import Operator
from agent_bridge.control.broker import Broker
from agent_bridge.control.testing import SB, World, soon
from agent_bridge.control.words import Phase
from agent_bridge.store.database import Batch, Database, StoreDown
from agent_bridge.words import HandoffState
from sandbox.words import OperatorId
from tests.agent_bridge.control.conftest import AskFor

ANN = Operator(OperatorId("op_ann"), "Ann")
BUSY_MS = 200


async def _pragma(database: Database, statement: str) -> int:
    def run(batch: Batch) -> int:
        return int(batch.connection.exec_driver_sql(statement).scalar() or 0)

    return await database.together(run)


@contextmanager
def _locked(database: Database) -> Iterator[None]:
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


async def test_locked_by_another_process(broker: Broker, world: World, ask: AskFor) -> None:
    """Done is refused within the busy timeout, and possible again once the other lets go."""
    handoff = await ask()
    taken = await broker.take(SB, ANN)
    await _pragma(world.database, f"PRAGMA busy_timeout={BUSY_MS}")
    with _locked(world.database):
        began = time.monotonic()
        with pytest.raises(StoreDown, match="locked"):
            await broker.done(SB, ANN, taken.epoch)
        assert time.monotonic() - began < 3
        assert (await broker.view(SB)).phase is Phase.HELD
        assert not world.link.gate_is_open
    ended = await broker.done(SB, ANN, taken.epoch)
    assert (ended.id, ended.state) == (handoff.id, HandoffState.RESOLVED)
    assert len(world.link.opened) == 2


async def test_locked_while_control_is_on_its_way_back(broker: Broker, world: World, ask: AskFor) -> None:
    """A step of the server's own that cannot be stored is tried again; the agent stays stopped until it is."""
    handoff = await ask()
    taken = await broker.take(SB, ANN)
    await _pragma(world.database, f"PRAGMA busy_timeout={BUSY_MS}")
    world.link.hold["diff"] = asyncio.Event()
    done = asyncio.create_task(broker.done(SB, ANN, taken.epoch))
    await soon(lambda: ("diff", handoff.id) in world.link.calls)
    with _locked(world.database):
        world.link.hold["diff"].set()
        await soon(lambda: broker.views()[0].trouble is not None)
        assert not world.link.gate_is_open
    await done
    await soon(lambda: world.link.gate_is_open)
    assert len(world.link.opened) == 2


async def _fill(world: World) -> None:
    for _ in range(200):
        await world.journal.append("control/trouble", sandbox=SB, reason="x" * 400)


async def test_the_disk_is_full(broker: Broker, world: World, ask: AskFor) -> None:
    """What does not fit is refused as a whole; with room again the same request goes through."""
    await ask()
    taken = await broker.take(SB, ANN)
    before = await _pragma(world.database, "PRAGMA max_page_count")
    full = await _pragma(world.database, "PRAGMA page_count")
    await _pragma(world.database, f"PRAGMA max_page_count={full}")
    with pytest.raises(StoreDown, match="full"):
        await _fill(world)
    kinds = await world.kinds()
    with pytest.raises(StoreDown, match="full"):
        await broker.done(SB, ANN, taken.epoch, "n" * 4000)
    assert await world.kinds() == kinds
    assert (await broker.view(SB)).phase is Phase.HELD
    assert not world.link.gate_is_open
    await _pragma(world.database, f"PRAGMA max_page_count={before}")
    assert (await broker.done(SB, ANN, taken.epoch, "n" * 4000)).state is HandoffState.RESOLVED


async def test_gone_and_back(broker: Broker, world: World, ask: AskFor) -> None:
    """Nothing is written into a file that is no longer there, nor an empty one made; with it back all goes on."""
    handoff = await ask()
    taken = await broker.take(SB, ANN)
    kinds = await world.kinds()
    away = world.database.path.with_suffix(".away")
    world.database.path.rename(away)
    with pytest.raises(StoreDown, match="its file is gone"):
        await broker.done(SB, ANN, taken.epoch)
    with pytest.raises(StoreDown, match="its file is gone"):
        await world.kinds()
    assert not world.database.path.exists()
    assert not world.link.gate_is_open
    away.rename(world.database.path)
    assert await world.kinds() == kinds
    assert (await broker.done(SB, ANN, taken.epoch)).id == handoff.id
    assert world.link.gate_is_open


async def test_another_file_in_its_place(broker: Broker, world: World, ask: AskFor) -> None:
    """A restored backup is not written into behind its back: Baton is to be started again."""
    await ask()
    taken = await broker.take(SB, ANN)
    path = world.database.path
    path.rename(path.with_suffix(".away"))
    path.write_bytes(path.with_suffix(".away").read_bytes())
    with pytest.raises(StoreDown, match="replaced"):
        await broker.done(SB, ANN, taken.epoch)
    assert (await broker.view(SB)).phase is Phase.HELD
