"""The switch itself: drain, unknown outcomes, refusals, the tree of CDP sessions, asking for a human."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import websockets

from sandbox.authority import Answer, Verb, Verdict
from sandbox.words import NOBODY, THE_AGENT, Conflict, Epoch, HandoffId, StaleEpoch
from tests.sandbox.gate.rig import ANN, Raw, Refused, until, until_async

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_refusal_names_the_holder(rig: Rig, raw: Raw) -> None:
    """While Ann drives a command is refused at once with the code, who holds control since when, and what to do."""
    await rig.shut()

    with pytest.raises(
        Refused, match=r"Ann has control of this sandbox since 00:16:40 UTC\. Nothing was done\. Wait"
    ) as refusal:
        await raw.call("Browser.getVersion")
    assert refusal.value.code == -32009
    assert json.loads(refusal.value.data or "")["holder"] == "Ann"
    assert json.loads(refusal.value.data or "")["epoch"] == rig.fence.epoch
    assert rig.gate.statistics().refused == 1


async def test_nothing_flows_while_shut(rig: Rig, raw: Raw) -> None:
    """Events of the time a human drives never reach the client, neither then nor later."""
    session = await raw.page(rig.page().target)
    for method in ("Page.enable", "Runtime.enable", "Network.enable", "DOM.enable"):
        await raw.call(method, {}, session)
    await rig.shut()
    raw.events.clear()
    await rig.js("console.log('said in private'); fetch('/data?private').then(r => 1)")
    await rig.js("document.title = 'private'")
    assert raw.events == []
    await rig.open()
    await raw.call("Baton.describe")

    assert "private" not in json.dumps([e for e in raw.events if not e["method"].startswith("Target.")])
    fresh = await raw.page(rig.page().target)
    await raw.call("Runtime.enable", {}, fresh)
    await raw.call("Log.enable", {}, fresh)
    assert raw.named("Runtime.consoleAPICalled", fresh) == []


async def test_drain_lets_commands_finish(rig: Rig, raw: Raw) -> None:
    """A command in flight that answers within the drain is answered, and its outcome is known."""
    session = await raw.page(rig.page().target)
    expression = "new Promise(r => setTimeout(r, 200, 5))"
    answer = await raw.start("Runtime.evaluate", {"expression": expression, "awaitPromise": True}, session)
    await until(lambda: raw and any(b"setTimeout(r, 200" in w for w in rig.written))

    assert await rig.shut(drain_s=3) == ()
    assert (await answer)["result"]["result"]["value"] == 5


async def test_unknown_outcome(rig: Rig, raw: Raw) -> None:
    """What does not answer in time is reported and its client told; its real reply is dropped, and nothing wedges."""
    session = await raw.page(rig.page().target)
    expression = "new Promise(r => window.later = r)"
    answer = await raw.start("Runtime.evaluate", {"expression": expression, "awaitPromise": True}, session)
    await until(lambda: any(b"window.later" in w for w in rig.written))
    unknown = await rig.shut(drain_s=0.05)

    assert [(u.client, u.method, u.target) for u in unknown] == [("client-1", "Runtime.evaluate", rig.page().target)]
    assert 0 <= unknown[0].sent_ms_ago < 5000
    assert unknown[0].to_wire()["method"] == "Runtime.evaluate"
    assert (await answer)["error"]["message"].startswith("Outcome unknown: Runtime.evaluate was sent ")
    await rig.js("later('late')")
    await rig.open()
    assert (await raw.call("Runtime.evaluate", {"expression": "1 + 1"}, session))["result"]["value"] == 2
    assert not [e for e in raw.events if "id" in e]
    assert rig.gate.statistics().unknown == 1


async def test_close_and_open_are_idempotent(rig: Rig, raw: Raw) -> None:
    """Closing or opening again changes nothing; closing while the agent holds control is refused."""
    with pytest.raises(Conflict, match="push the new holder"):
        await rig.gate.close(0)
    await rig.shut()
    assert await rig.gate.close(0) == ()
    await rig.open()
    assert (await rig.gate.open(lambda: None)).notes == ()
    assert await raw.call("Browser.getVersion")


async def test_stays_shut_where_the_push_fails(rig: Rig, raw: Raw, site: Site) -> None:
    """Where the agent cannot be made the holder, nothing is admitted and nothing of the agent's is armed."""
    session = await raw.page(rig.page().target)
    await raw.call("Page.enable", {}, session)
    await raw.call("Page.addScriptToEvaluateOnNewDocument", {"source": "window.planted = 1"}, session)
    await rig.shut()

    with pytest.raises(StaleEpoch):
        await rig.gate.open(lambda: rig.fence.push(THE_AGENT, Epoch(0), 0.0))
    with pytest.raises(Refused, match="Ann has control"):
        await raw.call("Browser.getVersion")
    await rig.goto(site.here + "/two")
    assert await rig.js("typeof planted") == "undefined"
    await rig.open()
    await rig.goto(site.here + "/")
    assert await rig.js("planted") == 1


