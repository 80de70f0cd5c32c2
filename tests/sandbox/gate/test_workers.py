"""Service workers: an agent neither makes one nor leaves its code running in one while a human has control."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.gate.rig import Raw, Refused, until

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")

AUTO = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
REGISTER = (
    "void navigator.serviceWorker.register('/worker.js').then(r => r.update(), e => { window.failed = e.message })"
)
ASK = """new Promise(async done => {
  const { active } = await navigator.serviceWorker.ready;
  navigator.serviceWorker.onmessage = e => done(e.data);
  active.postMessage('?'); setTimeout(done, 3000, 'no answer') })"""
FORGET = (
    "navigator.serviceWorker.getRegistrations().then(all => Promise.all(all.map(r => r.unregister()))).then(() => 1)"
)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("Fetch.fulfillRequest", {"responseCode": 200, "body": base64.b64encode(b"self.kept = 'mine'").decode()}),
        ("Fetch.continueRequest", {"url": "http://127.0.0.1:1/worker.js"}),
    ],
)
async def test_an_agent_makes_no_service_worker(rig: Rig, raw: Raw, method: str, params: dict[str, Any]) -> None:
    """A worker's script comes from its site: it would go on intercepting what the human's pages load."""
    session = await raw.page(rig.page().target)
    await raw.call("Fetch.enable", {"patterns": [{"urlPattern": "*/worker.js"}]})
    await raw.call("Runtime.evaluate", {"expression": REGISTER}, session)
    request = (await until(lambda: raw.named("Fetch.requestPaused")))[0]["requestId"]
    with pytest.raises(Refused, match="would outlive its control"):
        await raw.call(method, {"requestId": request, **params})
    await raw.call("Fetch.continueRequest", {"requestId": request})
    assert await rig.js(ASK) == "by the site"
    await raw.call("Fetch.disable")
    await rig.js(FORGET)


async def test_code_in_a_service_worker_ends_with_control(rig: Rig, raw: Raw) -> None:
    """A worker in which the agent ran code is stopped at the close; the human meets the site's own."""
    session = await raw.page(rig.page().target)
    await raw.call("Target.setAutoAttach", AUTO)
    await raw.call("Runtime.evaluate", {"expression": REGISTER}, session)
    assert await rig.js(ASK) == "by the site"
    worker = next(
        e["params"]["sessionId"] for e in raw.events
        if e.get("method") == "Target.attachedToTarget" and e["params"]["targetInfo"]["type"] == "service_worker"
    )  # fmt: skip
    await raw.call("Runtime.evaluate", {"expression": "self.kept = 'by the agent'"}, worker)
    assert await rig.js(ASK) == "by the agent"
    await rig.shut()

    assert await rig.js(ASK) == "by the site"
    with pytest.raises(Refused, match="Ann has control"):
        await raw.call("Runtime.evaluate", {"expression": "self.kept = 'by the agent'"}, worker)
    await rig.open()
    await rig.js(FORGET)
