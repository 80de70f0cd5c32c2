"""The live view: every state in its words and colours, and the way from asking to thank you."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.web.console.conftest import Canned, Console, a_handoff, axe, many, nobody, person

UNMET = [{"condition": {"url": "*?ok*"}, "met": False, "why": "The address is https://shop.example/register"}]
MET = [{"condition": {"url": "*?ok*"}, "met": True, "why": ""}]


def other(canned: Canned) -> None:
    """Somebody else drives."""
    canned.open(holder=person("op_kim", "Kim"), phase="held", handoff=a_handoff(state="held"))


def parked(canned: Canned) -> None:
    """Whoever drove is gone."""
    canned.open(holder=nobody(), phase="parked", handoff=a_handoff(state="parked"))


def ended(canned: Canned) -> None:
    """The sandbox is over."""
    canned.open()
    canned.live_code = 4411


def mine(canned: Canned) -> None:
    """This operator drives already (the page was loaded again)."""
    handoff = a_handoff(state="held", kind="credentials")
    canned.open(holder=person("op_me", "Ada"), phase="held", handoff=handoff)


def unreachable(canned: Canned) -> None:
    """The picture does not come."""
    canned.wait()
    canned.live_code = 1012


STATES: dict[str, tuple[Callable[[Canned], Any], str, str, str | None]] = {
    "watching": (lambda c: c.open(), "The agent is driving", "agent", "Take control"),
    "waiting": (lambda c: c.wait(), "Waiting for a human", "nobody", "Take control"),
    "driving": (mine, "You have control", "you", "Done"),
    "other": (other, "Kim has control", "other", "Ask for control"),
    "parked": (parked, "Parked, nobody has control", "nobody", "Take control"),
    "lost": (unreachable, "Connection lost", "danger", None),
    "ended": (ended, "This sandbox has ended", "nobody", None),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_words_and_its_one_action(console: Console, page: Page, state: str, theme: str) -> None:
    """Each state says who has control in word, icon and colour, offers one primary action, and is accessible."""
    prepare, word, holder, action = STATES[state]
    prepare(console.canned)
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(f"{console.url}/sandboxes/sb_1")

    expect(page.locator("#holder")).to_contain_text(word)
    expect(page.locator("body")).to_have_attribute("data-view", state)
    expect(page.locator("#holder")).to_have_attribute("data-holder", holder)
    expect(page.locator("#announce")).to_have_text(word)
    primary = page.locator("button.primary")
    expect(primary).to_have_count(1 if action else 0)
    if action:
        expect(primary).to_have_text(action)
    assert axe(page) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_the_picture_is_fitted_and_never_covered(console: Console, page: Page, width: int) -> None:
    """The picture keeps its aspect, lies on whole pixels, fits, and nothing but its frame is over it."""
    console.canned.open()
    page.set_viewport_size({"width": width, "height": 720})
    page.goto(f"{console.url}/sandboxes/sb_1")
    expect(page.locator("#holder")).to_contain_text("The agent is driving")
    box = page.locator("canvas[data-screen]").bounding_box()

    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(1280 / 720, rel=0.01)
    assert all(float(str(value)).is_integer() for value in box.values())
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= 720
    centre = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).id", centre) == "screen"


def test_a_link_that_takes_control_lands_driving(console: Console, page: Page) -> None:
    """`?take=1` takes control by itself, gives the page the keys, keeps the panel folded, and is forgotten."""
    console.canned.open()
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{console.url}/sandboxes/sb_1?take=1")
    expect(page.locator("#holder")).to_contain_text("You have control")
    expect(page.get_by_text("Keys go to the page")).to_be_visible()
    page.keyboard.press("a")

    expect(page.locator("#panel")).to_be_hidden()
    assert page.url == f"{console.url}/sandboxes/sb_1"
    page.wait_for_function("true")
    assert wait_for(lambda: [m for m in console.canned.heard if m.get("t") == "key" and m["key"] == "a"])


def wait_for(look: Callable[[], Any], timeout: float = 5) -> Any:
    """Poll until something is there."""
    end = time.monotonic() + timeout
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_from_the_queue_to_done_by_keyboard_alone(console: Console, page: Page) -> None:
    """j, Enter, Enter take control; Esc Esc and Enter finish; thank you, and the next one is offered."""
    many(console.canned)
    console.canned.handoffs["ho_2"]["created_at"] = time.time()
    page.goto(console.url)
    expect(page.locator("#rows > li")).to_have_count(3)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Take control")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("You have control").first).to_be_visible()
    expect(page.locator("#capture")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Done")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Thank you. Control is back with the agent.")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in to the supplier portal")).to_be_visible()
    assert axe(page) == []


def test_conditions_tick_themselves(console: Console, page: Page) -> None:
    """The server says what holds of what the agent waits for, while the operator works."""
    handoff = console.canned.wait()["id"]
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    told = {"type": "condition", "sandbox": "sb_1", "handoff": handoff}
    console.canned.tell({**told, "met": False, "parts": UNMET})
    expect(page.locator("[data-met=false]")).to_contain_text("The address is https://shop.example/register")
    console.canned.tell({**told, "met": True, "parts": MET})

    expect(page.locator("[data-met=true]")).to_be_visible()


def test_done_too_early_says_what_is_missing(console: Console, page: Page) -> None:
    """Done with a condition that does not hold names it; one goes on, or finishes anyway with a reason."""
    console.canned.wait()
    console.canned.parts = UNMET
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    page.get_by_role("button", name="Done").click()
    dialog = page.get_by_role("dialog", name="Something is still missing")
    expect(dialog).to_contain_text("The address matches *?ok*")
    assert axe(page) == []
    expect(dialog.get_by_role("button", name="Finish anyway")).to_be_disabled()
    dialog.get_by_label("Finish anyway, because").fill("The site changed its address")
    dialog.get_by_role("button", name="Finish anyway").click()

    expect(page.get_by_text("Thank you. Control is back with the agent.")).to_be_visible()
    verb, body = console.canned.asked[-1]
    assert (verb, body["override"]) == ("done", "The site changed its address")


@pytest.mark.parametrize(("button", "verb"), [("Failed", "failed"), ("Decline", "declined")])
def test_giving_up_asks_once_for_a_reason(console: Console, page: Page, button: str, verb: str) -> None:
    """Failed and Decline ask why, and send it."""
    console.canned.wait(condition=None)
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    page.get_by_role("button", name=button).click()
    page.locator("dialog .choices button").first.click()
    page.locator("dialog button[type=submit]").click()

    expect(page.get_by_text("Control is back with the agent.")).to_be_visible()
    assert console.canned.asked[-1][0] == verb
    assert console.canned.asked[-1][1]["note"]


def test_release_puts_it_back_in_the_queue(console: Console, page: Page) -> None:
    """Release gives control up and leaves the agent stopped."""
    console.canned.wait()
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    page.get_by_role("button", name="Release to the queue").click()

    expect(page.get_by_text("The agent stays stopped.")).to_be_visible()
    expect(page.get_by_role("button", name="Take control")).to_be_visible()


def test_a_page_that_asks_is_named(console: Console, page: Page) -> None:
    """The remote page's own sign-in box is the console's, under the site's name, and answers once."""
    prompt = {
        "id": "p1", "kind": "basic_auth", "origin": "https://shop.example", "message": "", "default": "",
        "multiple": False, "realm": "staff",
    }  # fmt: skip
    console.canned.wait()
    console.canned.prompts = [prompt]
    page.goto(f"{console.url}/sandboxes/sb_1")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Take control").click()
    dialog = page.get_by_role("dialog", name="shop.example wants a name and a password")
    dialog.get_by_label("Name").fill("ada")
    dialog.get_by_label("Password").fill("hunter2")
    assert axe(page) == []
    dialog.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("dialog")).to_have_count(0)
    answer = wait_for(lambda: [m for m in console.canned.heard if m.get("t") == "answer"])[0]
    assert (answer["id"], answer["accept"], answer["username"], answer["password"]) == ("p1", True, "ada", "hunter2")


