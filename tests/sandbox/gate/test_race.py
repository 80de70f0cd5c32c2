"""Commands that race with transfers: none acts or reads while a human holds control."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from typing import TYPE_CHECKING

import pytest
import websockets

from sandbox.words import THE_AGENT, Epoch, Holder, StaleEpoch
from tests.sandbox.gate.rig import Raw, until

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARK = "/*by the agent*/"


async def flood(client: Raw, session: str, stop: asyncio.Event, per_s: int) -> int:
    """Pipeline commands that act and read, without waiting for answers; returns how many were sent."""
    sent = 0
    while not stop.is_set():
        for _ in range(10):
            await client.start("Runtime.evaluate", {"expression": f"acts++, probe{MARK}"}, session)
            sent += 1
        await asyncio.sleep(10 / per_s)
    return sent


async def race(rig: Rig, clients: list[Raw], transfers: int, per_s: int) -> None:
    """Transfer control again and again; while it is Ann's, no agent's command is written and no counter moves."""
    sessions = [await c.page(rig.page().target) for c in clients]
    stop = asyncio.Event()
    floods = [asyncio.create_task(flood(c, s, stop, per_s)) for c, s in zip(clients, sessions, strict=True)]
    chance = random.Random(4)
    admitted = 0
    for _ in range(transfers):
        await asyncio.sleep(chance.random() * 0.03)
        await rig.shut(drain_s=0.5)
        before = await rig.js("[acts, reads].join()")
        rig.written.clear()
        await asyncio.sleep(chance.random() * 0.02)
        assert not any(MARK.encode() in w for w in rig.written)
        assert await rig.js("[acts, reads].join()") == before
        assert not any(MARK.encode() in w for w in rig.written)
        await rig.open()
        admitted = rig.gate.statistics().admitted
    stop.set()
    sent = sum(await asyncio.gather(*floods))
    assert sent > transfers * 2
    assert admitted > transfers
    assert rig.gate.statistics().refused > transfers
    assert rig.gate.statistics().unknown <= rig.gate.statistics().admitted


async def test_no_command_passes_a_transfer(rig: Rig, raw: Raw) -> None:
    """40 transfers under a flood of pipelined commands of two clients."""
    other = Raw(await websockets.connect(rig.url))
    await race(rig, [raw, other], 40, 500)
    await other.close()


@pytest.mark.full
@pytest.mark.timeout(600)
async def test_no_command_passes_a_transfer_at_length(rig: Rig, raw: Raw) -> None:
    """500 transfers under at least 1,000 pipelined commands a second."""
    other = Raw(await websockets.connect(rig.url))
    await race(rig, [raw, other], 500, 1000)
    await other.close()


async def test_the_last_check_is_needed(rig: Rig, raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the gate believes of itself, the fence's own check before the pipe stops a command of an old epoch."""
    session = await raw.page(rig.page().target)
    holder, epoch = rig.fence.holder, rig.fence.epoch
    # Control goes to Ann and back between the gate's look at the switch and its last step.
    permit = rig.authority.permit

    def meanwhile(action: object) -> object:
        rig.fence.push(
            Holder.from_wire({"side": "operator", "operator": "op_ann", "name": "Ann"}), Epoch(epoch + 1), 0.0
        )
        rig.fence.push(holder, Epoch(epoch + 2), 0.0)
        return permit(action)  # type: ignore[arg-type]

    monkeypatch.setattr(rig.authority, "permit", meanwhile)
    rig.written.clear()
    reply = await (await raw.start("Runtime.evaluate", {"expression": f"acts++{MARK}"}, session))

    assert reply["error"]["code"] == -32010
    assert not any(MARK.encode() in w for w in rig.written)
    with pytest.raises(StaleEpoch):
        rig.fence.check_agent(epoch)
    assert rig.fence.holder == THE_AGENT


async def test_replies_cost_no_decoding(rig: Rig, raw: Raw) -> None:
    """A large reply passes as it is: the same bytes behind another id."""
    session = await raw.page(rig.page().target)
    reply = await raw.call("Runtime.evaluate", {"expression": "'x'.repeat(10_000_000)", "returnByValue": True}, session)
    assert len(reply["result"]["value"]) == 10_000_000


async def test_a_client_that_goes_leaves_nothing(rig: Rig, raw: Raw) -> None:
    """A client that vanishes in a transfer neither breaks it nor stays."""
    for number in itertools.count():
        if number == 5:
            break
        client = Raw(await websockets.connect(rig.url))
        session = await client.page(rig.page().target)
        await client.start("Runtime.evaluate", {"expression": "new Promise(() => {})", "awaitPromise": True}, session)
        closing = asyncio.create_task(rig.shut(drain_s=0.2))
        with contextlib.suppress(websockets.ConnectionClosed):
            client.socket.transport.abort()
        await closing
        await rig.open()
    await until(lambda: rig.gate.statistics().clients == 1)
    infos = await rig.connection.call("Target.getTargets")
    assert json.dumps(infos)
    assert len(rig.connection._hooks) <= 2
