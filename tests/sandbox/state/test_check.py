"""Conditions on real pages."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sandbox.words import BadRequest

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAGE = """
<p id=shown>Welcome   back,<br>Bob</p><p id=hidden style="display:none">Not yet</p>
<div id=host></div><script>
  document.cookie = 'sid=1'; localStorage.token = '1'; sessionStorage.step = '2';
  host.attachShadow({mode: 'open'}).innerHTML = '<b class=deep>Deep text</b>';
</script>
"""


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"url": "http://127.0.0.1:*/page?step=2#end"}, True),
        ({"url": "http://127.0.0.1:*/page"}, False),
        ({"selector": "#shown"}, True),
        ({"selector": "#hidden"}, False),
        ({"selector": "#hidden", "state": "present"}, True),
        ({"selector": "#hidden", "state": "gone"}, True),
        ({"selector": "#shown", "state": "gone"}, False),
        ({"selector": "#nowhere", "state": "present"}, False),
        ({"selector": ".deep"}, True),
        ({"selector": ":::"}, False),
        ({"not": {"selector": ":::"}}, False),
        ({"text": "welcome back, bob"}, True),
        ({"text": "Not yet"}, False),
        ({"text": "Deep text"}, True),
        ({"text": "In the frame"}, True),
        ({"selector": "#inner"}, True),
        ({"cookie": "sid"}, True),
        ({"cookie": "other"}, False),
        ({"storage": "token"}, True),
        ({"storage": "step"}, True),
        ({"storage": "none"}, False),
        ({"status": 200}, True),
        ({"status": [404, "2xx"]}, True),
        ({"status": "4xx"}, False),
        ({"status": 200, "url": "*/page*"}, True),
        ({"status": 200, "url": "*/account"}, False),
        ({"predicate": "document.querySelectorAll('p').length > 1"}, True),
        ({"predicate": "document.fonts.ready"}, False),
        ({"predicate": "document.title === 'Paid'"}, False),
        ({"predicate": "shown.remove()"}, False),
        ({"not": {"predicate": "document.title = 'Paid'"}}, False),
        ({"predicate": "throw 1"}, False),
        ({"not": {"predicate": "nowhere.at.all"}}, False),
        ({"predicate": "globalThis.__baton !== undefined"}, False),
    ],
)
async def test_each_kind_of_condition(shared: Any, condition: dict[str, Any], met: bool) -> None:
    """Met and unmet, in the page, its shadow roots and its frames."""
    if not shared.page.url.endswith("#end"):
        shared.site.pages["/inner"] = "<!doctype html><p id=inner>In the frame"
        address = shared.site.url("/inner", "localhost")
        await shared.open(PAGE + f"<iframe src={address}></iframe>")
        await shared.go(shared.site.url("/page?step=2#end"))
        await shared.until(lambda: len(shared.page.frames) == 1)
    answer = await shared.room.check(condition)
    assert answer["met"] is met, answer
    assert len(answer["parts"]) == 1
    assert all(part["why"] for part in answer["parts"])


async def test_a_hanging_page_holds_nothing_and_costs_two_seconds(alone: Any) -> None:
    """Every part is answered within the deadline; the URL and the cookies are still known."""
    await alone.open("<p>Welcome</p><script>document.cookie = 'sid=1'</script>")
    alone.room._pages.connection.forward(
        {"id": 0, "method": "Runtime.evaluate", "params": {"expression": "for(;;);"}, "sessionId": alone.page.session},
        lambda _raw: None,
    )
    started = time.monotonic()
    answer = await alone.room.check(
        {"all": [{"text": "Welcome"}, {"not": {"selector": "#x"}}, {"url": "*/page"}, {"cookie": "sid"}]}
    )
    assert time.monotonic() - started < 2.5
    assert answer["met"] is False
    assert [part["met"] for part in answer["parts"]] == [None, None, True, True]
    assert "did not answer" in answer["parts"][0]["why"]
    started = time.monotonic()
    await alone.room.mark("h")
    answer = await alone.room.diff("h")
    assert time.monotonic() - started < 6
    assert answer["diff"]["left_out"]["silent_tabs"] == [alone.page.target]
    assert "did not answer" in answer["text"]


async def test_a_condition_may_name_its_tab(tester: Any) -> None:
    """The tab the handoff is about may be another than the active one, or closed."""
    tester.site.pages["/popup"] = "<!doctype html><p>Popup"
    await tester.open("<p>First")
    first = tester.page.target
    await tester.run("void window.open('/popup')")
    await tester.until(lambda: len(tester.pages.all) == 2)
    assert (await tester.room.check({"text": "First", "target": first}))["met"]
    answer = await tester.room.check({"text": "First", "target": "nowhere"})
    assert not answer["met"]
    assert "closed" in answer["parts"][0]["why"]
    with pytest.raises(BadRequest, match="target"):
        await tester.room.check({"text": "First", "target": 7})


@pytest.mark.parametrize(
    "expression", ["(() => { for (;;); })()", "location.href = '/elsewhere'", "'x'.repeat(2 ** 40)"]
)
async def test_a_predicate_that_misbehaves_says_so(shared: Any, expression: str) -> None:
    """One that hangs, navigates or asks for all memory is not true, and neither is its contrary; the page stays."""
    await shared.open("<p id=here>Here</p>")
    answer = await shared.room.check({"predicate": expression})
    assert answer["met"] is False
    assert answer["parts"][0]["why"]
    assert (await shared.room.check({"not": {"predicate": expression}}))["met"] is False
    assert (await shared.room.check({"selector": "#here"}))["met"] is True


async def test_a_page_that_redefines_everything_is_judged_all_the_same(shared: Any) -> None:
    """What page scripts do to the language and to the document does not reach the worlds of conditions."""
    await shared.open(
        "<p id=here>Here</p><script>JSON.stringify = () => { throw 1 }; Array.prototype.map = () => [];"
        "document.querySelector = () => null; Document.prototype.querySelectorAll = () => [];"
        "Object.defineProperty(document, 'title', {get: () => 'Paid'}); performance.getEntriesByType = () => [];"
        "</script>"
    )
    for condition in ({"selector": "#here"}, {"text": "here"}, {"status": 200}):
        assert (await shared.room.check(condition))["met"] is True, condition
    predicate = "document.querySelector('#here') && document.querySelectorAll('p').length == 1 && [1].map(x => x)[0]"
    assert (await shared.room.check({"predicate": predicate}))["met"] is True
    assert (await shared.room.check({"predicate": "document.title === 'Paid'"}))["met"] is False


async def test_a_predicate_that_hangs_does_not_hold_up_who_works_there(shared: Any) -> None:
    """While it is watched live it is tried once in a document; at Done, and in the next document, again."""
    await shared.open("<p>Here")
    hangs = {"predicate": "(() => { for (;;); })()"}
    await shared.room.mark("h")
    said = [(await shared.room.check(hangs, live=live))["parts"][0]["why"] for live in (True, True, False)]
    assert ["tried again" in why for why in said] == [False, True, False]
    await shared.open("<p>There", path="/there")
    assert "tried again" not in (await shared.room.check(hangs, live=True))["parts"][0]["why"]


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("(() => { throw new Error(document.title) })()", "the test threw"),
        ("(() => { throw new (({[document.title]: class extends Error {}})[document.title])() })()", "uses what might"),
        ("x y", "the test cannot be read"),
        ("1); document.title; (1", "the test cannot be read"),
        ("1)); document.title; ((1", "a promise"),
        ("document.fonts.ready", "a promise"),
        ("fetch('/')", "would have changed"),
        ("document.title", "the test is true"),
    ],
)
async def test_why_a_predicate_does_not_hold_quotes_no_page(shared: Any, expression: str, why: str) -> None:
    """Neither what it throws nor what it returns leaves the keeper."""
    await shared.open("<p>Here")
    [part] = (await shared.room.check({"predicate": expression}))["parts"]
    assert why in part["why"]
    assert "A page" not in part["why"]


FIELDS = "<form><input id=user><input id=password type=password></form><p>Here"
PRYING: list[dict[str, Any]] = [
    *({"selector": f"input[value^={char}]", "state": "present"} for char in "abcdefghijklmnopqrstuvwxyz"),
    {"selector": "input:placeholder-shown"}, {"predicate": "document.querySelector('#password').value[0] === 'h'"},
    {"predicate": "document.querySelector('[value^=h]')"}, {"not": {"predicate": "password.value.length < 5"}},
]  # fmt: skip


async def test_no_part_tells_what_stands_in_a_secret_field(tester: Any) -> None:
    """In no kind of handoff, however many parts ask, also where the page writes values into attributes."""
    await tester.open(FIELDS)
    await tester.run("password.addEventListener('input', () => password.setAttribute('value', password.value))")
    empty = await tester.room.check({"any": PRYING})
    assert all(part["met"] is not None for part in empty["parts"][:-2]), empty
    await tester.type("#password", "hunter2")
    answer = await tester.room.check({"any": PRYING})
    assert {part["met"] for part in answer["parts"]} == {None}
    assert {part["why"] for part in answer["parts"]} == {answer["parts"][0]["why"]}
    assert not answer["met"]
    assert (await tester.room.check({"selector": "#password"}))["met"] is True


async def test_nothing_looks_into_fields_while_all_that_is_typed_is_secret(tester: Any) -> None:
    """Whatever the field; what the page shows besides is judged."""
    await tester.open(FIELDS + "<div contenteditable id=note></div>")
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    await tester.type("#user", "bob")
    await tester.type("#note", "hunter2")
    answer = await tester.room.check({"all": [*PRYING, {"text": "hunter"}, {"text": "here"}]})
    assert [part["met"] for part in answer["parts"]] == [*[None] * len(PRYING), False, True]
    await tester.room.blank_secrets()
    assert (await tester.room.check({"predicate": "user.value === ''"}))["met"] is True


async def test_what_the_page_took_out_of_a_field_is_not_asked_for_either(tester: Any) -> None:
    """No field is filled any more, but in a secret lease the page may have put what was typed anywhere."""
    await tester.open(FIELDS)
    await tester.run("user.addEventListener('input', () => { document.title += user.value; user.value = '' })")
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    await tester.type("#user", "bob")
    [part] = (await tester.room.check({"predicate": "document.title.includes('b')"}))["parts"]
    assert (part["met"], "what is typed now is secret" in part["why"]) == (None, True)
