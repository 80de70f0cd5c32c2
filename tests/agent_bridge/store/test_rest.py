"""The smaller stores: outbox, sandboxes, keys, pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent_bridge.control.testing import FakeClock
from agent_bridge.notify.words import Delivery, DeliveryState
from agent_bridge.store.database import Database
from agent_bridge.store.deliveries import DeliveryStore
from agent_bridge.store.images import FileImages
from agent_bridge.store.keys import KeyStore
from agent_bridge.store.sandboxes import SandboxRecord, SandboxStore
from sandbox.words import BadRequest, HandoffId, SandboxId


async def test_the_outbox(database: Database) -> None:
    """A delivery is kept once per handoff and service, and leaves the queue when it is delivered."""
    store = DeliveryStore(database)
    late = Delivery("dl_1", HandoffId("ho_1"), "json-1", DeliveryState.PENDING, 0, 20.0)
    early = replace(late, id="dl_2", service="json-2", due_at=10.0)
    await store.add(late)
    await store.add(early)
    await store.add(replace(late, id="dl_3"))
    before = await store.pending()
    await store.put(replace(early, state=DeliveryState.DELIVERED, tries=1))

    assert before == [early, late]
    assert await store.pending() == [late]


async def test_sandboxes(database: Database) -> None:
    """A sandbox is listed for its owner until it is closed, and can be looked up afterwards."""
    store = SandboxStore(database)
    record = SandboxRecord(SandboxId("sb_1"), "shop", "tk_1", 1.0, 1280, 720, "uid", document={"capability": "h"})
    await store.add(record)

    assert await store.open_ones() == await store.open_ones("tk_1") == [record]
    assert await store.open_ones("tk_2") == []
    assert [await store.close(record.id, 2.0, "done"), await store.close(record.id, 3.0, "again")] == [True, False]
    assert await store.get(record.id) == replace(record, closed_at=2.0, close_reason="done")
    assert await store.open_ones() == []
    assert await store.get(SandboxId("sb_none")) is None


async def test_keys_are_made_once(database: Database) -> None:
    """A key is random, and the same whenever it is asked for."""
    store = KeyStore(database, FakeClock())

    assert await store.key("a") == await store.key("a") != await store.key("b")
    assert len(await store.key("a")) == 32


async def test_pictures(tmp_path: Path) -> None:
    """Pictures are private files of their handoff; a name that could lead elsewhere is refused."""
    store = FileImages(tmp_path)
    handoff = HandoffId("ho_0123456789abcdef0123")
    await store.save(handoff, "before", b"\xff\xd8one")
    await store.save(handoff, "before", b"\xff\xd8two")
    path = store.path(handoff, "before")

    assert path is not None
    assert path.read_bytes() == b"\xff\xd8two"
    assert path.stat().st_mode & 0o077 == 0
    assert store.path(handoff, "after") is None
    for bad in ("../../etc", "ho_0123456789abcdef0123/..", ""):
        with pytest.raises(BadRequest):
            store.path(HandoffId(bad), "before")
    await store.remove(handoff)
    assert store.path(handoff, "before") is None
