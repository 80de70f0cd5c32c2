"""Secrets: never in a diff, a text, a log or a picture; masked while on the screen; blanked at the return."""

from __future__ import annotations

import base64
import io
import json
import logging
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sandbox.screen import Rect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

SECRET = "Xy7planted"
STYLE = """<style>body{margin:0;background:#fff}
input{position:absolute;left:100px;width:200px;height:40px;border:0;background:#0f0}</style>"""
LOGIN = f"""{STYLE}
<input id=user aria-label=User style="top:50px">
<input id=password type=password aria-label=Password style="top:150px">
<input id=code autocomplete=one-time-code aria-label=Answer style="top:250px">
<p id=mirror style="position:absolute;top:400px"></p>
"""


def pixels(jpeg: str | bytes) -> Any:
    """A JPEG as an array of RGB."""
    data = base64.b64decode(jpeg) if isinstance(jpeg, str) else jpeg
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def grey(picture: Any, x: int, y: int) -> bool:
    """Whether the picture is covered there."""
    return bool((abs(picture[y, x] - 128) < 12).all())


def covers(rects: tuple[Rect, ...], x: int, y: int) -> bool:
    """Whether a point lies in one of the rectangles."""
    return any(r.x <= x < r.x + r.width and r.y <= y < r.y + r.height for r in rects)


async def test_a_planted_secret_is_in_no_diff_text_log_or_picture(tester: Any, caplog: Any) -> None:
    """Typed into a password, a code and, in a secret lease, a plain field; mirrored, stored and named by the page."""
    caplog.set_level(logging.DEBUG)
    await tester.open(LOGIN)
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    for field in ("#user", "#password", "#code"):
        await tester.type(field, SECRET)
    await tester.run(
        "mirror.textContent = user.value; localStorage.kept = user.value; document.cookie = 'c=' + user.value;"
        "document.title = user.value; history.replaceState(0, '', '/page/' + user.value + '?' + user.value)"
    )
    await tester.until(lambda: tester.masks and len(tester.masks[-1]) == 3)
    answer = await tester.room.diff("h")
    assert [(each["label"], each["change"]) for each in answer["diff"]["fields"]] == [
        ("User", "filled"),
        ("Password", "filled"),
        ("Answer", "filled"),
    ]
    assert [each["key"] for each in answer["diff"]["storage"]["added"]] == ["kept"]
    assert SECRET not in json.dumps(answer["diff"]) + answer["text"] + caplog.text
    assert SECRET not in repr(tester.room) + repr(tester.room._marks) + repr(tester.room._guard)
    picture = pixels(answer["images"]["after"])
    assert grey(picture, 200, 70)
    assert grey(picture, 200, 170)
    assert grey(picture, 200, 270)
    assert not grey(picture, 700, 70)


async def test_a_secret_stays_secret_after_the_lease_until_it_is_blanked(tester: Any) -> None:
    """The lease ends before the diff is made; what was typed in it is blanked all the same."""
    await tester.open(LOGIN)
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    await tester.type("#user", SECRET)
    tester.room.secret_lease(False)
    answer = await tester.room.diff("h")
    assert SECRET not in json.dumps(answer["diff"]) + answer["text"]
    assert await tester.room.blank_secrets() == 1
    assert await tester.run("user.value") == ""
    await tester.room.mark("next")
    await tester.type("#user", "bob")
    changed = (await tester.room.diff("next"))["diff"]
    assert changed["fields"][0]["secret"], "a field once secret stays so in its document"


async def test_what_the_agent_filled_before_the_lease_is_not_made_secret(tester: Any) -> None:
    """Only what changes in the lease is the operator's."""
    await tester.open(LOGIN)
    await tester.type("#user", "bob")
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    await tester.until(lambda: tester.run("document.activeElement.id === 'user'"))
    await tester.type("#password", SECRET)
    assert [each["label"] for each in (await tester.room.diff("h"))["diff"]["fields"]] == ["Password"]
    assert await tester.room.blank_secrets() == 1
    assert await tester.run("user.value") == "bob"


async def test_masks_cover_a_filled_secret_until_it_has_left_the_screen(tester: Any) -> None:
    """They come when something is typed, follow the page as it scrolls, and go after the value has gone."""
    await tester.open(LOGIN + "<div style='height:3000px'></div>")
    await tester.type("#user", "bob")
    assert not tester.masks
    await tester.type("#password", SECRET)
    await tester.until(lambda: tester.masks and covers(tester.masks[-1], 200, 170))
    assert not covers(tester.masks[-1], 200, 70)
    await tester.run("scrollTo(0, 100)")
    await tester.until(lambda: covers(tester.masks[-1], 200, 70))
    await tester.room.blank_secrets()
    await tester.run("document.activeElement.blur()")
    await tester.until(lambda: tester.masks[-1] == ())


