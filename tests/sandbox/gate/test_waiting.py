"""Clients whose commands wait, and clients that know of epochs: what goes on at the return, and what is stale."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import websockets

from sandbox.gate import WhileHeld
from sandbox.words import THE_AGENT, Epoch
from tests.sandbox.gate.rig import Raw, Refused, until

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")

ACT = {"expression": "acts++"}


@pytest_asyncio.fixture(loop_scope="session")
async def patient(rig: Rig) -> AsyncIterator[Raw]:
    """A client that waits while a human has control."""
    rig.while_held = WhileHeld.WAIT
    client = Raw(await websockets.connect(rig.url, max_size=None, compression=None))
    yield client
    await client.close()


async def sent(client: Raw) -> None:
    """Everything the client sent so far has been received."""
    await client.call("Baton.describe")


async def test_reads_wait_and_acts_are_stale(rig: Rig, site: Site, patient: Raw) -> None:
    """At the return reads that waited are answered in order, from what is there now; what would act is refused."""
    session = await patient.page(rig.page().target)
    await rig.shut()
    answered: list[str] = []
    replies = []

    def note(name: str, _reply: object) -> None:
        answered.append(name)

    for name, method, params in (
        ("first", "DOM.getDocument", {}),
        ("act", "Runtime.evaluate", ACT),
        ("standing", "Runtime.addBinding", {"name": "b"}),
        ("second", "Page.getFrameTree", {}),
    ):
        reply = await patient.start(method, params, session)
        reply.add_done_callback(partial(note, name))
        replies.append(reply)
    await sent(patient)
    assert answered == []
    await rig.goto(site.here + "/two")
    rig.written.clear()
    await rig.open()
    first, act, standing, second = await asyncio.wait_for(asyncio.gather(*replies), 5)

    assert first["result"]["root"]["documentURL"] == second["result"]["frameTree"]["frame"]["url"] == site.here + "/two"
    for refused in (act, standing):
        assert refused["error"]["code"] == -32010
        assert "look again" in refused["error"]["message"]
    assert answered.index("first") < answered.index("second")
    assert await rig.js("acts") == 0
    assert not any(b"acts++" in w or b"addBinding" in w for w in rig.written)
    await patient.call("Runtime.evaluate", ACT, session)
    assert await rig.js("acts") == 1


async def test_refusing_and_waiting_clients_side_by_side(rig: Rig, patient: Raw) -> None:
    """Each connection has its own behaviour; what the table refuses is refused at once for both."""
    rig.while_held = WhileHeld.REFUSE
    hasty = Raw(await websockets.connect(rig.url))
    await rig.shut()
    waiting = await patient.start("Browser.getVersion")
    with pytest.raises(Refused, match="Ann has control"):
        await hasty.call("Browser.getVersion")
    with pytest.raises(Refused, match="end or harm"):
        await patient.call("Browser.crash")
    assert not waiting.done()
    await rig.open()
    assert (await waiting)["result"]["protocolVersion"]
    await hasty.close()


async def test_waiting_is_bounded(rig: Rig, patient: Raw) -> None:
    """A client that goes on sending is told so; what waited before is answered all the same."""
    await rig.shut()
    waiting = [await patient.start("Browser.getVersion") for _ in range(1000)]
    with pytest.raises(Refused, match="1000 commands") as refusal:
        await patient.call("Browser.getVersion")
    assert refusal.value.code == -32029
    await rig.open()
    replies = await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert all("result" in reply for reply in replies)


async def test_what_waits_is_bounded_in_bytes(rig: Rig, patient: Raw) -> None:
    """A few large commands are as many as a thousand small ones."""
    await rig.shut()
    large = {"expression": "x" * 1_500_000}
    waiting = [await patient.start("Runtime.evaluate", large) for _ in range(2)]
    with pytest.raises(Refused, match="3000"):
        await patient.call("Runtime.evaluate", large)
    await rig.open()
    assert all(reply["error"]["code"] == -32010 for reply in await asyncio.gather(*waiting))


async def test_a_client_that_goes_takes_its_waiting_commands_along(rig: Rig, patient: Raw) -> None:
    """Nothing of a client that left is sent at the return."""
    await rig.shut()
    await patient.start("Browser.getVersion")
    await sent(patient)
    await patient.close()
    await until(lambda: rig.gate.statistics().clients == 0)
    rig.written.clear()
    await rig.open()
    assert not any(b"getVersion" in w for w in rig.written)


async def test_nothing_is_stale_where_the_agent_kept_control(rig: Rig, patient: Raw) -> None:
    """Where only the server was away, control never left the agent: what waited goes on, acts too."""
    session = await patient.page(rig.page().target)
    rig.fence.shut()
    await rig.gate.close(0)
    waiting = await patient.start("Runtime.evaluate", ACT, session)
    await sent(patient)
    await rig.gate.open(lambda: rig.fence.push(THE_AGENT, rig.fence.epoch, 2000.0))
    assert "result" in await waiting
    assert await rig.js("acts") == 1


async def with_epoch(client: Raw, epoch: object, method: str, params: dict[str, Any], session: str) -> dict[str, Any]:
    """Send a command with an epoch of the client's choice; returns the whole reply."""
    number = next(client._next)
    future = client._replies[number] = asyncio.get_running_loop().create_future()
    message = {"id": number, "method": method, "params": params, "sessionId": session, "batonEpoch": epoch}
    await client.socket.send(json.dumps(message))
    reply: dict[str, Any] = await asyncio.wait_for(future, 5)
    return reply