def test_secret_entry_types_and_forgets(console: Console, page: Page) -> None:
    """What goes through the secret entry is sent as secret text, and stays nowhere on the page."""
    console.canned.wait(kind="credentials", condition=None)
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    page.get_by_label("Secret", exact=True).fill("correct horse")
    page.get_by_role("button", name="Type it in").click()
    said = wait_for(lambda: [m for m in console.canned.heard if m.get("t") == "text"])[0]

    assert (said["text"], said["secret"]) == ("correct horse", True)
    assert "correct horse" not in page.content()
    assert page.get_by_label("Secret", exact=True).input_value() == ""


def test_control_that_passes_on_is_seen_at_once(console: Console, page: Page) -> None:
    """When another operator has control, input stops and the holder is named."""
    console.canned.wait()
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    expect(page.locator("#holder")).to_contain_text("You have control")
    console.canned.hold("sb_1", person("op_kim", "Kim"), "held", a_handoff(state="held"))
    expect(page.locator("#holder")).to_contain_text("Kim has control")
    console.canned.heard.clear()
    page.mouse.click(400, 400)
    page.keyboard.press("b")
    page.wait_for_timeout(200)

    assert [m for m in console.canned.heard if m.get("t") in {"key", "button", "move"}] == []


def test_tabs_show_when_there_are_two(console: Console, page: Page) -> None:
    """The remote tabs are a strip of the console's own, with back and reload."""
    console.canned.wait()
    console.canned.tabs.append({"id": "t2", "url": "https://pay.example/", "title": "Pay", "active": False})
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    expect(page.get_by_role("button", name="Load the page again")).to_be_enabled()
    assert axe(page) == []
    page.get_by_role("button", name="Pay", exact=True).click()

    said = wait_for(lambda: [m for m in console.canned.heard if m.get("t") == "tab"])[0]
    assert (said["action"], said["tab"]) == ("activate", "t2")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844), (844, 390)])