async def test_shuts_with_the_fence(rig: Rig, raw: Raw) -> None:
    """The moment the fence gives control to somebody else nothing passes, before the gate is told to close."""
    rig.fence.push(NOBODY, Epoch(500), 1000.0)
    with pytest.raises(Refused, match="nobody has control of this sandbox since 00:16:40 UTC; a human is awaited"):
        await raw.call("Browser.getVersion")
    rig.fence.push(THE_AGENT, Epoch(501), 1000.0)
    with pytest.raises(Refused, match="control is just coming back"):
        await raw.call("Browser.getVersion")


async def test_commands_from_before_the_return_are_refused(rig: Rig, raw: Raw) -> None:
    """What a client pipelines while the gate is shut is refused even where the gate opens right behind it."""
    session = await raw.page(rig.page().target)
    await rig.shut()
    early = [await raw.start("Runtime.evaluate", {"expression": "acts++"}, session) for _ in range(50)]
    await until(lambda: rig.gate.statistics().refused >= 50)
    await rig.open()

    assert all("error" in reply for reply in await asyncio.gather(*early))
    assert await rig.js("acts") == 0


async def test_authority_is_asked(rig: Rig, raw: Raw) -> None:
    """Each command is judged by the authority with verb, method, target and epoch, and refused in its words."""
    session = await raw.page(rig.page().target)
    rig.authority.actions.clear()
    await raw.call("DOM.getDocument", {}, session)
    (action,) = rig.authority.actions
    assert (action.verb, action.method, action.target, action.epoch) == (
        Verb.READ,
        "DOM.getDocument",
        rig.page().target,
        rig.fence.epoch,
    )
    rig.authority.verdict = Verdict(Answer.REFUSE, "the budget is spent")

    with pytest.raises(Refused, match="the budget is spent"):
        await raw.call("Page.reload", {}, session)


@pytest.mark.parametrize(
    ("method", "params", "why"),
    [
        ("Target.sendMessageToTarget", {"message": "{}"}, "round the gate"),
        ("Target.exposeDevToolsProtocol", {"targetId": "x"}, "round the gate"),
        ("Target.setRemoteLocations", {"locations": []}, "nothing but the web"),
        ("Target.createBrowserContext", {"proxyServer": "http://x"}, "proxy"),
        ("Target.attachToTarget", {"targetId": "x"}, "flatten"),
        ("Target.createTarget", {"url": "file:///etc/passwd"}, "'file'"),
        ("Target.createTarget", {"url": "chrome://settings"}, "'chrome'"),
        ("Tracing.start", {}, "whoever drives"),
        ("IO.read", {"handle": "1"}, "the page's CDP session"),
        ("Extensions.loadUnpacked", {"path": "/"}, "extensions"),
        ("Browser.crash", {}, "end or harm"),
        ("Browser.getBrowserCommandLine", {}, "the machine"),
        ("SystemInfo.getInfo", {}, "the machine"),
        ("Tethering.bind", {"port": 9222}, "nothing but the web"),
        ("Foo.bar", {}, "wasn't found"),
        ("Baton.nonsense", {}, "Baton has describe, .*requestHandoff"),
    ],
)
async def test_refused_in_every_state(rig: Rig, raw: Raw, method: str, params: dict[str, object], why: str) -> None:
    """What nobody may do does not reach the browser even while the agent holds control."""
    rig.written.clear()

    with pytest.raises(Refused, match=why):
        await raw.call(method, params)
    assert rig.written == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        " FILE:///etc",
        "fi\tle:///etc",
        "javascript:1",
        "data:text/html,x",
        "view-source:http://x",
        "about:version",
        "chrome://version",
        "\x00file:///etc",
    ],
)
async def test_schemes(rig: Rig, raw: Raw, url: str) -> None:
    """Only http(s), about:blank and blob are opened."""
    session = await raw.page(rig.page().target)
    rig.written.clear()
    with pytest.raises(Refused, match="use http"):
        await raw.call("Page.navigate", {"url": url}, session)
    assert rig.written == []