async def test_exact_fencing(rig: Rig, raw: Raw) -> None:
    """A command that says its epoch passes only under exactly this one, and Chromium never sees the field."""
    session = await raw.page(rig.page().target)
    epoch = (await raw.call("Baton.getControl"))["epoch"]
    rig.written.clear()
    assert "result" in await with_epoch(raw, epoch, "Runtime.evaluate", ACT, session)
    assert any(b"acts++" in w for w in rig.written)
    assert not any(b"batonEpoch" in w for w in rig.written)
    refused = rig.fence.statistics().refused
    for stale in (epoch - 1, epoch + 1):
        assert (await with_epoch(raw, stale, "Runtime.evaluate", ACT, session))["error"]["code"] == -32010
    assert rig.fence.statistics().refused == refused + 2
    for unreadable in ("1", 1.5, True, [epoch]):
        await raw.socket.send(json.dumps({"id": 1, "method": "Browser.getVersion", "batonEpoch": unreadable}))
    await until(lambda: len([e for e in raw.events if e.get("error", {}).get("code") == -32602]) == 4)
    assert await rig.js("acts") == 1


async def test_exact_fencing_while_held(rig: Rig, patient: Raw) -> None:
    """Decided before the human: stale at once. Decided while the human has control: stale at the return, reads too."""
    session = await patient.page(rig.page().target)
    before = rig.fence.epoch
    await rig.shut()
    reply = await with_epoch(patient, before, "DOM.getDocument", {}, session)
    assert reply["error"]["code"] == -32010
    late = asyncio.create_task(with_epoch(patient, rig.fence.epoch, "DOM.getDocument", {}, session))
    await sent(patient)
    await rig.open()
    assert (await late)["error"]["code"] == -32010
    assert "result" in await with_epoch(patient, rig.fence.epoch, "DOM.getDocument", {}, session)


async def test_control_is_told_to_those_who_asked(rig: Rig, raw: Raw) -> None:
    """`Baton.controlChanged` comes where `Baton.enable` was sent, once for each epoch, the last behind what changed."""
    other = Raw(await websockets.connect(rig.url))
    session = await raw.page(rig.page().target)
    await raw.call("Page.enable", {}, session)
    await raw.call("Page.getFrameTree", {}, session)
    await raw.call("Baton.enable", {}, session)
    await raw.call("Baton.enable", {}, session)
    first = rig.fence.epoch
    await rig.shut()
    await until(lambda: len(raw.named("Baton.controlChanged", session)) == 2)
    assert (await raw.call("Baton.getControl"))["holder"]["name"] == "Ann"
    await rig.js("history.pushState({}, '', '/pushed')")
    rig.fence.shut()
    await rig.open()
    await until(lambda: len(raw.named("Baton.controlChanged", session)) == 3)

    told = raw.named("Baton.controlChanged")
    assert [(t["holder"]["side"], t["epoch"], t["since"]) for t in told] == [
        ("nobody", first + 1, 1000.0),
        ("operator", first + 2, 1000.0),
        ("agent", first + 3, 2000.0),
    ]
    names = [e["method"] for e in raw.events if e.get("sessionId") == session]
    assert names.index("Page.navigatedWithinDocument") < len(names) - 1 - names[::-1].index("Baton.controlChanged")
    await raw.call("Baton.disable", {}, session)
    await rig.shut()
    await rig.open()
    await sent(other)
    assert len(raw.named("Baton.controlChanged")) == 3
    assert other.named("Baton.controlChanged") == []
    await other.close()


async def test_events_of_other_parts(rig: Rig, raw: Raw) -> None:
    """What other parts of the sandbox tell and answer goes through the gate too."""
    session = await raw.page(rig.page().target)
    await raw.call("Baton.enable", {}, session)

    async def blockers(target: str | None, params: dict[str, Any]) -> dict[str, Any]:
        return {"target": target, **params}

    rig.gate.offer("Baton.getBlockers", blockers)
    rig.gate.announce("Baton.blockerDetected", {"findings": []}, rig.page().target)
    rig.gate.announce("Baton.blockerDetected", {"findings": [1]}, "another page")

    assert await raw.call("Baton.getBlockers", {"x": 1}, session) == {"target": rig.page().target, "x": 1}
    assert raw.named("Baton.blockerDetected", session) == [{"findings": []}]


async def test_acts_are_heard(rig: Rig, raw: Raw) -> None:
    """The hook for those who count what the agent does hears acts that were sent, and neither reads nor refusals."""
    session = await raw.page(rig.page().target)
    heard: list[tuple[str | None, str, dict[str, Any]]] = []
    rig.gate.shared.on_command = lambda *command: heard.append(command)
    await raw.call("DOM.getDocument", {}, session)
    await raw.call("Runtime.evaluate", ACT, session)
    await rig.shut()
    with pytest.raises(Refused):
        await raw.call("Runtime.evaluate", ACT, session)
    assert heard == [(rig.page().target, "Runtime.evaluate", ACT)]
    assert rig.fence.epoch > Epoch(0)
