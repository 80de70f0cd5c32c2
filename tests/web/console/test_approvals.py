"""An action that waits for an operator: shown as it is, allowed once or declined, in the queue and beside the page."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from tests.web.console.conftest import Console, Json, axe


def an_approval(**changes: str) -> Json:
    """One that is pending."""
    now = time.time()
    return {
        "id": "ap_1", "sandbox": "sb_1", "target": "T1", "url": "https://shop.example/checkout", "title": "Checkout",
        "method": "Input.dispatchMouseEvent", "summary": "Press the left button at 640, 480",
        "reason": "It buys the chairs for 1,480 €", "epoch": 4, "state": "pending", "asked_at": now - 20,
        "deadline_at": now + 280, "decided_by": None, "decided_at": None, "note": "", **changes,
    }  # fmt: skip


def test_it_is_allowed_from_the_queue(console: Console, page: Page) -> None:
    """What exactly, why, where and how long: one press allows it, and it is gone."""
    console.canned.open()
    console.canned.approvals.append(an_approval())
    page.goto(console.url)
    card = page.get_by_role("article", name="Approval: Press the left button at 640, 480")
    expect(card).to_contain_text("The agent says: “It buys the chairs for 1,480 €”")
    expect(card).to_contain_text("4:")
    assert axe(page) == []
    card.get_by_role("button", name="Allow once").click()

    expect(page.get_by_role("article")).to_have_count(0)
    assert console.canned.asked == [("ap_1 approve", {"note": ""})]


def test_it_is_declined_beside_the_page(console: Console, page: Page) -> None:
    """Whoever watches the page decides there, and may say why."""
    console.canned.open()
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.locator("#fold").click()
    approval = an_approval()
    console.canned.approvals.append(approval)
    console.canned.tell({"type": "approval", "approval": approval})
    card = page.get_by_role("article")
    expect(card).to_be_visible()
    assert axe(page) == []
    card.get_by_role("button", name="Decline").click()
    dialog = page.get_by_role("dialog", name="Decline this action?")
    dialog.get_by_role("button", name="This does not look right").click()
    dialog.get_by_role("button", name="Decline").click()

    expect(card).to_have_count(0)
    assert console.canned.asked == [("ap_1 decline", {"note": "This does not look right"})]
