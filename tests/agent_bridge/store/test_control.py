"""Control and handoffs in the database."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from agent_bridge.control.words import Control, Ending, Handoff, Lease, Phase, Verification
from agent_bridge.journal.words import Entry
from agent_bridge.store.control import SqlControlStore
from agent_bridge.store.database import Database
from agent_bridge.store.journal import SqlJournalStore
from agent_bridge.words import Blocker, HandoffState, Outcome
from sandbox.words import NOBODY, Epoch, HandoffId, Holder, OperatorId, SandboxId, Side, StaleEpoch

SB = SandboxId("sb_1")
ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
LEASE = Lease(ANN, Epoch(3), 10.0, 30.0, 610.0, 3610.0)
FULL = Handoff(
    HandoffId("ho_1"), SB, Blocker.CREDENTIALS, "héllo", Side.AGENT, 1.0, 2.0, HandoffState.HELD,
    condition={"all": [{"url": "*"}]}, site="https://h", url="https://h/p", title="T", idempotency_key="k", target="t",
    client="c", lease=LEASE, leases=(LEASE,), unknown=({"method": "m"},), claimed_at=3.0, ended_at=4.0,
    ending=Ending(Outcome.RESOLVED, "note", "Ann", Verification(False, ({"met": False},), "because")),
    result={"text": "…"}, late=({"note": "late"},), agent_code=("t1",),
)  # fmt: skip
HELD = Control(SB, Phase.HELD, ANN, Epoch(3), 10.0, FULL, ANN)


async def test_control_comes_back_as_it_went(database: Database) -> None:
    """Every field of control and its handoff survives the database."""
    store = SqlControlStore(database)
    await store.save(HELD, None, [])

    assert await store.controls() == [HELD]
    assert await store.control(SB) == HELD
    assert await store.handoff(FULL.id) == FULL
    assert await store.handoff_by_key(SB, "k") == FULL
    assert await store.handoff_by_key(SandboxId("other"), "k") is None
    assert await store.recent(SB) == await store.recent() == [FULL]


async def test_an_epoch_never_goes_back(database: Database) -> None:
    """A writer that believes in an older epoch is refused, and nothing of its step is kept."""
    store = SqlControlStore(database)
    await store.save(HELD, None, [])
    old = replace(HELD, phase=Phase.WAITING, holder=NOBODY, epoch=Epoch(2))

    with pytest.raises(StaleEpoch):
        await store.save(old, None, [Entry("control/released", 1.0, SB, FULL.id)])

    assert await store.control(SB) == HELD
    assert [record async for record in SqlJournalStore(database).records()] == []


async def test_a_step_is_kept_whole_or_not_at_all(database: Database) -> None:
    """A step whose handoff cannot be kept leaves control and journal as they were."""
    store = SqlControlStore(database)
    await store.save(HELD, None, [])
    twin = replace(FULL, id=HandoffId("ho_2"))

    with pytest.raises(IntegrityError):
        await store.save(replace(HELD, epoch=Epoch(4)), twin, [Entry("control/released", 1.0, SB)])

    assert await store.control(SB) == HELD


async def test_closed_sandboxes_are_not_taken_over(database: Database) -> None:
    """A closed sandbox can be looked up, and no new server picks it up."""
    store = SqlControlStore(database)
    closed = Control(SB, Phase.CLOSED, NOBODY, Epoch(9), 1.0)
    await store.save(closed, FULL, [])

    assert await store.controls() == []
    assert await store.control(SB) == closed
    assert await store.handoff(FULL.id) == FULL
