"""The state room on real pages."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.state.diff import is_empty

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

FORM = """
<h1>Sign in</h1>
<form onsubmit="return false">
  <label>User <input id=user name=user></label>
  <label>Password <input id=password type=password></label>
  <label><input id=stay type=checkbox> Stay signed in</label>
  <label for=lang>Language</label><select id=lang><option>English<option>Deutsch</select>
  <textarea id=note aria-label=Note>first</textarea>
  <button>Go on</button>
</form>
<p id=hint>Please <b>sign in</b>.</p>
"""


async def test_an_unchanged_page_has_an_empty_diff(tester: Any) -> None:
    """What nobody touched has not changed."""
    await tester.open(FORM)
    marked = await tester.room.mark("h")
    answer = await tester.room.diff("h")
    assert marked == {"url": tester.site.url("/page"), "title": "A page"}
    assert is_empty(answer["diff"]), answer["diff"]
    assert answer["diff"]["unfinished"] == []
    assert answer["diff"]["left_out"] == {}
    assert "Nothing changed" in answer["text"]
    assert answer["images"]["before"]
    assert answer["images"]["after"]


async def test_what_a_human_does_in_a_form_is_listed_by_label(tester: Any) -> None:
    """Text, tick, choice and several lines of text: before and after."""
    await tester.open(FORM)
    await tester.room.mark("h")
    await tester.type("#user", "bob")
    await tester.run("stay.click(); lang.selectedIndex = 1; note.value = 'second'")
    changed = (await tester.room.diff("h"))["diff"]
    tab = tester.page.target
    assert changed["fields"] == [
        {"tab": tab, "frame": "", "label": "User", "role": "textbox", "before": "", "after": "bob"},
        {
            "tab": tab,
            "frame": "",
            "label": "Stay signed in",
            "role": "checkbox",
            "before": "unchecked",
            "after": "checked",
        },
        {"tab": tab, "frame": "", "label": "Language", "role": "combobox", "before": "English", "after": "Deutsch"},
        {"tab": tab, "frame": "", "label": "Note", "role": "textbox", "before": "first", "after": "second"},
    ]
    assert changed["elements"] == {"added": [], "removed": [], "changed": []}


async def test_elements_are_listed_by_role_and_name(tester: Any) -> None:
    """An alert and a picture appear, a button goes, a heading is renamed."""
    await tester.open(FORM)
    changed = await tester.change(
        "document.body.insertAdjacentHTML('beforeend', '<div role=alert>Wrong <b>code</b></div><img alt=Cat src=>');"
        "document.querySelector('button').remove(); document.querySelector('h1').textContent = 'Code'"
    )
    tab = tester.page.target
    assert changed["elements"] == {
        "added": [{"role": "alert", "name": "Wrong code", "tab": tab}, {"role": "img", "name": "Cat", "tab": tab}],
        "removed": [{"role": "button", "name": "Go on", "tab": tab}],
        "changed": [{"role": "heading", "before": "Sign in", "after": "Code", "tab": tab}],
    }
    assert changed["fields"] == []


async def test_cookies_and_storage_are_listed_by_name_only(tester: Any) -> None:
    """Names say what changed; no value is anywhere."""
    await tester.open(FORM)
    await tester.run("document.cookie = 'old=1'; document.cookie = 'kept=1'; localStorage.a = 'alpha'")
    await tester.room.mark("h")
    await tester.run(
        "document.cookie = 'old=; max-age=0'; document.cookie = 'kept=valuetwo'; document.cookie = 'sid=valueone';"
        "localStorage.a = 'omega'; sessionStorage.token = 'valuethree'"
    )
    answer = await tester.room.diff("h")
    changed = answer["diff"]
    origin = tester.site.url("")
    assert [each["name"] for each in changed["cookies"]["added"]] == ["sid"]
    assert [each["name"] for each in changed["cookies"]["removed"]] == ["old"]
    assert [each["name"] for each in changed["cookies"]["changed"]] == ["kept"]
    assert changed["storage"] == {
        "added": [{"origin": origin, "area": "session", "key": "token"}],
        "removed": [],
        "changed": [{"origin": origin, "area": "local", "key": "a"}],
    }
    assert "value" not in str(changed) + answer["text"]
    assert '"sid" (127.0.0.1)' in answer["text"]


async def test_tabs_opened_closed_and_navigated_are_listed_without_queries(tester: Any) -> None:
    """A popup opens, the first page navigates; nothing behind the question mark is shown."""
    tester.site.pages["/next"] = "<!doctype html><title>Next</title><h1>Welcome</h1>"
    tester.site.pages["/popup"] = "<!doctype html><title>Popup</title>"
    await tester.open(FORM)
    first = tester.page.target
    await tester.room.mark("h")
    await tester.go(tester.site.url("/next?token=querysecret#fragmentsecret"))
    await tester.run("void window.open('/popup?ticket=querysecret')")
    await tester.until(lambda: len(tester.pages.all) == 2 and tester.page.url.endswith("querysecret"))
    await tester.until(lambda: tester.run("document.readyState === 'complete'"))
    answer = await tester.room.diff("h")
    changed = answer["diff"]
    assert changed["tabs"]["navigated"] == [
        {"tab": first, "from": tester.site.url("/page"), "to": tester.site.url("/next"), "title": "Next"}
    ]
    assert changed["tabs"]["opened"] == [
        {"tab": tester.page.target, "url": tester.site.url("/popup"), "title": "Popup"}
    ]
    assert changed["url"] == {"before": tester.site.url("/page"), "after": tester.site.url("/popup"), "title": "Popup"}
    assert "querysecret" not in str(answer)
    assert "fragmentsecret" not in str(answer)
    await tester.room.mark("h")
    popup = tester.page.target
    await tester.pages.connection.call("Target.closeTarget", {"targetId": popup})
    await tester.until(lambda: len(tester.pages.all) == 1)
    changed = (await tester.room.diff("h"))["diff"]
    assert [each["tab"] for each in changed["tabs"]["closed"]] == [popup]


async def test_blanking_empties_what_is_secret_and_nothing_else(tester: Any) -> None:
    """The password field is emptied with one input event, the name stays."""
    await tester.open(FORM)
    await tester.run("window.seen = []; addEventListener('input', e => seen.push(e.target.id), true)")
    await tester.type("#user", "bob")
    await tester.type("#password", "hunter22")
    assert await tester.room.blank_secrets() == 1
    assert await tester.run("[user.value, password.value, seen.join()]") == ["bob", "", "user,password,password"]
    assert await tester.room.blank_secrets() == 0


async def test_a_condition_is_checked_on_the_active_page(tester: Any) -> None:
    """Each part says whether it holds and why."""
    await tester.open(FORM)
    answer = await tester.room.check({"all": [{"url": "*/page"}, {"selector": "#gone", "state": "visible"}]})
    assert answer["met"] is False
    assert [part["met"] for part in answer["parts"]] == [True, False]