async def test_privileged_targets_are_hidden(rig: Rig, raw: Raw) -> None:
    """The browser's own pages are neither told of nor reachable."""
    infos = (await raw.call("Target.getTargets"))["targetInfos"]
    own = [i["targetId"] for i in infos if i["type"] == "browser_ui"]
    await raw.call("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True})

    assert {t["targetInfo"]["type"] for t in raw.named("Target.attachedToTarget")} == {"page"}
    for target in own:
        with pytest.raises(Refused, match="belongs to the browser"):
            await raw.page(target)


async def test_foreign_sessions_are_unknown(rig: Rig, raw: Raw) -> None:
    """A client reaches neither Baton's CDP sessions nor those of another client, and hears none of their events."""
    other = Raw(await websockets.connect(rig.url))
    theirs = await other.page(rig.page().target)
    await other.call("Runtime.enable", {}, theirs)
    for session in (theirs, rig.page().session, "0" * 32):
        with pytest.raises(Refused, match="Session with given id not found") as refusal:
            await raw.call("Runtime.evaluate", {"expression": "1"}, session)
        assert refusal.value.code == -32001
    assert not [e for e in raw.events if e.get("sessionId") == theirs]
    await other.close()


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        '{"id": "1", "method": "x"}',
        '{"id": 1}',
        '{"id": true, "method": "x"}',
        '{"id": 1, "method": "x", "params": 3}',
        "[" * 100_000,
    ],
)
async def test_unreadable_messages(rig: Rig, raw: Raw, message: str) -> None:
    """What is not CDP is answered with an error, and the client goes on."""
    await raw.socket.send(message)
    assert await raw.call("Browser.getVersion")
    assert raw.events[0]["error"]["code"] == -32602


async def test_duplicate_keys_cannot_smuggle(rig: Rig, raw: Raw) -> None:
    """What the gate judged is what Chromium gets: a key given twice is sent once."""
    rig.written.clear()
    session = await raw.page(rig.page().target)
    await raw.socket.send(
        f'{{"id":900,"method":"Page.navigate","params":{{"url":"file:///etc","url":"about:blank"}},"sessionId":"{session}"}}'
    )
    await until(lambda: any(b"Page.navigate" in w for w in rig.written))
    assert not any(b"file:" in w for w in rig.written)


async def test_files_and_downloads(rig: Rig, raw: Raw) -> None:
    """Files are taken only from the sandbox's own directories, downloads go only there."""
    (rig.uploads / "id.txt").write_text("mine")
    (rig.uploads / "out").symlink_to("/etc")
    session = await raw.page(rig.page().target)
    await rig.js("document.body.innerHTML = '<input type=file>'")
    root = (await raw.call("DOM.getDocument", {}, session))["root"]["nodeId"]
    node = (await raw.call("DOM.querySelector", {"nodeId": root, "selector": "input"}, session))["nodeId"]
    await raw.call("DOM.setFileInputFiles", {"files": ["id.txt"], "nodeId": node}, session)
    assert await rig.js("document.querySelector('input').files[0].text()") == "mine"
    for bad in ("/etc/passwd", "../../etc/passwd", "out/passwd", 3, "a\0b"):
        with pytest.raises(Refused, match="uploads first"):
            await raw.call("DOM.setFileInputFiles", {"files": [bad], "nodeId": node}, session)
    drag = {"type": "drop", "x": 1, "y": 1, "data": {"items": [], "files": ["/etc/passwd"], "dragOperationsMask": 1}}
    with pytest.raises(Refused, match="uploads first"):
        await raw.call("Input.dispatchDragEvent", drag, session)
    rig.written.clear()
    for behavior in ("allow", "allowAndName", "default"):
        await raw.call("Browser.setDownloadBehavior", {"behavior": behavior, "downloadPath": "/etc"})
    sent = [json.loads(w[:-1])["params"] for w in rig.written]
    assert [(p["behavior"], p["downloadPath"]) for p in sent] == [
        ("allow", str(rig.downloads)),
        ("allowAndName", str(rig.downloads)),
        ("allow", str(rig.downloads)),
    ]


async def test_browser_close_is_leaving(rig: Rig, raw: Raw) -> None:
    """A client that closes the browser loses only its own connection, also while a human drives."""
    await rig.shut()
    assert await raw.call("Browser.close") == {}
    await asyncio.wait_for(raw.socket.wait_closed(), 5)
    assert await rig.js("1") == 1
    await until(lambda: rig.gate.statistics().clients == 0)


