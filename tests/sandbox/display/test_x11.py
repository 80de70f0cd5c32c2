"""Pointer, touch, tabs, popups, fence and pictures on a real display, with the keeper's window manager."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sandbox.screen import (
    Compose,
    Copy,
    InputEvent,
    Key,
    Paste,
    PointerButton,
    PointerMove,
    PromptAnswer,
    ReleaseAll,
    TabAction,
    Text,
    Touch,
    TouchPoint,
    Wheel,
)
from sandbox.words import BadRequest, Epoch, HeldByAnother, StaleEpoch
from tests.sandbox.display.rig import ANN, BOB, SIZE, until

if TYPE_CHECKING:
    from tests.sandbox.display.rig import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PAD = """<div id=pad style='width:639px;height:479px'></div><script>
  window.seen = [];
  for (const name of ['mousedown', 'mouseup', 'click', 'dblclick', 'auxclick', 'contextmenu', 'touchstart', 'keydown',
                      'wheel', 'paste', 'copy', 'beforeinput', 'compositionstart'])
    addEventListener(name, e => seen.push(name + ('button' in e ? ' ' + e.button : '')), true);
  addEventListener('contextmenu', e => e.preventDefault());
  addEventListener('mousemove', e => window.at = [e.clientX, e.clientY, e.buttons]);
</script>"""


async def ready(desk: Desk) -> None:
    """Move the pointer until the page hears it: what a human does before the first press."""
    for step in range(200):
        await desk.do(PointerMove(10 + step % 2, 10))
        if await desk.run("window.at !== undefined"):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the page does not hear the pointer")


async def test_every_button_arrives_where_it_was_pressed(desk: Desk) -> None:
    """Left, middle and right buttons and a double click reach the page at their coordinates."""
    await desk.open(PAD)
    await ready(desk)
    await desk.click(100, 50)
    await desk.until("seen.join()", "mousedown 0,mouseup 0,click 0")
    assert (await desk.run("at.join()")).startswith("100,50,")
    await desk.run("seen.length = 0")
    for button in ("middle", "right"):
        await desk.do(PointerButton(200, 80, button, True), PointerButton(200, 80, button, False))
    await desk.until("seen.includes('auxclick 1') && seen.includes('contextmenu 2')", True)
    await asyncio.sleep(0.6)  # else the next click could count as a part of these
    await desk.run("seen.length = 0")
    for _ in range(20):  # the two clicks of a pair must not lie too far apart, which a busy machine may cause
        await desk.click(300, 90)
        await desk.click(300, 90)
        await asyncio.sleep(0.1)
        if await desk.run("seen.includes('dblclick 0')"):
            return
    raise AssertionError("no double click was heard")


async def test_a_drag_is_seen_as_one(desk: Desk) -> None:
    """While the button is down the page hears moves with it down."""
    await desk.open(PAD)
    await ready(desk)
    await desk.do(PointerMove(50, 60), PointerButton(50, 60, "left", True), PointerMove(150, 160))
    await desk.until("window.at.join()", "150,160,1")
    await desk.do(PointerButton(150, 160, "left", False))
    await desk.until("seen.join()", "mousedown 0,mouseup 0,click 0")


async def test_the_wheel_turns_as_far_as_the_fingers(desk: Desk) -> None:
    """Small turns add up to whole ticks, in both directions and both axes."""
    await desk.open("<div style='width:3000px;height:5000px'></div>")
    for _ in range(10):
        await desk.do(Wheel(300, 200, 0, 60))
    await desk.until("scrollY > 300", True)
    for _ in range(10):
        await desk.do(Wheel(300, 200, 0, -60))
    await desk.until("scrollY", 0)
    await desk.do(Wheel(300, 200, 240, 0))
    await desk.until("scrollX > 100", True)


async def test_a_select_popup_is_seen_and_chosen_from(desk: Desk) -> None:
    """The browser's own list of a select is in the picture, and a press in it chooses."""
    options = "".join(f"<option>choice {n}</option>" for n in range(5))
    await desk.open(f"<select id=s style='position:fixed;left:20px;top:20px;width:200px'>{options}</select>")
    before = desk.picture()
    await desk.click(60, 30)
    await until(lambda: int((desk.picture() != before).any(axis=2).sum()) > 5000)
    await desk.key("ArrowDown")
    await desk.key("ArrowDown")
    await desk.key("Enter")
    await desk.until("document.querySelector('#s').value", "choice 2")