async def test_the_focused_field_is_masked_before_the_first_key_of_a_secret_lease(tester: Any) -> None:
    """Not even the first character is seen by others."""
    await tester.open(LOGIN)
    tester.room.secret_lease(True)
    await tester.run("user.focus()")
    await tester.until(lambda: tester.masks and covers(tester.masks[-1], 200, 70))
    assert await tester.run("user.value") == ""


async def test_secret_entry_makes_the_focused_field_secret(tester: Any) -> None:
    """Whatever the field is called, and in a handoff of any kind."""
    await tester.open(LOGIN)
    await tester.room.mark("h")
    assert not await tester.room.secret_entry()
    await tester.run("user.focus()")
    assert await tester.room.secret_entry()
    await tester.type("#user", SECRET)
    answer = await tester.room.diff("h")
    assert answer["diff"]["fields"][0]["change"] == "filled"
    assert SECRET not in json.dumps(answer["diff"]) + answer["text"]
    assert await tester.room.blank_secrets() == 1


async def test_a_password_made_visible_by_the_page_stays_secret(tester: Any) -> None:
    """The eye button turns the field into a plain one; it is still a password."""
    await tester.open(f"{STYLE}<input id=x type=password aria-label=Key>")
    await tester.room.mark("h")
    await tester.type("#x", SECRET)
    await tester.run("x.type = 'text'")
    answer = await tester.room.diff("h")
    assert SECRET not in json.dumps(answer["diff"]) + answer["text"]
    assert answer["diff"]["fields"][0]["secret"]


async def test_secrets_in_frames_of_another_origin_are_masked_and_blanked(tester: Any) -> None:
    """A payment frame in another process: the mask lies where it is on the screen, the diff names the frame."""
    inner = f"<!doctype html>{STYLE}<input id=card autocomplete=cc-number aria-label=Card style='top:30px'>"
    tester.site.pages["/card"] = inner
    address = tester.site.url("/card", "localhost")
    await tester.open(
        f"<style>body{{margin:0}}</style><iframe src='{address}?order=9' style='position:absolute;left:60px;top:200px;"
        "border:5px solid;width:500px;height:200px'></iframe>"
    )
    await tester.until(lambda: len(tester.page.frames) == 1)
    frame = next(iter(tester.page.frames))
    await tester.room.mark("h")
    await tester.run("card.focus()", frame)
    await tester.pages.connection.call("Input.insertText", {"text": SECRET}, tester.page.session)
    await tester.until(lambda: tester.run("card.value", frame))
    await tester.until(lambda: tester.masks and covers(tester.masks[-1], 60 + 5 + 100 + 20, 200 + 5 + 30 + 20))
    assert not covers(tester.masks[-1], 110, 50)
    answer = await tester.room.diff("h")
    changed = answer["diff"]["fields"]
    assert [(each["frame"], each["label"], each["change"]) for each in changed] == [(address, "Card", "filled")]
    assert SECRET not in json.dumps(answer["diff"]) + answer["text"]
    assert grey(pixels(answer["images"]["after"]), 200, 255)
    assert await tester.room.blank_secrets() == 1
    assert await tester.run("card.value", frame) == ""


@pytest.mark.parametrize("mode", ["open", "closed"])
async def test_secrets_in_shadow_roots_are_found(tester: Any, mode: str) -> None:
    """Also in roots that the page's own scripts hide."""
    await tester.open(
        f"{STYLE}<div id=host></div><script>window.root = host.attachShadow({{mode: '{mode}'}});"
        "root.innerHTML = '<input type=password aria-label=Inside style=\"position:absolute;top:50px;left:100px\">'"
        "</script>"
    )
    await tester.room.mark("h")
    await tester.run("root.querySelector('input').focus()")
    await tester.call("Input.insertText", {"text": SECRET})
    answer = await tester.room.diff("h")
    assert [(each["label"], each["change"]) for each in answer["diff"]["fields"]] == [("Inside", "filled")]
    assert SECRET not in json.dumps(answer["diff"]) + answer["text"]
    await tester.until(lambda: tester.masks and covers(tester.masks[-1], 120, 60))
    assert await tester.room.blank_secrets() == 1
    assert await tester.run("root.querySelector('input').value") == ""


async def test_what_is_typed_into_rich_text_in_a_secret_lease_is_secret(tester: Any) -> None:
    """A contenteditable is a field like any other."""
    await tester.open("<div id=area contenteditable aria-label=Area></div>")
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    await tester.type("#area", SECRET)
    answer = await tester.room.diff("h")
    assert answer["diff"]["fields"][0]["change"] == "filled"
    assert SECRET not in json.dumps(answer["diff"]) + answer["text"]
    assert await tester.room.blank_secrets() == 1
    assert await tester.run("area.textContent") == ""


async def test_the_thumbnail_is_masked_and_small(tester: Any) -> None:
    """At most as wide as asked; secret fields are covered also when they are empty."""
    await tester.open(LOGIN)
    picture = pixels(await tester.room.thumbnail(400))
    assert picture.shape[1] == 400
    assert grey(picture, 100, 85)
    assert not grey(picture, 100, 35)


