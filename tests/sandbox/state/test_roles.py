"""Roles and names, compared with what Chromium's own accessibility tree says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sandbox.state.roles import FIELDS, REPORTED
from sandbox.state.worlds import Worlds

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGE = """
<span id=l1>First</span><span id=l2>name</span>
<input aria-labelledby="l1 l2"><input aria-label="By label"><label for=f>For label</label><input id=f>
<label>Around <input type=email> it</label><input placeholder=Holder><input title=Titled>
<input type=search aria-label=S><input type=number aria-label=N><input type=range aria-label=R>
<input type=submit><input type=reset value=Clear>
<input type=button value=Push><input type=image alt=Picture src=><input type=hidden name=h>
<label><input type=checkbox> Tick</label><label><input type=radio> Choose</label>
<label>Pick <select><option>A</select></label><select multiple aria-label=Many><option>B</select>
<textarea aria-label=Area></textarea><div contenteditable role=textbox aria-label=Rich>typed</div>
<button>Press <b>me</b></button><button aria-label=Close>x</button><button><img alt=Icon src=></button>
<a href=/a>A link</a><a>No link</a><h2>Head <em>line</em></h2><div role=heading aria-level=3>Made</div>
<img alt="A cat" src=><img alt="" src=><div role=alert>Careful</div><output>42</output>
<div role=button tabindex=0>Div button</div><div role=checkbox aria-checked=true tabindex=0>Custom</div>
<details><summary>More</summary></details><div role=tab tabindex=0>Tab one</div>
<button style="visibility:hidden">Unseen</button><button hidden>Unseen</button>
<div aria-hidden=true><a href=/b>For eyes only</a></div>
"""
CHROMIUM = {"ComboBoxSelect": "combobox", "ListBox": "listbox", "DisclosureTriangle": "button", "image": "img"}


async def test_roles_and_names_are_those_of_the_browser(tester: Any) -> None:
    """For every element of a page with one of everything."""
    await tester.open(PAGE)
    tree = await tester.call("Accessibility.getFullAXTree")
    theirs = {}
    for each in tree["nodes"]:
        of_role = each.get("role", {}).get("value", "")
        of_role = CHROMIUM.get(of_role, of_role)
        if of_role == "option" or (of_role == "img" and not each["name"]["value"]):
            continue  # choices are values of their select; a picture without a name says nothing
        if not each["ignored"] and of_role in REPORTED and each.get("backendDOMNodeId"):
            theirs[each["backendDOMNodeId"]] = (of_role, each.get("name", {}).get("value", "").strip())
    worlds = Worlds(tester.pages)
    frames, _ = await worlds.frames(tester.page, 5)
    options = {"nodes": 20_000, "bytes": 1_000_000, "longest": 400, "keys": 10}
    seen = await worlds.look(frames[0], options, 5)
    ours = Counter((each[0], each[1]) for each in seen["elements"] if each[0] in REPORTED)
    # What is hidden from assistive technology is there for eyes, and so for the human.
    assert ours.pop(("link", "For eyes only")) == 1
    spoken = {pair for pair in ours if pair[0] in {"alert", "status"}}
    assert {k: v for k, v in ours.items() if k not in spoken} == {
        k: v for k, v in Counter(theirs.values()).items() if k[0] not in {"alert", "status"}
    }
    # A live region's name is its text: that is what appears when it appears.
    assert sorted(spoken) == [("alert", "Careful"), ("status", "42")]
    assert {of_role for of_role, _ in ours} >= FIELDS - {"switch", "file"}