async def test_a_popup_has_the_keys_and_gives_them_back(desk: Desk) -> None:
    """A popup window gets what is typed; after it closed itself its opener does again, without a click."""
    await desk.open(PAD, "/opener")
    await ready(desk)
    desk.site.pages["/popup"] = (
        "<!doctype html><body><script>addEventListener('keydown', e => { opener.seen.push('popup ' + e.key);"
        " if (e.key == 'q') close() })</script>"
    )
    opener = desk.page
    await desk.run("document.onclick = () => window.open('/popup', 'p', 'width=200,height=200'); 0")
    await desk.click(20, 20)
    await until(lambda: [page.url.endswith("/popup") for page in desk.pages.all[1:]], [True])
    await until(lambda: desk.page is not opener)
    await desk.until("location.pathname == '/popup' && document.readyState == 'complete' && document.hasFocus()", True)
    for _ in range(60):  # a window that just opened needs a moment before X lets it have the keyboard
        await desk.key("x", "KeyX")
        if await desk.run("seen.includes('popup x')", opener.session):
            break
        await asyncio.sleep(0.05)
    await desk.key("q", "KeyQ")
    await until(lambda: len(desk.pages.all), 1)
    await desk.until("seen.includes('popup x') && seen.includes('popup q') && document.hasFocus()", True)
    await desk.run("seen.length = 0")
    await desk.key("y", "KeyY")
    await desk.until("seen.includes('keydown')", True)


async def test_a_tap_is_a_touch_and_a_click(desk: Desk) -> None:
    """A finger that goes down and up fires touchstart and, after it, a click."""
    await desk.open(PAD)
    await desk.do(Touch("start", (TouchPoint(0, 80, 90),)), Touch("end", ()))
    await desk.until("seen.includes('touchstart') && seen.includes('click 0')", True)


async def test_tabs_do_what_the_browsers_own_would(desk: Desk) -> None:
    """Back, forward, reload, activate and close work on the tab that is named, or the one in front."""
    await desk.open("<p>one</p>", "/one")
    await desk.open("<p>two</p>", "/two")
    await desk.do(TabAction("back"))
    await desk.until("location.pathname", "/one")
    await desk.do(TabAction("forward"))
    await desk.until("location.pathname", "/two")
    await desk.run("window.old = true")
    await desk.do(TabAction("reload"))
    await desk.until("window.old === undefined", True)
    first = desk.page.target
    await desk.pages.connection.call("Target.createTarget", {"url": desk.site.url("/one")})
    await until(lambda: len(desk.pages.all), 2)
    await until(lambda: desk.page.target != first)
    second = desk.page.target
    await desk.do(TabAction("activate", first))
    await until(lambda: desk.page.target, first)
    await desk.do(TabAction("close", second))
    await until(lambda: len(desk.pages.all), 1)


EVENTS: tuple[InputEvent, ...] = (
    PointerMove(30, 40),
    PointerButton(30, 40, "left", True),
    Wheel(30, 40, 0, 300),
    Key("KeyA", "a", True),
    Text("a"),
    Compose("a"),
    Paste("a"),
    Copy(),
    Touch("start", (TouchPoint(0, 30, 40),)),
    TabAction("reload"),
    ReleaseAll(),
)


async def test_every_event_is_tried_at_the_fence() -> None:
    """No kind of input is left out of the fencing test below."""
    assert {type(event) for event in EVENTS} == set(InputEvent.__value__.__args__)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
