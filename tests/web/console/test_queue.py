"""The queue: what waits longest first, changed by events, worked by keys."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from tests.web.console.conftest import Console, a_handoff, axe, many


def test_an_empty_queue_is_calm_and_says_how_to_try(console: Console, page: Page) -> None:
    """Nobody waiting: what will happen, and the command of the demo."""
    page.goto(console.url)

    expect(page.get_by_role("heading", name="Nobody is waiting")).to_be_visible()
    expect(page.get_by_text("make run")).to_be_visible()
    assert axe(page) == []


def test_what_waits_longest_comes_first(console: Console, page: Page) -> None:
    """Rows are ordered by age and name site, ask, age and who has control."""
    many(console.canned)
    page.goto(console.url)
    rows = page.locator("#rows > li")

    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("suppliers.example")
    expect(rows.first.locator("time")).to_contain_text("6:4")
    expect(rows.nth(2)).to_contain_text("Kim has control")
    expect(page).to_have_title("(2) Queue · Baton")
    expect(page.get_by_role("link", name="Type the letters you see")).to_be_visible()


def test_the_queue_changes_by_events(console: Console, page: Page) -> None:
    """A new handoff appears, is taken, and goes, without a reload."""
    page.goto(console.url)
    expect(page.get_by_role("heading", name="Nobody is waiting")).to_be_visible()
    handoff = a_handoff(created_at=time.time())
    console.canned.tell({"type": "handoff", "handoff": handoff})
    row = page.locator("#rows > li")
    expect(row).to_contain_text("Waiting")

    lease = {"operator": {"id": "op_kim", "name": "Kim"}, "epoch": 5, "since": 0, "expires_at": 0}
    console.canned.tell({"type": "handoff", "handoff": {**handoff, "state": "held", "lease": lease}})
    expect(row).to_contain_text("Kim has control")
    expect(page).to_have_title("Queue · Baton")

    result = {"operator": "Kim", "note": "", "duration_s": 12}
    done = {**handoff, "state": "resolved", "result": result}
    console.canned.past = [done]
    console.canned.tell({"type": "handoff", "handoff": done})
    expect(row).to_have_count(0)
    expect(page.locator("#past")).to_contain_text("Solved by Kim")


def test_search_and_filters_narrow_the_queue(console: Console, page: Page) -> None:
    """Words and state choose rows; nothing found says so."""
    many(console.canned)
    page.goto(console.url)
    page.keyboard.press("/")
    page.keyboard.type("chairs")
    expect(page.locator("#rows > li")).to_have_count(1)

    page.get_by_role("button", name="Waiting", exact=True).click()
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()


def test_keys_walk_the_queue_and_are_listed(console: Console, page: Page) -> None:
    """J and k move, ? lists the keys, Esc closes the list."""
    many(console.canned)
    page.goto(console.url)
    expect(page.locator("#rows > li")).to_have_count(3)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("#rows a").first).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_lost_connection_is_said_and_mends_itself(console: Console, page: Page) -> None:
    """The top bar says whether news arrives."""
    page.goto(console.url)
    state = page.locator("#link-state")
    expect(state).to_contain_text("Live")
    console.canned.tell({"close": 1012})
    expect(state).to_contain_text("Live")