async def test_what_was_typed_on_a_page_that_is_gone_is_scrubbed_from_the_next(tester: Any) -> None:
    """A login in two steps, the keys as fast as they come; the site greets with what was typed."""
    tester.site.pages["/two"] = (
        f"<!doctype html><title>Two</title>{LOGIN}<form action=/three><input id=second name=second></form>"
        "<h1></h1><script>document.querySelector('h1').textContent = 'Hello ' + new URLSearchParams(location.search)"
        ".get('first')</script>"
    )
    tester.site.pages["/three"] = (
        "<!doctype html><title>Three</title><h1></h1><script>"
        "document.querySelector('h1').textContent = new URLSearchParams(location.search).get('second')</script>"
    )
    await tester.open("<form action=/two><input id=first name=first></form>")
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    for field, secret in (("first", "Firstsecret1"), ("second", "Secondsecret2")):
        await tester.run(f"{field}.focus()")
        for key in secret:
            await tester.call("Input.dispatchKeyEvent", {"type": "keyDown", "key": key, "text": key})
        await tester.call("Input.dispatchKeyEvent", {"type": "keyDown", "key": "Enter", "text": "\r"})
        there = f"document.readyState === 'complete' && new URLSearchParams(location.search).has({field!r})"
        await tester.until(partial(tester.run, there))
    answer = await tester.room.diff("h")
    heading = {"role": "heading", "name": "[secret]", "tab": tester.page.target}
    assert heading in answer["diff"]["elements"]["added"]
    for shown in (json.dumps(answer["diff"]), answer["text"]):
        assert "Firstsecret" not in shown
        assert "Secondsecret" not in shown
    assert await tester.room.blank_secrets() == 0
    again = await tester.room.diff("h")
    assert "Secondsecret" not in json.dumps(again["diff"]) + again["text"]


async def test_what_the_agent_types_after_the_return_is_its_own(tester: Any) -> None:
    """The lease ends with the blanking, in whichever order the two are told."""
    await tester.open(LOGIN)
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    await tester.room.blank_secrets()
    tester.room.secret_lease(False)
    await tester.type("#user", "bob")
    await tester.room.mark("next")
    await tester.type("#user", "by")
    assert "secret" not in (await tester.room.diff("next"))["diff"]["fields"][0]
    assert await tester.room.blank_secrets() == 0


async def test_code_that_a_client_planted_in_the_isolated_world_is_left_behind(tester: Any) -> None:
    """A client that listened while it had control knows the world's name; the next handoff uses another."""
    await tester.open(LOGIN)
    await tester.room.mark("before")
    heard = []
    end = tester.pages.on_event(
        lambda _p, _s, m, d: heard.append(d) if m == "Runtime.executionContextCreated" else None
    )
    await tester.call("Runtime.enable")
    ours = [each["context"]["id"] for each in heard if each["context"]["auxData"]["type"] == "isolated"]
    end()
    await tester.call("Runtime.disable")
    for context in ours:
        forged = "globalThis.__baton = new Proxy({}, { get: () => () => { throw new Error('lie') } })"
        await tester.call("Runtime.evaluate", {"expression": forged, "contextId": context})
    assert ours
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    await tester.type("#user", SECRET)
    await tester.room.mark("again")
    answer = await tester.room.diff("h")
    assert answer["diff"]["fields"][0]["change"] == "filled"
    assert SECRET not in json.dumps(answer["diff"]) + answer["text"]
    assert await tester.room.blank_secrets() == 1


async def test_going_back_does_not_bring_a_secret_back(tester: Any) -> None:
    """The form that was sent is left behind, filled; the agent cannot return to it."""
    tester.site.pages["/next"] = "<title>Next</title>"
    fields = "<input id=user><input id=code autocomplete=one-time-code><input id=password type=password>"
    await tester.open(f"<form action=/next>{fields}</form>")
    await tester.room.mark("h")
    tester.room.secret_lease(True)
    for field in ("#user", "#code", "#password"):
        await tester.type(field, SECRET)
    await tester.run("document.forms[0].submit()")
    await tester.until(lambda: tester.page.url.split("?")[0].endswith("/next"))
    await tester.room.blank_secrets()
    history = await tester.call("Page.getNavigationHistory")
    assert len(history["entries"]) == 1
    await tester.run("history.back()")
    await tester.until(lambda: tester.run("document.readyState === 'complete'"))
    assert await tester.run("document.title") == "Next"


async def test_history_stays_where_nothing_was_secret(tester: Any) -> None:
    """A handoff without a secret leaves the agent its way back."""
    await tester.open("<input id=user>", "/first")
    await tester.open("<p>second", "/second")
    before = len((await tester.call("Page.getNavigationHistory"))["entries"])
    await tester.room.mark("h")
    await tester.room.blank_secrets()
    assert len((await tester.call("Page.getNavigationHistory"))["entries"]) == before
