"""An unmodified Playwright script works through the gate, stops while a human drives, and goes on afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Error, Page, Playwright, async_playwright

from sandbox.cdp import CdpError
from sandbox.gate import WhileHeld
from sandbox.screen import Tab
from sandbox.words import THE_AGENT, Epoch
from tests.sandbox.gate.rig import until

if TYPE_CHECKING:
    from tests.sandbox.gate.rig import Rig, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    """Playwright's driver."""
    async with async_playwright() as driver:
        yield driver


@pytest_asyncio.fixture(loop_scope="session")
async def context(rig: Rig, playwright: Playwright) -> AsyncIterator[BrowserContext]:
    """The default context as Playwright sees it through the gate."""
    browser = await playwright.chromium.connect_over_cdp(rig.url)
    browser.contexts[0].set_default_timeout(8000)
    yield browser.contexts[0]
    await browser.close()


async def back(rig: Rig, context: BrowserContext) -> tuple[str, ...]:
    """Give control back and wait until Playwright has read what the gate told it."""
    notes = await rig.open()
    assert context.browser is not None
    session = await context.browser.new_browser_cdp_session()
    await session.send("Baton.describe")
    await session.detach()
    return notes


async def press(page: Page, rig: Rig) -> None:
    """The page is alive: a locator acts, an evaluation reads, and both agree with what Baton sees."""
    before = await page.evaluate("acts")
    await page.get_by_role("button", name="Press").click()
    assert await page.evaluate("acts") == before + 1
    assert await page.locator("h1").inner_text() == await page.title()


async def test_stops_and_goes_on(rig: Rig, context: BrowserContext) -> None:
    """A page of Playwright's is driven, refused while Ann drives, and driven again after the return."""
    page = context.pages[0]
    handle = await page.query_selector("button")
    await press(page, rig)
    reads = await rig.js("reads")
    await rig.shut()
    written = len(rig.written)

    for attempt in (
        page.evaluate("acts = 100"),
        page.evaluate("probe"),
        page.get_by_role("button").click(),
        page.content(),
        page.goto("about:blank"),
        page.keyboard.press("a"),
        page.mouse.click(5, 5),
        page.screenshot(),
        page.reload(),
        context.new_page(),
        context.cookies(),
        page.set_content("<p>"),
        page.pdf(),
    ):
        with pytest.raises(Error, match="Ann has control of this sandbox since 00:16:40 UTC"):
            await attempt

    assert await page.title() == "", "Playwright itself swallows the error here"
    assert rig.written[written:] == []
    assert await rig.js("[acts, reads].join()") == f"1,{reads}"
    await back(rig, context)
    await press(page, rig)
    assert handle is not None
    await handle.click()
    assert await page.evaluate("acts") == 3


async def test_waits_and_looks_again(rig: Rig, site: Site, playwright: Playwright) -> None:
    """A script whose commands wait stands still, is told once that it decided too early, and goes on."""
    rig.while_held = WhileHeld.WAIT
    browser = await playwright.chromium.connect_over_cdp(rig.url)
    page = browser.contexts[0].pages[0]
    await press(page, rig)
    baton = await page.context.new_cdp_session(page)
    await rig.shut()
    pressing = asyncio.create_task(page.get_by_role("button").click())
    shooting = asyncio.create_task(page.context.cookies())
    assert (await baton.send("Baton.getControl"))["holder"]["name"] == "Ann"
    assert not pressing.done()
    assert not shooting.done()
    await rig.js("document.title = document.querySelector('h1').textContent = 'Solved'; acts = 5")
    await rig.open()

    with pytest.raises(Error, match="look again"):
        await pressing
    await shooting
    assert await rig.js("acts") == 5
    await press(page, rig)

    await rig.shut()
    pressing = asyncio.create_task(page.get_by_role("button").click())
    await baton.send("Baton.getControl")
    await rig.goto(site.here + "/two")
    await rig.open()
    await pressing
    assert await rig.js("acts") == 1, "after a navigation Playwright's locator looks again by itself"
    await browser.close()


async def test_same_document_change(rig: Rig, site: Site, context: BrowserContext) -> None:
    """A change of address without a new document is known after the return."""
    page = context.pages[0]
    await rig.shut()
    await rig.js("history.pushState({}, '', '/pushed#there')")
    await back(rig, context)

    assert page.url == f"{site.here}/pushed#there"
    await press(page, rig)


