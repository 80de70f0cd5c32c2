"""Snapshots of pages that are hostile, large, nested or in motion."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sandbox.state.diff import is_empty

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


async def test_a_page_that_redefines_everything_cannot_lie_or_break_it(tester: Any) -> None:
    """Globals and prototypes of the page are not those that Baton uses."""
    await tester.open(
        "<h1>Bank</h1><label>Amount <input id=amount></label><script>"
        "const lie = () => { throw new Error('lie') };"
        "window.JSON = { stringify: lie, parse: lie };"
        "for (const name of ['map', 'push', 'filter', 'includes', Symbol.iterator]) Array.prototype[name] = lie;"
        "document.querySelector = document.querySelectorAll = Document.prototype.querySelectorAll = lie;"
        "Element.prototype.getBoundingClientRect = Element.prototype.checkVisibility = lie;"
        "Object.prototype.toJSON = lie; window.WeakMap = window.WeakSet = window.Set = lie;"
        "window.__baton = { scan: lie };"
        "Object.defineProperty(document, 'title', { get: lie });"
        "Object.defineProperty(HTMLInputElement.prototype, 'value', { get: () => 'forged', set: lie });"
        "</script><input id=p type=password aria-label=Password>"
    )
    await tester.room.mark("h")
    await tester.run("amount.focus()")
    await tester.call("Input.insertText", {"text": "100"})
    await tester.run("p.focus()")
    await tester.call("Input.insertText", {"text": "hunter22"})
    answer = await tester.room.diff("h")
    fields = [(each["label"], each.get("after"), each.get("change")) for each in answer["diff"]["fields"]]
    assert fields == [("Amount", "100", None), ("Password", None, "filled")]
    assert (await tester.room.check({"all": [{"selector": "h1"}, {"text": "Bank"}]}))["met"]
    await tester.until(lambda: tester.masks)
    assert await tester.room.blank_secrets() == 1


async def test_a_page_cannot_put_its_elements_in_the_place_of_properties(tester: Any) -> None:
    """Named forms and inputs answer for properties of the document and of the form, in every world."""
    names = (
        "querySelector",
        "querySelectorAll",
        "title",
        "readyState",
        "evaluate",
        "body",
        "documentElement",
        "cookie",
    )
    inputs = ("lastChild", "firstChild", "nodeType", "localName", "getAttribute", "previousSibling", "checkVisibility")
    await tester.open(
        "".join(f"<img name={name}>" for name in names)
        + "<form name=querySelectorAll>"
        + "".join(f"<input type=hidden name={name}>" for name in (*inputs, "parentNode", "shadowRoot", "textContent"))
        + "<label>Sum <input id=sum></label><input type=password aria-label=Word></form><h1>Bank</h1>"
    )
    await tester.room.mark("h")
    await tester.run("sum.focus()")
    await tester.call("Input.insertText", {"text": "100"})
    changed = (await tester.room.diff("h"))["diff"]
    assert [(each["label"], each["after"]) for each in changed["fields"]] == [("Sum", "100")]
    assert changed["left_out"] == {}
    assert (changed["url"]["after"], changed["url"]["title"]) == (tester.site.url("/page"), "A page")


async def test_a_page_that_never_stops_navigating_is_answered_for(alone: Any) -> None:
    """What is found is one of its documents, or a tab that is silent; nothing hangs and nothing is raised."""
    alone.site.pages["/spin"] = (
        "<!doctype html><title>Spin</title><h1>Spinning</h1><script>"
        "setTimeout(() => location.replace('/spin?' + Math.random()), 15)</script>"
    )
    await alone.open("<h1>Still</h1>")
    await alone.room.mark("h")
    await alone.go(alone.site.url("/spin"))
    for _ in range(2):
        changed = (await alone.room.diff("h"))["diff"]
        assert changed["left_out"].get("silent_tabs") or changed["tabs"]["navigated"][0]["to"].endswith("/spin")
        assert changed["url"]["after"] == alone.site.url("/spin")


@pytest.mark.full
async def test_a_page_of_200000_nodes_is_bounded(alone: Any) -> None:
    """It is looked at within the bounds, says what was left out, and what is within them is compared."""
    row = "<div><a href=/i>Item</a><span>Price</span><button>Buy</button><input aria-label=Count value=1></div>"
    await alone.open(
        f"<h1>Big</h1><label>Note <input id=note></label><script>document.write(`{row}`.repeat(25000))</script>"
    )
    await alone.room.mark("h")
    await alone.type("#note", "seen")
    started = time.perf_counter()
    answer = await alone.room.diff("h")
    assert time.perf_counter() - started < 10
    assert [(each["label"], each["after"]) for each in answer["diff"]["fields"]] == [("Note", "seen")]
    assert answer["diff"]["left_out"]["nodes"] > 150_000
    assert "Left out: " in answer["text"]


async def test_fields_of_shadow_roots_and_of_frames_are_listed(tester: Any) -> None:
    """A component, a frame of the same origin and one of another, each by its label and frame."""
    inner = "<!doctype html><label>{} <input id=inner></label>"
    tester.site.pages["/same"], tester.site.pages["/other"] = inner.format("Same"), inner.format("Other")
    other = tester.site.url("/other", "localhost")
    await tester.open(
        f"<div id=host></div><iframe src=/same></iframe><iframe src='{other}?q=1'></iframe><script>"
        "window.root = host.attachShadow({mode: 'open'}); root.innerHTML = '<label>Deep <input></label>'</script>"
    )
    await tester.until(lambda: len(tester.page.frames) == 1)
    frame = next(iter(tester.page.frames))
    await tester.until(lambda: tester.run("document.readyState === 'complete' && !!window.inner", frame))
    await tester.room.mark("h")
    await tester.run("root.querySelector('input').value = '1'; frames[0].document.querySelector('input').value = '2'")
    await tester.run("document.querySelector('input').value = '3'", frame)
    fields = (await tester.room.diff("h"))["diff"]["fields"]
    assert [(each["frame"], each["label"], each["after"]) for each in fields] == [
        ("", "Deep", "1"),
        (tester.site.url("/same"), "Same", "2"),
        (other, "Other", "3"),
    ]


async def test_a_page_redrawn_the_same_has_not_changed(tester: Any) -> None:
    """New nodes with the same roles, names and values are no change; what is filled in stays matched by its place."""
    await tester.open("<main><h1>List</h1><a href=/x>One</a><a href=/y>Two</a><label>Q <input value=a></label></main>")
    changed = await tester.change(
        "const m = document.querySelector('main'), h = m.innerHTML; m.innerHTML = ''; m.innerHTML = h"
    )
    assert is_empty(changed), changed


async def test_a_reload_is_told_and_a_change_of_the_query_too(tester: Any) -> None:
    """Handles to elements are stale after either, so the agent must know."""
    await tester.open("<h1>Here</h1>")
    page = tester.site.url("/page")
    await tester.room.mark("h")
    await tester.go(page)
    changed = (await tester.room.diff("h"))["diff"]
    assert changed["tabs"]["reloaded"] == [{"tab": tester.page.target, "url": page}]
    assert changed["elements"] == {"added": [], "removed": [], "changed": []}
    await tester.room.mark("h")
    await tester.go(page + "?page=2")
    changed = (await tester.room.diff("h"))["diff"]
    assert changed["tabs"]["navigated"] == [
        {"tab": tester.page.target, "from": page, "to": page, "title": "A page", "only": "query or fragment"}
    ]


async def test_downloads_dialogs_and_what_is_under_way_are_listed(tester: Any) -> None:
    """What the keeper noted between mark and diff, and the timers a page declares."""
    await tester.open("<meta http-equiv=refresh content='900'><p>Wait")
    tester.room.note_dialog("confirm", "https://before.example", True)
    await tester.room.mark("h")
    tester.room.note_download("report.pdf", "inProgress", 10)
    tester.room.note_download("old.pdf", "completed", 20)
    tester.room.note_download("report.pdf", "inProgress", 30)
    tester.room.note_dialog("alert", "https://a.example/?q=1", False)
    changed = (await tester.room.diff("h"))["diff"]
    assert changed["downloads"] == [
        {"name": "report.pdf", "state": "inProgress", "size": 30},
        {"name": "old.pdf", "state": "completed", "size": 20},
    ]
    assert changed["dialogs"] == [{"kind": "alert", "origin": "https://a.example/", "accepted": False}]
    assert [(each["kind"], each["what"]) for each in changed["unfinished"]][1:] == [("download", "report.pdf")]
    assert changed["unfinished"][0]["kind"] == "timer"


async def test_without_a_mark_the_diff_says_so(tester: Any) -> None:
    """Where the sandbox is now is told; what changed is not made up."""
    await tester.open("<h1>Here</h1>")
    answer = await tester.room.diff("never")
    assert answer["diff"]["no_snapshot_before"] is True
    assert answer["diff"]["url"]["after"] == tester.site.url("/page")
    assert "no snapshot before" in answer["text"]
    assert answer["images"]["before"] == ""


async def test_a_page_beyond_the_bounds_says_what_was_left_out(tester: Any) -> None:
    """Twenty thousand nodes are looked at; the rest is counted."""
    await tester.open("<script>document.write('<i>x</i>'.repeat(15000))</script>")
    await tester.room.mark("h")
    changed = (await tester.room.diff("h"))["diff"]
    assert changed["left_out"]["nodes"] > 10_000


async def test_a_large_page_is_compared_quickly(tester: Any, capsys: Any) -> None:
    """Prints the time of two snapshots and a diff of 5,000 elements; the machine decides, so nothing is asserted."""
    row = (
        "<div class=row><a href=/i>Item</a><span>Price</span><button>Buy</button><input aria-label=Count value=1></div>"
    )
    await tester.open(f"<script>document.write(`{row}`.repeat(1000))</script>")
    times = []
    for _ in range(3):
        started = time.perf_counter()
        await tester.room.mark("h")
        middle = time.perf_counter()
        answer = await tester.room.diff("h")
        times.append((middle - started, time.perf_counter() - middle))
    assert is_empty(answer["diff"])
    mark, diff = min(times, key=sum)
    with capsys.disabled():
        print(f"\n5,000 elements: mark {mark * 1000:.0f} ms, diff {diff * 1000:.0f} ms")  # noqa: T201 - for whoever reads the test run


async def test_an_empty_frame_stores_nothing_of_its_own(tester: Any) -> None:
    """It shares the storage of its page, which is told once, under the page's origin."""
    await tester.open("<iframe></iframe>")
    await tester.room.mark("h")
    await tester.run("localStorage.setItem('kept', '1')")
    added = (await tester.room.diff("h"))["diff"]["storage"]["added"]
    assert [(each["origin"], each["key"]) for each in added] == [(tester.site.url(""), "kept")]