async def test_contexts_outlive_their_client(rig: Rig, raw: Raw) -> None:
    """A dropped connection does not close the pages of its contexts: a human may be working in them."""
    context = (await raw.call("Target.createBrowserContext", {"disposeOnDetach": True}))["browserContextId"]
    target = (await raw.call("Target.createTarget", {"url": "about:blank", "browserContextId": context}))["targetId"]
    await until(lambda: len(rig.pages.all) == 2)
    await raw.close()
    await until(lambda: rig.gate.statistics().clients == 0)

    assert target in [p.target for p in rig.pages.all]
    await rig.connection.call("Target.disposeBrowserContext", {"browserContextId": context})


async def test_asks_for_a_human(rig: Rig, raw: Raw, site: Site) -> None:
    """`Baton.requestHandoff` names the page of its CDP session; the others work whoever holds control."""
    session = await raw.page(rig.page().target)
    described = await raw.call("Baton.describe", {}, session)
    assert described == {
        "sandbox": "sb_test",
        "target": rig.page().target,
        "holder": {"side": "agent", "operator": None, "name": None},
        "epoch": rig.fence.epoch,
        "session": session,
    }
    params = {"kind": "captcha", "instructions": "Solve it", "condition": {"url": "*/two"}, "idempotencyKey": "k"}
    handoff = await raw.call("Baton.requestHandoff", params, session)
    (ask,) = rig.authority.asks
    assert (ask.target, ask.url, ask.params, ask.client) == (rig.page().target, site.here + "/", params, "client-1")
    await rig.shut()
    assert (await raw.call("Baton.describe"))["holder"]["name"] == "Ann"
    assert (await raw.call("Baton.getHandoff", {"handoffId": handoff["handoffId"]}))["state"] == "waiting"
    with pytest.raises(Refused, match="there is no handoff ho_x"):
        await raw.call("Baton.getHandoff", {"handoffId": "ho_x"})
    with pytest.raises(Refused, match="handoffId is missing"):
        await raw.call("Baton.cancelHandoff")
    assert (await raw.call("Baton.cancelHandoff", {"handoffId": handoff["handoffId"]}))["state"] == "cancelled"
    assert (await raw.call("Baton.requestHandoff", {"kind": "stuck"}))["handoffId"] == "ho_1"
    assert rig.authority.asks[1].target == rig.page().target
    await rig.open()
    await rig.gate.completed(HandoffId(handoff["handoffId"]), {"outcome": "resolved"})
    await until(lambda: raw.named("Baton.handoffCompleted", session))
    await rig.gate.completed(HandoffId("ho_1"), {"outcome": "resolved"})
    await until(lambda: len(raw.named("Baton.handoffCompleted")) == 2)
    assert "sessionId" not in raw.events[-1]


async def test_completed_finds_a_reconnected_client(rig: Rig, raw: Raw) -> None:
    """Where the CDP session that asked has gone, the event comes on the root; where nobody is left, nowhere."""
    session = await raw.page(rig.page().target)
    first = await raw.call("Baton.requestHandoff", {}, session)
    second = await raw.call("Baton.requestHandoff", {}, session)
    await raw.call("Target.detachFromTarget", {"sessionId": session})
    await rig.gate.completed(HandoffId(first["handoffId"]), {})
    await until(lambda: raw.named("Baton.handoffCompleted"))
    await raw.close()
    await until(lambda: rig.gate.statistics().clients == 0)
    await rig.gate.completed(HandoffId(second["handoffId"]), {})


async def test_agent_code_present(rig: Rig, raw: Raw, site: Site) -> None:
    """A page in which the agent ran code is known as such until it loads a document without it."""
    target = rig.page().target
    session = await raw.page(target)
    await raw.call("Page.enable", {}, session)
    await raw.call("DOM.getDocument", {}, session)
    assert not rig.gate.agent_code_present(target)
    await raw.call("Runtime.evaluate", {"expression": "1"}, session)
    assert rig.gate.agent_code_present(target)
    await rig.shut()
    assert rig.gate.agent_code_present(target)
    await rig.goto(site.here + "/two")
    assert not rig.gate.agent_code_present(target)
    await rig.open()
    await raw.call("Page.addScriptToEvaluateOnNewDocument", {"source": "window.x = 1"}, session)
    await rig.goto(site.here + "/")
    assert rig.gate.agent_code_present(target)