async def test_elements_that_left_and_that_stayed(rig: Rig, context: BrowserContext) -> None:
    """An element handle whose element left the page meanwhile says so, also where a script would have done nothing."""
    page = context.pages[0]
    await page.evaluate("document.body.insertAdjacentHTML('beforeend', '<button id=b onclick=acts++>B</button>')")
    leaves, stays = await page.query_selector("#b"), await page.query_selector("button")
    assert leaves is not None
    assert stays is not None
    await rig.shut()
    await rig.js("document.querySelector('#b').remove()")
    await back(rig, context)

    with pytest.raises(Error, match="left the page while a human had control"):
        await leaves.evaluate("e => e.click()")
    with pytest.raises(Error, match="not attached"):
        await leaves.click(timeout=2000)
    assert await rig.js("acts") == 0
    await stays.evaluate("e => e.click()")
    await press(page, rig)


@pytest.mark.parametrize("path", ["{here}/two", "{here}/away", "{other}/two"])
async def test_navigation(rig: Rig, site: Site, context: BrowserContext, path: str) -> None:
    """After a navigation, a redirect through another origin, or a swap of processes the page goes on working."""
    page = context.pages[0]
    await press(page, rig)
    stale = await page.query_selector("button")
    await rig.shut()
    await rig.goto(path.format(here=site.here, other=site.other))
    await back(rig, context)

    assert page.url.endswith("/two")
    assert await page.title() == "Two"
    await press(page, rig)
    assert stale is not None
    with pytest.raises(Error):
        await stale.click(timeout=1000)
    await page.goto(site.here + "/")
    await press(page, rig)


async def test_reload(rig: Rig, context: BrowserContext) -> None:
    """After a reload by the human the page goes on working, and waiting for its load does not wait."""
    page = context.pages[0]
    await press(page, rig)
    await rig.shut()
    await rig.js("window.old = true")
    await rig.pages.call(rig.page(), "Page.reload")
    await rig.goto(page.url)
    await back(rig, context)

    await page.wait_for_load_state("load")
    await page.wait_for_load_state("networkidle")
    await press(page, rig)


async def test_popup_came_and_went(rig: Rig, site: Site, context: BrowserContext) -> None:
    """A popup that closed itself meanwhile leaves nothing behind, and its opener did not hang."""
    page = context.pages[0]
    await rig.shut()
    assert await rig.js("!!window.open('/closes')", rig.pages.all[0]) is True
    await _until_pages(rig, 1)
    await back(rig, context)

    assert context.pages == [page]
    await press(page, rig)


async def test_popup_stayed(rig: Rig, site: Site, context: BrowserContext) -> None:
    """A popup that is still open is there after the return, and works."""
    page = context.pages[0]
    await rig.shut()
    await rig.js("void window.open('/popup')", rig.pages.all[0])
    await _until_pages(rig, 2)
    async with context.expect_page() as opened:
        await back(rig, context)

    popup = await opened.value
    await popup.wait_for_load_state()
    assert popup.url == f"{site.here}/popup"
    assert await popup.opener() == page
    await press(popup, rig)
    await press(page, rig)


@pytest.mark.parametrize("used", ["click", "goto", "evaluate"])
async def test_tab_replaced(rig: Rig, site: Site, context: BrowserContext, used: str) -> None:
    """Where the human closed the tab and opened another, the page names the new one, then says that it is closed."""
    page = context.pages[0]
    await press(page, rig)
    await rig.shut()
    old = rig.pages.all[0].target
    new = (await rig.connection.call("Target.createTarget", {"url": f"{site.here}/two?secret"}))["targetId"]
    await _until_pages(rig, 2)
    await rig.connection.call("Target.closeTarget", {"targetId": old})
    await _until_pages(rig, 1)
    async with context.expect_page() as opened:
        await back(rig, context)

    fresh = await opened.value
    await fresh.wait_for_load_state()
    assert rig.opened is not None
    stale = rig.opened.stale.to_wire()
    uses: dict[str, Callable[[], Awaitable[object]]] = {
        "click": lambda: page.get_by_role("button").click(),
        "goto": lambda: page.goto(f"{site.here}/"),
        "evaluate": lambda: page.evaluate("1"),
    }
    with pytest.raises(Error, match=f"closed by the human; continue on target {new} at {site.here}/two$|{new}.*\n"):
        await uses[used]()
    await back(rig, context)
    assert page.is_closed()
    assert context.pages == [fresh]
    await press(fresh, rig)
    assert stale == {"handles": 0, "documents": [{"target": old, "url": f"{site.here}/"}], "all": True}


async def test_a_popup_of_the_agents_that_closed_is_told_so(rig: Rig, site: Site, context: BrowserContext) -> None:
    """A sign-in popup that the agent knew and that closed itself meanwhile is closed for the agent too."""
    page = context.pages[0]
    async with page.expect_popup() as opened:
        await page.evaluate("window.child = window.open('/popup')")
    popup = await opened.value
    await popup.wait_for_load_state()
    await rig.shut()
    await rig.js("void child.close()", rig.pages.all[0])
    await _until_pages(rig, 1)
    async with popup.expect_event("close"):
        await back(rig, context)

    assert context.pages == [page]
    await press(page, rig)