def test_the_connection_is_explained_on_request(
    console: Console, page: Page, size: tuple[int, int], theme: str
) -> None:
    """The latency's number opens by keyboard and says what it means in words, all of it within the window."""
    console.canned.open()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(f"{console.url}/sandboxes/sb_1")
    expect(page.locator("#quality .number")).to_contain_text(re.compile(r"\d ms"))
    page.locator("#quality summary").focus()
    page.keyboard.press("Enter")

    sheet = page.locator("#quality .sheet")
    expect(sheet).to_contain_text("The connection is quick.")
    for label, value in [
        ("What moves", "Single images"), ("Way", "WebSocket"), ("The page", "Text and forms change"),
        ("What is sent", "All of it, at once"), ("The server is", "Near"), ("Room for", "12 Mbit/s"),
    ]:  # fmt: skip
        expect(sheet.locator(f"dt:text-is('{label}') + dd")).to_have_text(value)
    for label in ["Round trip", "Seen after you act", "Pictures a second", "kbit/s"]:
        expect(sheet.get_by_text(label, exact=True)).to_be_visible()
    box = sheet.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= size[0]
    assert box["y"] + box["height"] <= size[1]
    assert axe(page) == []

    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.locator("#quality summary")).to_be_focused()


def try_now(page: Page) -> None:
    """Press the button; the console's own next attempt may come first, and take it away."""
    with contextlib.suppress(PlaywrightTimeout):
        page.get_by_role("button", name="Try now").click(timeout=3000)


def test_a_lost_connection_says_why_and_what_holds(console: Console, page: Page) -> None:
    """While it is away the console says what happened and for how long control is kept; back, whether it still is."""
    console.canned.wait()
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    expect(page.get_by_role("button", name="Done")).to_be_visible()

    console.canned.live_code = 1012
    console.canned.show({"close": 1012})
    veil = page.locator("#veil")
    expect(veil.get_by_role("heading")).to_have_text("The server is starting anew, trying again")
    expect(veil).to_contain_text("You keep control for 0:")
    assert axe(page) == []
    console.canned.live_code = None
    try_now(page)

    expect(page.get_by_role("button", name="Done")).to_be_visible()
    expect(page.locator("#toasts")).to_contain_text("Connected again. The server started anew. You still have control.")


