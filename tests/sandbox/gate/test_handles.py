"""Handles of before: those whose element is still there go on working, the others are refused and never a no-op."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.gate.handles import Elements, Handles, named
from tests.sandbox.gate.rig import Raw, Refused, until

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLICK = "function() { this.click(); return 'clicked' }"
TWO_BUTTONS = "document.body.insertAdjacentHTML('beforeend', '<button id=b onclick=acts++>B</button>')"


async def element(raw: Raw, session: str, expression: str = "document.querySelector('button')") -> str:
    """An object id."""
    return str((await raw.call("Runtime.evaluate", {"expression": expression}, session))["result"]["objectId"])


async def backend_id(raw: Raw, session: str, object_id: str) -> int:
    """A backend node id."""
    return int((await raw.call("DOM.describeNode", {"objectId": object_id}, session))["node"]["backendNodeId"])


async def click(raw: Raw, session: str, object_id: str) -> Any:
    """Click by script, as a silent no-op would go unnoticed."""
    params = {"objectId": object_id, "functionDeclaration": CLICK, "returnByValue": True}
    return (await raw.call("Runtime.callFunctionOn", params, session))["result"]["value"]


async def away(rig: Rig, *expressions: str, url: str | None = None) -> None:
    """Let Ann change the page."""
    await rig.shut()
    for expression in expressions:
        await rig.js(expression)
    if url is not None:
        await rig.goto(url)
    await rig.open()


@pytest.mark.parametrize("enabled", [True, False])
async def test_what_stayed_works_and_what_left_is_refused(rig: Rig, raw: Raw, enabled: bool) -> None:
    """In a document that stayed, the element that is still there is clicked; the one that left is refused."""
    session = await raw.page(rig.page().target)
    if enabled:
        await raw.call("Runtime.enable", {}, session)
    await rig.js(TWO_BUTTONS)
    stays = await element(raw, session)
    leaves = await element(raw, session, "document.querySelector('#b')")
    plain = await element(raw, session, "({})")
    await away(rig, "document.querySelector('#b').remove()", "acts = 0")

    with pytest.raises(Refused, match="left the page while a human had control") as refusal:
        await click(raw, session, leaves)
    assert refusal.value.code == -32010
    assert json.loads(refusal.value.data or "")["error"] == "StaleHandle"
    passed = {
        "functionDeclaration": "function(e) { e.click() }", "objectId": plain, "arguments": [{"objectId": leaves}],
    }  # fmt: skip
    with pytest.raises(Refused, match="left the page"):
        await raw.call("Runtime.callFunctionOn", passed, session)
    assert await rig.js("acts") == 0
    assert await click(raw, session, stays) == "clicked"
    assert await rig.js("acts") == 1
    assert rig.opened is not None
    assert rig.opened.stale.to_wire() == {"handles": 0, "documents": [], "all": False}


@pytest.mark.parametrize("origin", ["here", "other"])
async def test_a_document_that_went_takes_its_handles_along(rig: Rig, raw: Raw, site: Site, origin: str) -> None:
    """After a navigation, in the same process or another, each kind of handle is refused, and new ones work."""
    session = await raw.page(rig.page().target)
    target, before = rig.page().target, rig.page().url
    await raw.call("DOM.enable", {}, session)
    root = (await raw.call("DOM.getDocument", {}, session))["root"]["nodeId"]
    node = (await raw.call("DOM.querySelector", {"nodeId": root, "selector": "button"}, session))["nodeId"]
    handle = await element(raw, session)
    backend = await backend_id(raw, session, handle)
    await away(rig, url=getattr(site, origin) + "/two")

    assert rig.opened is not None
    assert rig.opened.stale.to_wire() == {"handles": 1, "documents": [{"target": target, "url": before}], "all": True}
    for method, params in (
        ("Runtime.callFunctionOn", {"objectId": handle, "functionDeclaration": CLICK}),
        ("DOM.getBoxModel", {"backendNodeId": backend}),
        ("DOM.focus", {"nodeId": node}),
        ("DOM.pushNodesByBackendIdsToFrontend", {"backendNodeIds": [backend]}),
    ):
        with pytest.raises(Refused, match="left the page") as refusal:
            await raw.call(method, params, session)
        assert refusal.value.code == -32010
    again = await element(raw, session)
    assert await click(raw, session, again) == "clicked"
    assert await raw.call("DOM.getBoxModel", {"backendNodeId": await backend_id(raw, session, again)}, session)
    assert await rig.js("acts") == 1


async def test_order_is_kept_behind_a_look(rig: Rig, raw: Raw) -> None:
    """Commands behind one whose handle is looked at are sent behind it."""
    session = await raw.page(rig.page().target)
    handle = await element(raw, session)
    await away(rig)
    add = {"functionDeclaration": "function() { window.seen = (window.seen || '') + 'a' }", "objectId": handle}
    replies = [await raw.start("Runtime.callFunctionOn", add, session)]
    for letter in "bcd":
        expression = f"window.seen = (window.seen || '') + '{letter}'"
        replies.append(await raw.start("Runtime.evaluate", {"expression": expression}, session))
    for reply in replies:
        assert "result" in await reply
    assert await rig.js("seen") == "abcd"


async def test_a_transfer_during_a_look(rig: Rig, raw: Raw) -> None:
    """What waits for a look when control changes hands is refused; the look itself is of no consequence."""
    session = await raw.page(rig.page().target)
    handle = await element(raw, session)
    await away(rig)
    replies = [await raw.start("Runtime.callFunctionOn", {"objectId": handle, "functionDeclaration": CLICK}, session)]
    replies.append(await raw.start("Runtime.evaluate", {"expression": "acts++"}, session))
    await until(lambda: any(b"isConnected" in w for w in rig.written))
    await rig.shut()
    await rig.open()
    assert await rig.js("acts") in {0, 1, 2}
    assert len([await reply for reply in replies]) == 2
    assert await click(raw, session, handle) == "clicked"


async def test_a_file_chooser_of_an_input_that_is_nowhere(rig: Rig, raw: Raw) -> None:
    """A chooser opened after the return by an input that is in no document can be answered."""
    session = await raw.page(rig.page().target)
    await raw.call("Page.enable", {}, session)
    await raw.call("Page.setInterceptFileChooserDialog", {"enabled": True}, session)
    await away(rig)
    expression = "window.chosen = document.createElement('input'), chosen.type = 'file', chosen.click()"
    await raw.call("Runtime.evaluate", {"expression": expression, "userGesture": True}, session)
    opened = await until(lambda: raw.named("Page.fileChooserOpened", session))
    (rig.uploads / "id.txt").write_text("mine")
    params = {"files": ["id.txt"], "backendNodeId": opened[0]["backendNodeId"]}
    await raw.call("DOM.setFileInputFiles", params, session)
    assert await rig.js("chosen.files.length") == 1


async def test_what_was_released_is_not_counted() -> None:
    """Elements that a client let go of are none it holds; large replies give none."""
    elements = Elements()
    reply = b'{"id":1,"result":{"result":{"type":"object","subtype":"node","className":"A","objectId":"1.2.%d"}}}'
    for number in range(3):
        elements.given(reply % number)
    elements.given(b'{"id":1,"result":{"result":{"type":"object","objectId":"1.2.9"}}}')
    elements.given((reply % 7) + b" " * 70_000)
    elements.released({"objectId": "1.2.1"})
    assert len(elements) == 2
    assert elements.clear() == 2
    assert len(elements) == 0


async def test_names() -> None:
    """Handles are found wherever a command may name one; what is not one is not taken for one."""
    params: dict[str, Any] = {
        "objectId": "a", "backendNodeId": 3, "backendNodeIds": [4, "x"], "nodeId": 9,
        "arguments": [{"objectId": "b"}, {"value": 1}, 7, {"objectId": 5}],
    }  # fmt: skip
    assert set(named(params)) == {"a", "b", 3, 4}
    assert list(named({"objectId": 1, "backendNodeId": "3", "arguments": "a", "backendNodeIds": 4})) == []


async def test_new_handles_are_not_looked_at() -> None:
    """An object given since the return is known by its number; one looked at is not looked at again."""
    handles = Handles(replaced=False)
    assert handles.doubtful("Runtime.callFunctionOn", {"objectId": "1.2.8"}) == ["1.2.8"]
    handles.given("Runtime.evaluate", b'{"id":1,"result":{"result":{"type":"object","objectId":"1.2.7"}}}')
    assert handles.doubtful("Runtime.callFunctionOn", {"objectId": "1.2.8"}) == []
    assert handles.doubtful("Runtime.callFunctionOn", {"objectId": "1.2.6"}) == ["1.2.6"]
    assert handles.doubtful("Runtime.callFunctionOn", {"objectId": "1.3.8"}) == ["1.3.8"]
    assert handles.doubtful("Runtime.releaseObject", {"objectId": "1.3.8"}) == []
    handles.good("1.3.8")
    assert handles.doubtful("Runtime.callFunctionOn", {"objectId": "1.3.8"}) == []