async def test_renderer_crashed_and_was_reloaded(rig: Rig, site: Site, context: BrowserContext) -> None:
    """A page whose process died under the human and who loaded it again goes on working."""
    page = context.pages[0]
    await press(page, rig)
    await rig.shut()
    crashed: list[Tab] = []
    end = rig.pages.on_crash(crashed.append)
    with contextlib.suppress(CdpError, TimeoutError):
        await rig.pages.call(rig.page(), "Page.crash", timeout=0.5)
    await until(lambda: crashed)
    end()
    await rig.goto(site.here + "/two")
    await back(rig, context)

    assert page.url == f"{site.here}/two"
    await press(page, rig)


async def test_frames_of_another_origin_appear(rig: Rig, site: Site, context: BrowserContext) -> None:
    """Frames in and out of the page's process that were loaded meanwhile are there and work."""
    page = context.pages[0]
    await rig.shut()
    await rig.goto(site.here + "/frames")
    await back(rig, context)

    for url in (f"{site.other}/two", f"{site.here}/two"):
        await page.wait_for_timeout(0)
        frame = page.frame(url=url)
        assert frame is not None, [f.url for f in page.frames]
        await frame.get_by_role("button", name="Press").click()
        assert await frame.evaluate("acts") == 1


async def test_frames_go_and_change_process(rig: Rig, site: Site, context: BrowserContext) -> None:
    """A frame that moved to another process and one that went are told as such."""
    page = context.pages[0]
    await page.goto(site.here + "/frames")
    assert len(page.frames) == 3
    await rig.shut()
    await rig.js(
        f"new Promise(done => {{ const [a, b] = document.querySelectorAll('iframe'); a.remove(); b.onload = done;"
        f" b.src = '{site.other}/popup' }}).then(() => 1)"
    )
    await back(rig, context)

    assert len(page.frames) == 2
    frame = page.frames[1]
    await frame.get_by_role("button", name="Press").click()
    assert frame.url == f"{site.other}/popup"
    assert await frame.evaluate("acts") == 1
    await rig.shut()
    await rig.js(
        "new Promise(r => { const b = document.querySelector('iframe'); b.onload = r; b.src = '/two' }).then(() => 1)"
    )
    await back(rig, context)

    frame = page.frames[1]
    await frame.get_by_role("button", name="Press").click()
    assert frame.url == f"{site.here}/two"


async def test_dialog_answered_by_the_human(rig: Rig, context: BrowserContext) -> None:
    """A dialog the agent saw and the human answered does not hold up the page after the return."""
    page = context.pages[0]
    async with page.expect_event("dialog") as seen:
        await page.evaluate("void setTimeout(() => { window.said = confirm('sure?') }, 0)")
    dialog = await seen.value
    await rig.shut(drain_s=0.2)
    with pytest.raises(Error, match="Ann has control"):
        await dialog.accept()
    await rig.pages.call(rig.page(), "Page.handleJavaScriptDialog", {"accept": True})
    await back(rig, context)

    assert await page.evaluate("said") is True
    await press(page, rig)


async def test_routes_and_exposed_functions_return(rig: Rig, site: Site, context: BrowserContext) -> None:
    """Routes do not hold up the human's requests, and routes, init scripts and exposed functions work afterwards."""
    page = context.pages[0]
    await page.add_init_script("window.planted = 1")
    await page.expose_function("tell", lambda: "told")
    await page.route("**/data", lambda route: route.fulfill(body="routed"))
    fetching = "fetch('/data').then(r => r.text())"
    assert await page.evaluate(fetching) == "routed"
    await rig.shut()
    assert (await rig.js(fetching)).strip() == "payload"
    await rig.goto(site.here + "/two")
    assert await rig.js("typeof planted") == "undefined"
    notes = await back(rig, context)

    assert any("init scripts" in note for note in notes)
    assert await page.evaluate(fetching) == "routed"
    await page.reload()
    assert await page.evaluate("planted") == 1
    assert await page.evaluate("tell()") == "told"


async def test_fenced_at_the_last_step(rig: Rig, context: BrowserContext) -> None:
    """Where only the fence has moved and the gate was not told, a command is refused all the same."""
    rig.fence.push(THE_AGENT, Epoch(1000), 0.0)
    rig.fence.shut()

    with pytest.raises(Error, match="nobody has control"):
        await context.pages[0].evaluate("1")


async def _until_pages(rig: Rig, number: int) -> None:
    await until(lambda: len(rig.pages.all) == number)