async def test_a_document_of_the_agents_making_is_its_code(rig: Rig, raw: Raw, site: Site) -> None:
    """A reload with a script, and a document the agent answered the request for, are known as such."""
    target = rig.page().target
    session = await raw.page(target)
    await raw.call("Page.enable", {}, session)
    await raw.call("Page.reload", {"scriptToEvaluateOnLoad": "window.mine = 1"}, session)
    await until(lambda: raw.named("Page.loadEventFired", session))
    assert await rig.js("mine") == 1
    assert rig.gate.agent_code_present(target)
    await rig.goto(site.here + "/two")
    assert not rig.gate.agent_code_present(target)

    await raw.call("Fetch.enable", {"patterns": [{"urlPattern": "*/made"}]}, session)
    await raw.start("Page.navigate", {"url": site.here + "/made"}, session)
    paused = await until(lambda: raw.named("Fetch.requestPaused", session))
    body = base64.b64encode(b"<script>window.mine = 2</script>").decode()
    made = {"requestId": paused[0]["requestId"], "responseCode": 200, "body": body}
    await raw.call("Fetch.fulfillRequest", made, session)
    await until_async(lambda: rig.js("window.mine === 2"))
    assert rig.gate.agent_code_present(target)
    await rig.goto(site.here + "/two")
    assert not rig.gate.agent_code_present(target)


async def test_compiled_code_is_refused(rig: Rig, raw: Raw) -> None:
    """An agent cannot put bytecode of its own in the place of a site's script."""
    session = await raw.page(rig.page().target)
    with pytest.raises(Refused, match="in place of a site's own"):
        await raw.call("Page.addCompilationCache", {"url": "http://127.0.0.1/a.js", "data": ""}, session)


async def test_several_clients(rig: Rig, raw: Raw, site: Site) -> None:
    """Two clients drive the same page, both are stopped, and both are told what changed."""
    other = Raw(await websockets.connect(rig.url))
    sessions = {}
    for client in (raw, other):
        sessions[client] = await client.page(rig.page().target)
        await client.call("Page.enable", {}, sessions[client])
        await client.call("Runtime.evaluate", {"expression": "acts++"}, sessions[client])
    await rig.shut()
    await rig.goto(site.here + "/two")
    await rig.open()
    for client in (raw, other):
        await client.call("Baton.describe")
        assert client.named("Page.frameNavigated")[-1]["frame"]["url"] == site.here + "/two"
    assert rig.gate.statistics().clients == 2
    assert "2" in repr(rig.gate)
    await other.close()


async def test_an_open_dialog_does_not_hold_up_the_close(rig: Rig, raw: Raw) -> None:
    """A page that stands still in a dialog answers nothing; closing and opening take a bounded time all the same."""
    session = await raw.page(rig.page().target)
    await raw.call("Page.enable", {}, session)
    await raw.call("Network.enable", {}, session)
    await raw.call("Runtime.addBinding", {"name": "b"}, session)
    await raw.call("Runtime.evaluate", {"expression": "void setTimeout(() => alert('hi'))"}, session)
    await until(lambda: raw.named("Page.javascriptDialogOpening"))
    started = asyncio.get_running_loop().time()
    await rig.shut(drain_s=0.1)
    with pytest.raises(Refused, match="Ann has control"):
        await raw.call("Page.handleJavaScriptDialog", {"accept": True}, session)
    await rig.pages.call(rig.page(), "Page.handleJavaScriptDialog", {"accept": True})
    await rig.open()
    assert asyncio.get_running_loop().time() - started < 5
    await until(lambda: raw.named("Page.javascriptDialogClosed"))
    assert rig.fence.holder != ANN


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("DOM.setFileInputFiles", {"files": 5}),
        ("Input.dispatchDragEvent", {"data": 5}),
        ("Input.dispatchDragEvent", {"data": {"files": ["\ud800"]}}),
        ("Target.createTarget", {"url": ["file:///etc"]}),
        ("Runtime.addBinding", {"name": [1]}),
        ("Runtime.evaluate", {"expression": ["\ud800"]}),
        ("Page.addScriptToEvaluateOnNewDocument", {"source": {}, "worldName": []}),
    ],
)
async def test_parameters_of_the_wrong_kind_are_refused(
    rig: Rig, raw: Raw, method: str, params: dict[str, Any]
) -> None:
    """Whatever stands where a name belongs is an error of that one command; the client goes on."""
    session = await raw.page(rig.page().target)
    with pytest.raises(Refused):
        await raw.call(method, params, session)
    assert (await raw.call("Browser.getVersion"))["protocolVersion"]
