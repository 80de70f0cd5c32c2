"""The button for the page's sound: off by default, by keyboard too, and it says why there is none."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.console.conftest import Console, axe

ON, OFF = "Turn on the page\u2019s sound", "Turn off the page\u2019s sound"


def asked(console: Console) -> list[bool]:
    """What the server was asked."""
    return [message["on"] for message in console.canned.heard if message["t"] == "sound"]


def until_asked(console: Console, page: Page, *wanted: bool) -> None:
    """Wait until the server was asked exactly this; then it listens, and can be made to answer."""
    for _ in range(100):
        if asked(console) == list(wanted):
            return
        page.wait_for_timeout(50)
    assert asked(console) == list(wanted)


def live(console: Console, page: Page) -> None:
    """Open the live view of a sandbox the agent drives."""
    console.canned.open()
    page.goto(f"{console.url}/sandboxes/sb_1")
    expect(page.locator("body")).to_have_attribute("data-view", "watching")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_off_until_it_is_pressed(console: Console, page: Page, theme: str) -> None:
    """Nothing is asked for until the operator presses the button or its key; then it can be turned off again."""
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    live(console, page)
    button = page.locator("#sound")
    expect(button).to_have_attribute("aria-label", ON)
    assert asked(console) == []

    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-label", OFF)
    until_asked(console, page, True)
    console.canned.show({"t": "sound", "state": "on", "why": ""})
    expect(button).to_have_attribute("data-state", "on")
    assert axe(page) == []

    page.keyboard.press("s")
    expect(button).to_have_attribute("aria-label", ON)
    expect(button).to_have_attribute("data-state", "off")
    until_asked(console, page, True, False)


def test_no_audio_server_is_said(console: Console, page: Page) -> None:
    """The reason is shown, read out, and stays on the button, which is off again."""
    live(console, page)
    page.locator("#sound").click()
    why = "This machine has no audio server."
    until_asked(console, page, True)
    console.canned.show({"t": "sound", "state": "none", "why": why})
    expect(page.locator("#toasts")).to_contain_text(why)
    expect(page.locator("#sound")).to_have_attribute("title", why)
    expect(page.locator("#sound")).to_have_attribute("aria-label", ON)


def test_a_browser_that_cannot_decode_says_so(console: Console, page: Page) -> None:
    """Without an audio decoder the server is not even asked."""
    page.add_init_script("delete window.AudioDecoder")
    live(console, page)
    page.locator("#sound").click()
    expect(page.locator("#toasts")).to_contain_text("cannot decode the page\u2019s sound")
    assert asked(console) == []


def test_it_comes_back_with_the_connection(console: Console, page: Page) -> None:
    """After a loss the sound is asked for again."""
    live(console, page)
    page.locator("#sound").click()
    until_asked(console, page, True)
    console.canned.show({"close": 1012})
    until_asked(console, page, True, True)


def test_it_fits_a_phone(console: Console, chromium: Browser) -> None:
    """On a phone the button is within the thumb's reach, large enough for a finger, and nothing overflows."""
    context = chromium.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = context.new_page()
    live(console, page)
    box = page.locator("#thumb-sound").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    assert min(box["width"], box["height"]) >= 48
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#thumb-sound").tap()
    expect(page.locator("#thumb-sound")).to_have_attribute("aria-label", OFF)
    expect(page.locator("#sound")).to_be_hidden()
    context.close()