def test_control_that_was_lost_meanwhile_is_said(console: Console, page: Page) -> None:
    """Who comes back without control is told so."""
    handoff = console.canned.wait()
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    expect(page.get_by_role("button", name="Done")).to_be_visible()
    console.canned.live_code = 1001
    console.canned.show({"close": 1001})
    expect(page.locator("#veil")).to_be_visible()
    console.canned.hold("sb_1", nobody(), "parked", {**handoff, "state": "parked"})
    expect(page.locator("#veil")).to_contain_text("The agent stays stopped.")
    console.canned.live_code = None
    try_now(page)

    expect(page.locator("#toasts")).to_contain_text("You no longer have control.")


def test_a_device_that_is_offline_says_so(console: Console, page: Page) -> None:
    """Without a network the console says that the device is offline, and goes on by itself when it is back."""
    console.canned.wait()
    page.goto(f"{console.url}/sandboxes/sb_1")
    expect(page.get_by_role("button", name="Take control")).to_be_visible()
    # Playwright's own way of going offline leaves open sockets as they are
    page.evaluate("Object.defineProperty(navigator, 'onLine', { configurable: true, get: () => false })")
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    console.canned.live_code = 1001
    console.canned.show({"close": 1001})
    expect(page.locator("#veil").get_by_role("heading")).to_have_text("You are offline, trying again")
    console.canned.live_code = None
    page.evaluate("delete navigator.onLine")
    page.evaluate("window.dispatchEvent(new Event('online'))")

    expect(page.get_by_role("button", name="Take control")).to_be_visible()
    expect(page.locator("#toasts")).to_contain_text("Connected again.")


def test_on_a_phone_everything_is_in_the_thumbs_reach(console: Console, chromium: Browser) -> None:
    """The ask is a sheet, the action is at the bottom, the picture fills the width, a key raises the keyboard."""
    console.canned.wait()
    context = chromium.new_context(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(f"{console.url}/sandboxes/sb_1")
    expect(page.get_by_text("Type the letters you see")).to_be_visible()
    take = page.get_by_role("button", name="Take control")
    box = take.bounding_box()
    assert box is not None
    assert box["y"] > 760
    assert box["height"] >= 44
    assert axe(page) == []
    take.tap()
    expect(page.get_by_role("button", name="Done")).to_be_visible()
    expect(page.get_by_text("Type the letters you see")).to_be_hidden()
    expect(page.get_by_role("button", name="Keyboard")).to_be_visible()
    picture = page.locator("canvas").bounding_box()
    assert picture is not None
    assert picture["width"] == 390
    page.get_by_role("button", name="What the agent asks").tap()
    expect(page.get_by_text("Type the letters you see")).to_be_visible()
    context.close()


def test_a_server_that_is_gone_has_its_own_word(console: Console, context: Any) -> None:
    """When nothing answers, the console says that the server is gone and what is safe, and comes back by itself."""
    console.canned.wait()
    page = context.new_page()
    page.goto(f"{console.url}/sandboxes/sb_1")
    expect(page.locator("#holder")).to_contain_text("Waiting for a human")
    console.stop()
    try:
        expect(page.get_by_role("heading", name="The server does not answer")).to_be_visible()
        expect(page.get_by_text("nothing is lost").first).to_be_visible()
        assert axe(page) == []
    finally:
        console.start()
    try_now(page)

    expect(page.locator("#holder")).to_contain_text("Waiting for a human")


def test_a_page_the_agent_ran_code_in_is_offered_a_reload(console: Console, page: Page) -> None:
    """Where a secret could be read along, the panel says so before it is typed, and reloads the page with one press."""
    console.canned.wait(kind="credentials", condition=None, exposure="exposure possible: the agent had left code")
    page.goto(f"{console.url}/sandboxes/sb_1")
    expect(page.get_by_text("The agent has run code in this page.")).to_have_count(0)
    page.get_by_role("button", name="Take control").click()
    expect(page.get_by_text("The agent has run code in this page.")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("button", name="Reload the page", exact=True).click()

    said = wait_for(lambda: [m for m in console.canned.heard if m.get("t") == "tab"])[0]
    assert said["action"] == "reload"
