"""What detection sees on a page is shown to people: beside the picture and in the list of sandboxes."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.web.console.conftest import Console, Json, axe


def pages(*findings: tuple[str, str, float]) -> list[Json]:
    """One page on which this was found: kind, sort, confidence."""
    found = [
        {"kind": kind, "sort": sort, "confidence": sure, "where": None, "why": f"{sort} is there", "policy": "offer"}
        for kind, sort, sure in findings
    ]
    return [{"target": "T1", "url": "https://shop.example/login", "title": "Sign in", "findings": found}]


def test_the_watcher_sees_what_stops_the_agent(console: Console, page: Page) -> None:
    """Kind, sort, how sure, and why; it comes and goes with the page."""
    console.canned.open()
    console.canned.blockers["sb_1"] = pages(("captcha", "hcaptcha", 0.95), ("credentials", "login", 0.75))
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.locator("#fold").click()
    sights = page.locator("#p-sees li")
    expect(sights).to_have_count(2)
    expect(sights.first).to_contain_text("CAPTCHA, hCaptcha · sure")
    expect(sights.last).to_contain_text("Sign-in · likely")
    assert axe(page) == []

    console.canned.tell({"type": "blockers", "sandbox": "sb_1", "pages": []})

    expect(page.locator("#p-sees")).to_be_hidden()


def test_the_list_of_sandboxes_marks_them(console: Console, page: Page) -> None:
    """Whoever looks at all sandboxes sees which may need a human."""
    console.canned.open()
    page.goto(f"{console.url}/sandboxes")
    expect(page.locator(".row-link")).to_have_count(1)
    console.canned.tell({"type": "blockers", "sandbox": "sb_1", "pages": pages(("payment", "card", 0.9))})

    expect(page.locator(".row-link .tag")).to_have_text("Payment, card")
    assert axe(page) == []
