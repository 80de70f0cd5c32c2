"""Pages as they arrive: words, status, headers, and nothing that axe finds wrong, in both appearances."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.web.console.conftest import Console, axe, many

PAGES = {
    "/": "Queue",
    "/sandboxes": "Sandboxes",
    "/signed-out": "You are signed out",
    "/patterns": "Patterns",
    "/nowhere": "There is nothing here",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_say_what_they_are_and_are_accessible(console: Console, page: Page, path: str, theme: str) -> None:
    """Every page shows its heading, complains of nothing, and axe finds nothing wrong with it."""
    many(console.canned)
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(console.url + path)

    expect(page.get_by_role("heading", level=1, name=PAGES[path])).to_be_visible()
    if path in {"/", "/sandboxes"}:
        expect(page.locator("#rows > li").first).to_be_visible()
    assert axe(page) == []


def test_without_a_sign_in_the_way_in_is_explained(console: Console, page: Page) -> None:
    """Who comes without a sign-in reads how to get one, with status 401."""
    console.canned.caller = None
    answer = page.goto(f"{console.url}/sandboxes/sb_1")

    assert answer is not None
    assert answer.status == 401
    expect(page.get_by_role("heading", name="You need a link to come in")).to_be_visible()
    expect(page.get_by_text("baton link")).to_be_visible()
    assert axe(page) == []


def test_an_unknown_sandbox_is_a_page_of_its_own(console: Console, page: Page) -> None:
    """The address of a sandbox that never was leads to the page for that, with status 404."""
    answer = page.goto(f"{console.url}/sandboxes/sb_none")

    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("link", name="Go to the queue")).to_be_visible()


def test_a_link_lands_in_one_go(console: Console, page: Page) -> None:
    """Opening a one-use link redeems it by POST and goes on to where it leads."""
    with page.expect_request("**/v1/links/redeem") as redeemed:
        page.goto(f"{console.url}/link#secret-of-the-link")
    page.wait_for_url(f"{console.url}/")

    assert redeemed.value.method == "POST"
    assert redeemed.value.post_data_json == {"token": "secret-of-the-link"}


@pytest.mark.parametrize(
    ("status", "title"),
    [(409, "This link was used before"), (410, "This link has expired"), (404, "This link does not work")],
)
def test_a_link_that_is_no_good_says_why(console: Console, page: Page, status: int, title: str) -> None:
    """A used, an expired and an unknown link each say so, and what to do."""
    console.canned.link = status
    page.goto(f"{console.url}/link#x")

    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_text("Ask whoever sent it for a new one")).to_be_visible()
    assert axe(page) == []


def test_pages_carry_no_inline_code_and_are_not_kept(console: Console) -> None:
    """No page has an inline script or style; pages are never cached, versioned files for ever."""
    many(console.canned)
    for path in [*PAGES, "/link", "/sandboxes/sb_1"]:
        answer = httpx.get(console.url + path, headers={"Accept": "text/html"})
        assert "<script>" not in answer.text
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text
    page = httpx.get(f"{console.url}/")
    assert page.headers["cache-control"] == "no-store"
    address = page.text.split('href="/static/tokens.css', 1)[1].split('"', 1)[0]
    assert "immutable" in httpx.get(f"{console.url}/static/tokens.css{address}").headers["cache-control"]
    assert httpx.get(f"{console.url}/static/dom.js").headers["cache-control"] == "no-cache"


def test_programs_get_json_where_people_get_a_page(console: Console) -> None:
    """An unknown address answers a program without a page."""
    answer = httpx.get(f"{console.url}/nowhere", headers={"Accept": "application/json"})

    assert answer.status_code == 404
    assert "<html" not in answer.text


def test_appearance_is_chosen_and_kept(console: Console, context: BrowserContext, page: Page) -> None:
    """The switch overrides the system's appearance and survives a reload, without a flash of the other."""
    page.goto(console.url)
    page.locator("#settings summary").click()
    page.get_by_role("button", name="Dark").click()
    page.reload(wait_until="commit")

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_on_an_insecure_origin_the_console_says_what_is_off(console: Console, page: Page) -> None:
    """An address that is neither HTTPS nor loopback names what the browser turns off, and how to turn it on."""
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    page.goto(console.url)

    expect(page.get_by_text("your browser turns some things off")).to_be_visible()
    expect(page.get_by_text("--tls-cert")).to_be_visible()
    assert axe(page) == []