async def test_nothing_passes_the_fence_but_the_holders_own(desk: Desk, event: InputEvent) -> None:
    """With an old epoch, or from another operator, an input is refused and the page notices nothing."""
    await desk.open(f"{PAD}<textarea autofocus style='position:fixed'></textarea>")
    await desk.do(PointerMove(5, 5))
    await desk.until("String(window.at)", "5,5,0")
    await desk.run("window.seen.length = 0")
    old = desk.epoch
    now = desk.give(ANN)

    with pytest.raises(StaleEpoch):
        await desk.screen.inject(event, ANN, old)
    with pytest.raises(HeldByAnother):
        await desk.screen.inject(event, BOB, now)
    with pytest.raises(StaleEpoch):
        await desk.screen.inject(event, ANN, Epoch(now + 1))
    await asyncio.sleep(0.15)  # longer than any input takes to arrive
    assert await desk.run("[seen.join(), at.join(), scrollY, document.querySelector('textarea').value].join('|')") == (
        "|5,5,0|0|"
    )


async def test_a_prompt_cannot_be_answered_past_the_fence(desk: Desk) -> None:
    """An answer with an old epoch is refused before it is looked at."""
    old = desk.epoch
    desk.give(ANN)
    with pytest.raises(StaleEpoch):
        await desk.screen.answer(PromptAnswer("any", accept=True), ANN, old)


async def test_nothing_stays_pressed_when_control_passes(desk: Desk) -> None:
    """Keys and buttons that are down when the holder changes are let go, in X itself."""
    await desk.open(PAD)
    await desk.do(Key("ShiftLeft", "Shift", True), Key("KeyA", "A", True), PointerButton(10, 10, "left", True))
    await until(lambda: bool(desk.pressed()[0]) and bool(desk.pressed()[1] & 0x100))
    desk.give(BOB)
    await until(lambda: (desk.pressed()[0], desk.pressed()[1] & 0x1F01), (set(), 0))


@pytest.mark.parametrize(("x", "y"), [(-1, 5), (5, -1), (SIZE.width, 5), (5, SIZE.height)])
async def test_off_the_screen_is_refused(desk: Desk, x: int, y: int) -> None:
    """A coordinate that is not on the screen is an error that names it."""
    with pytest.raises(BadRequest, match="outside the screen"):
        await desk.do(PointerMove(x, y))


@pytest.mark.parametrize(
    "chord",
    [
        "Control+t", "Control+n", "Control+w", "Control+o", "Control+s", "Control+p", "Control+1", "Control+Tab",
        "Control+Shift+I", "Alt+ArrowLeft", "F11", "F12",
    ],
)  # fmt: skip
async def test_the_browsers_own_shortcuts_are_refused(desk: Desk, chord: str) -> None:
    """What would leave the page, or reach the machine, is refused with a reason and opens nothing."""
    *held, key = chord.split("+")
    code = f"Key{key.upper()}" if key.isalpha() and len(key) == 1 else f"Digit{key}" if key.isdigit() else key
    with pytest.raises(BadRequest):
        await desk.key(key, code, held=held)
    assert len(desk.pages.all) == 1


async def test_no_change_means_no_picture(desk: Desk) -> None:
    """When nothing is painted `wait` times out."""
    await desk.open("<p>still</p>")
    await desk.run("new Promise(done => setTimeout(done, 300))")
    for _ in range(50):
        if await asyncio.to_thread(desk.screen.wait, 0.3) is None:
            return
    raise AssertionError("the screen never rests")


async def test_the_last_paint_is_never_missed(desk: Desk) -> None:
    """A reader that waits and grabs until nothing comes holds the picture that is on the screen."""
    await desk.open("<canvas id=c width=639 height=479></canvas>")
    await desk.run(
        "const g = document.getElementById('c').getContext('2d'); let n = 0;"
        "const paint = () => { g.fillStyle = `hsl(${Math.random() * 360} 80% 50%)`; g.fillRect(Math.random() * 600,"
        " Math.random() * 400, 80, 60); if (++n < 120) setTimeout(paint, Math.random() * 12) }; paint(); 0"
    )
    picture = desk.picture()

    def follow() -> None:
        while desk.screen.wait(0.5) is not None:
            desk.screen.grab(picture)

    await asyncio.to_thread(follow)
    await asyncio.sleep(0.3)  # whatever was still on its way would be on the screen by now
    assert np.array_equal(picture, desk.picture())
