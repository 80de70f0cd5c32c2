"""One command that an operator approves is sent as it was asked for, once, to the page it was asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.gate.rig import Raw, Refused, until

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = {"method": "Runtime.evaluate", "params": {"expression": "acts++"}, "reason": "to pay", "timeoutS": 60}


@pytest.fixture
def states(rig: Rig) -> dict[str, str]:
    """What each page means, as the test says: target → digest; the same for all where it says nothing."""
    said: dict[str, str] = {}

    async def state(target: str) -> str:
        return said.get(target, "as it was")

    rig.gate.shared.page_state = state
    return said


async def asked(rig: Rig, raw: Raw, session: str, **other: Any) -> str:
    """Ask, and approve as an operator does; returns the approval's id."""
    answer = await raw.call("Baton.requestApproval", {**ASK, **other}, session)
    assert answer["state"] == "pending"
    rig.authority.approvals[answer["approval"]]["state"] = "approved"
    return str(answer["approval"])


@pytest.mark.usefixtures("states")
async def test_approved_and_performed(rig: Rig, raw: Raw, site: Site) -> None:
    """What was asked is what is sent; the answer is the command's own; it works once."""
    session = await raw.page(rig.page().target)
    approval = await asked(rig, raw, session)
    known = rig.authority.approvals[approval]
    assert known | {"id": "", "state": ""} == {
        "id": "", "state": "", "target": rig.page().target, "url": site.here + "/", "title": "One",
        "method": ASK["method"], "params": ASK["params"], "reason": "to pay", "page_state": "as it was",
        "epoch": rig.fence.epoch, "timeout_s": 60.0, "client": "client-1",
    }  # fmt: skip
    assert (await raw.call("Baton.getApproval", {"approval": approval}, session))["state"] == "approved"
    rig.gate.approval_decided(approval, {"state": "approved"})
    await until(lambda: raw.named("Baton.approvalDecided", session))
    assert raw.named("Baton.approvalDecided") == [{"approval": approval, "state": "approved"}]

    result = await raw.call("Baton.perform", {"approval": approval, "params": {"expression": "acts += 100"}}, session)
    assert result["result"]["value"] == 0
    assert await rig.js("acts") == 1
    with pytest.raises(Refused, match="it was used"):
        await raw.call("Baton.perform", {"approval": approval}, session)
    assert await rig.js("acts") == 1


@pytest.mark.usefixtures("states")
async def test_not_approved_is_not_performed(rig: Rig, raw: Raw) -> None:
    """Pending, unknown, on another session's page, or what no agent may do: nothing is sent."""
    session = await raw.page(rig.page().target)
    pending = (await raw.call("Baton.requestApproval", ASK, session))["approval"]
    with pytest.raises(Refused, match="is pending"):
        await raw.call("Baton.perform", {"approval": pending}, session)
    with pytest.raises(Refused, match="no command waits"):
        await raw.call("Baton.perform", {"approval": "ap_x"}, session)
    with pytest.raises(Refused, match="approval is missing"):
        await raw.call("Baton.perform", {}, session)
    with pytest.raises(Refused, match="on a CDP session of the page"):
        await raw.call("Baton.perform", {"approval": await asked(rig, raw, session)})
    with pytest.raises(Refused, match="cannot be approved"):
        await raw.call("Baton.requestApproval", {**ASK, "method": "Browser.crash"}, session)
    wrong: list[dict[str, Any]] = [{"method": 1}, {"params": []}, {"reason": None}, {"timeoutS": "1"}]
    for bad in wrong:
        with pytest.raises(Refused):
            await raw.call("Baton.requestApproval", {**ASK, **bad}, session)
    assert await rig.js("acts") == 0


@pytest.mark.usefixtures("states")
@pytest.mark.parametrize(
    "method", ["Baton.approve", "Baton.approvalDecided", "Baton.decideApproval", "approval.decided", "approval.use"]
)
async def test_an_agent_cannot_approve_its_own_request(rig: Rig, raw: Raw, method: str) -> None:
    """Over CDP no message decides: neither what the agent is told by, nor what server and keeper say to each other."""
    session = await raw.page(rig.page().target)
    pending = (await raw.call("Baton.requestApproval", ASK, session))["approval"]
    said = {"approval": pending, "state": "approved", "decision": {"state": "approved"}, "page_state": "as it was"}
    for where in (session, None):
        with pytest.raises(Refused):
            await raw.call(method, said, where)
    with pytest.raises(Refused, match="is pending"):
        await raw.call("Baton.perform", {**said, "approval": pending}, session)
    assert rig.authority.approvals[pending]["state"] == "pending"
    assert await rig.js("acts") == 0


async def test_bound_to_the_pages_state(rig: Rig, raw: Raw, states: dict[str, str]) -> None:
    """Where the page means something else, before the approval is used or while it is, nothing is sent."""
    session = await raw.page(rig.page().target)
    approval = await asked(rig, raw, session)
    states[rig.page().target] = "another form"
    with pytest.raises(Refused, match="page has changed"):
        await raw.call("Baton.perform", {"approval": approval}, session)

    approval = await asked(rig, raw, session)
    use = rig.authority.use_approval

    async def meanwhile(approval: str, page_state: str) -> dict[str, Any]:
        states[rig.page().target] = "changed again"
        return await use(approval, page_state)

    rig.authority.use_approval = meanwhile  # type: ignore[method-assign]
    with pytest.raises(Refused, match="changed while its approval was being used"):
        await raw.call("Baton.perform", {"approval": approval}, session)
    assert await rig.js("acts") == 0


@pytest.mark.usefixtures("states")
async def test_a_take_over_while_it_is_used(rig: Rig, raw: Raw) -> None:
    """Control that goes to a human and comes back while the server is asked voids it."""
    session = await raw.page(rig.page().target)
    approval = await asked(rig, raw, session)
    use, reached, go = rig.authority.use_approval, asyncio.Event(), asyncio.Event()

    async def slow(approval: str, page_state: str) -> dict[str, Any]:
        reached.set()
        await go.wait()
        return await use(approval, page_state)

    rig.authority.use_approval = slow  # type: ignore[method-assign]
    performing = await raw.start("Baton.perform", {"approval": approval}, session)
    await reached.wait()
    await rig.shut()
    await rig.open()
    go.set()
    assert (await performing)["error"]["code"] == -32010
    assert await rig.js("acts") == 0


async def test_without_a_state_nothing_is_approved(rig: Rig, raw: Raw) -> None:
    """A sandbox that cannot say what a page means does not ask."""
    session = await raw.page(rig.page().target)
    with pytest.raises(Refused, match="cannot tell a page's state") as refusal:
        await raw.call("Baton.requestApproval", ASK, session)
    assert refusal.value.code == -32050


async def test_a_handoff_may_wait_longer(rig: Rig, raw: Raw) -> None:
    """The agent says how many seconds from now; what is no such number is refused here."""
    session = await raw.page(rig.page().target)
    handoff = (await raw.call("Baton.requestHandoff", {"kind": "captcha"}, session))["handoffId"]
    answer = await raw.call("Baton.extendHandoff", {"handoffId": handoff, "timeoutS": 600}, session)
    assert (answer["handoffId"], answer["deadline_at"]) == (handoff, 600)
    for bad in (0, -1, "600", None, True):
        with pytest.raises(Refused, match="timeoutS is missing"):
            await raw.call("Baton.extendHandoff", {"handoffId": handoff, "timeoutS": bad}, session)
    with pytest.raises(Refused, match="handoffId is missing"):
        await raw.call("Baton.extendHandoff", {"timeoutS": 600}, session)
