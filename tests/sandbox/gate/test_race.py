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

from sandbox.authority import Action, Verdict
from sandbox.gate import WhileHeld
from sandbox.words import NOBODY, THE_AGENT, Epoch, Holder, StaleEpoch
from tests.sandbox.gate.rig import ANN, Raw, Refused, until

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


async def test_the_last_check_knows_whose_turn_it_is(rig: Rig, raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server is lost between the gate's look at the switch and its last step, nothing is sent either."""
    session = await raw.page(rig.page().target)
    permit = rig.authority.permit

    def meanwhile(action: Action) -> Verdict:
        rig.fence.shut()
        return permit(action)

    monkeypatch.setattr(rig.authority, "permit", meanwhile)
    rig.written.clear()
    reply = await (await raw.start("Runtime.evaluate", {"expression": f"acts++{MARK}"}, session))

    assert reply["error"]["code"] == -32009
    assert not any(MARK.encode() in w for w in rig.written)


async def test_the_switch_answers_before_the_last_step(rig: Rig, raw: Raw) -> None:
    """While a human has control a command gets no further than the switch: the authority is not even asked."""
    await rig.shut()
    rig.authority.actions.clear()
    with pytest.raises(Refused, match="Ann has control of this sandbox since"):
        await raw.call("Browser.getVersion")
    assert rig.authority.actions == []


async def test_a_new_holder_alone_does_not_open(rig: Rig, raw: Raw) -> None:
    """Where the agent is the holder again and the gate has not been opened, everything is still refused."""
    await rig.shut()
    rig.fence.push(THE_AGENT, Epoch(rig.fence.epoch + 100), 0.0)
    with pytest.raises(Refused, match="just coming back"):
        await raw.call("Browser.getVersion")
    rig.fence.push(NOBODY, Epoch(rig.fence.epoch + 1), 0.0)


async def test_a_reply_never_reaches_the_agent_while_a_human_has_control(rig: Rig, raw: Raw) -> None:
    """A human who gets control while the gate still drains ends the draining: replies are dropped from then on."""
    session = await raw.page(rig.page().target)
    params = {"expression": "new Promise(r => window.later = r)", "awaitPromise": True}
    answer = await raw.start("Runtime.evaluate", params, session)
    await until(lambda: any(b"window.later" in w for w in rig.written))
    rig.fence.push(NOBODY, Epoch(rig.fence.epoch + 100), 0.0)
    closing = asyncio.create_task(rig.gate.close(5))
    await asyncio.sleep(0)
    rig.fence.push(ANN, Epoch(rig.fence.epoch + 1), 0.0)
    await rig.js("later('seen while Ann drove')")
    await closing
    await raw.call("Baton.describe")
    assert not answer.done()
    assert rig.gate.statistics().dropped == 1


async def test_no_event_reaches_the_agent_while_a_human_has_control(rig: Rig, raw: Raw) -> None:
    """What happens in the page is the human's alone."""
    session = await raw.page(rig.page().target)
    await raw.call("Runtime.enable", {}, session)
    await rig.shut()
    raw.events.clear()
    await rig.js("console.log('seen while Ann drove')")
    await raw.call("Baton.describe")
    assert raw.events == []


async def test_a_command_with_an_epoch_of_another_time(rig: Rig, raw: Raw) -> None:
    """What a client decided under another epoch is refused although it has control."""
    session = await raw.page(rig.page().target)
    params = {"expression": f"acts++{MARK}"}
    message = {"id": 777, "method": "Runtime.evaluate", "params": params, "sessionId": session, "batonEpoch": 0}
    rig.written.clear()
    await raw.socket.send(json.dumps(message))
    answer = await until(lambda: [e for e in raw.events if e.get("id") == 777])
    assert answer[0]["error"]["code"] == -32010
    assert not any(MARK.encode() in w for w in rig.written)


async def test_what_waited_is_judged_as_of_its_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that would act and waited for control is stale by its epoch, before the authority is asked."""
    rig.while_held = WhileHeld.WAIT
    client = Raw(await websockets.connect(rig.url))
    session = await client.page(rig.page().target)
    await rig.shut()
    waiting = await client.start("Runtime.evaluate", {"expression": f"acts++{MARK}"}, session)
    await client.call("Baton.describe")
    rig.authority.actions.clear()
    await rig.open()
    assert (await waiting)["error"]["code"] == -32010
    assert rig.authority.actions == []
    await client.close()


async def test_an_approval_is_used_only_under_its_epoch(rig: Rig, raw: Raw) -> None:
    """Nothing is performed while a human has control, whatever was approved."""
    session = await raw.page(rig.page().target)

    async def state(_target: str) -> str:
        return "as it was"

    rig.gate.shared.page_state = state
    ask = {"method": "Runtime.evaluate", "params": {"expression": f"acts++{MARK}"}, "reason": "to press it"}
    approval = (await raw.call("Baton.requestApproval", ask, session))["approval"]
    rig.authority.approvals[approval]["state"] = "approved"
    await rig.shut()
    with pytest.raises(Refused, match="Ann has control"):
        await raw.call("Baton.perform", {"approval": approval}, session)
    assert rig.authority.approvals[approval]["state"] == "approved"
    await rig.open()


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
