"""A watch over real pages: it tells what stops the agent, once, and costs nothing where nothing changes."""

from __future__ import annotations

import asyncio

import pytest

from tests.sandbox.blockers.conftest import Rig, Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LOGIN = """<!doctype html><title>Sign in</title><h1>Sign in</h1><form action=/in method=post>
<label>E-mail <input name=email type=email autocomplete=username></label>
<label>Password <input name=password type=password autocomplete=current-password></label>
<button>Sign in</button></form>"""
SEARCH = """<!doctype html><title>Books</title><h1>Books</h1>
<form><input name=q type=search><button>Search</button></form>
<p>A shop for books about gardens, rivers and bridges. Choose a shelf and read on.</p><a href=/a>Shelf</a>"""
QUIET = "<!doctype html><title>Home</title><h1>Home</h1><p>Nothing here asks for anything.</p>"


async def test_a_login_page_is_told_once_and_goes(rig: Rig, site: Site) -> None:
    """It is told with its place and confidence; leaving it tells that it is gone."""
    await rig.goto(site.put("/login", LOGIN))
    await rig.until(rig.told)

    (judged,) = rig.news[0].new
    assert (judged.finding.kind, rig.news[0].target) == ("credentials", rig.page.target)
    assert judged.finding.confidence >= 0.8
    assert [page["target"] for page in rig.watch.current()] == [rig.page.target]
    await rig.js("document.querySelector('button').append(' now')")
    await rig.settled()
    assert rig.told() == ["credentials"]
    await rig.goto(site.put("/quiet", QUIET))
    await rig.until(rig.gone)
    assert rig.gone() == ["credentials"]
    assert rig.watch.current() == []


@pytest.mark.parametrize("html", [SEARCH, QUIET], ids=["search", "quiet"])
async def test_an_ordinary_page_tells_nothing(rig: Rig, site: Site, html: str) -> None:
    """A search form stops nobody; and a page where nothing changes is not looked at again."""
    await rig.goto(site.put("/ordinary", html))
    await rig.settled(1)

    assert rig.news == []
    assert rig.watch.looks <= 3


async def test_a_page_cannot_hide_by_redefining_things(rig: Rig, site: Site) -> None:
    """What page scripts put in the place of the browser's own functions is not used."""
    spoilt = """<script>JSON.stringify = JSON.parse = () => '{}';
    Array.prototype.map = Array.prototype.filter = () => [];
    document.querySelector = document.querySelectorAll = Element.prototype.querySelectorAll = () => [];
    window.MutationObserver = class { observe() {} }; window.setTimeout = () => 0;
    performance.getEntriesByType = () => { throw 1 };</script>"""
    await rig.goto(site.put("/spoilt", f"{spoilt}{QUIET}"))
    await rig.settled(1)
    # It only comes later, so that the watching itself is put to the test.
    html = LOGIN.partition("<h1>")[2].replace("\n", "")
    await rig.js(f"document.body.innerHTML = {html!r}")
    await rig.until(rig.told)

    assert rig.told() == ["credentials"]


async def test_what_is_just_passing_is_not_told(rig: Rig, site: Site) -> None:
    """A login page that sends itself off is nothing to stop at, nor a dialog that is answered at once."""
    onward = site.put("/quiet", QUIET)
    await rig.goto(site.put("/passing", f"{LOGIN}<script>setTimeout(() => location = '{onward}', 400)</script>"))
    await rig.until(lambda: rig.page.url == onward)
    opened = asyncio.create_task(rig.js("alert('one moment')"))
    ended = asyncio.Event()
    rig.pages.on_event(lambda _p, _s, method, _a: ended.set() if method == "Page.javascriptDialogOpening" else None)
    await ended.wait()
    await rig.pages.call(rig.page, "Page.handleJavaScriptDialog", {"accept": True})
    await opened
    await rig.settled()

    assert rig.told() == []


async def test_a_dialog_that_stays_open_is_told(rig: Rig, site: Site) -> None:
    """The page behind it answers nothing, and need not."""
    await rig.goto(site.put("/quiet", QUIET))
    await rig.settled(1)
    asking = asyncio.create_task(rig.js("confirm('Really?')"))
    await rig.until(rig.told)

    assert rig.told() == ["dialog"]
    assert "Really" not in str(rig.news)
    await rig.pages.call(rig.page, "Page.handleJavaScriptDialog", {"accept": False})
    await asking
    await rig.until(rig.gone)


async def test_a_file_chooser_is_told_until_it_has_its_file(rig: Rig, site: Site) -> None:
    """The agent that gives the file itself hears that it is gone."""
    await rig.pages.call(rig.page, "Page.setInterceptFileChooserDialog", {"enabled": True})
    await rig.goto(site.put("/upload", "<title>Form</title><input type=file style='position:fixed;left:0;top:0'>"))
    await rig.settled(1)
    await rig.click(40, 10)
    await rig.until(lambda: "upload" in rig.told())

    found = await rig.pages.call(rig.page, "Runtime.evaluate", {"expression": "document.querySelector('input')"})
    params = {"files": [__file__], "objectId": found["result"]["objectId"]}
    rig.watch.acted(rig.page.target, "DOM.setFileInputFiles", params)
    await rig.pages.call(rig.page, "DOM.setFileInputFiles", params)
    await rig.until(lambda: "upload" in rig.gone())


async def test_a_page_behind_a_password_is_told(rig: Rig, site: Site) -> None:
    """Basic authentication shows no form, only the browser's own error page."""
    await rig.goto(site.put("/locked", "no", 401))
    await rig.until(rig.told)

    (judged,) = rig.news[0].new
    assert (judged.finding.kind, judged.finding.sort) == ("credentials", "basic_auth")


async def test_the_same_click_three_times_without_effect_is_stuck(rig: Rig, site: Site) -> None:
    """A dead button is; a counter is not; and it goes when something changes. A clock beside it is no effect."""
    clock = "<i id=t>0</i><script>setInterval(() => { t.textContent = performance.now() }, 200)</script>"
    button = "<title>Cart</title><button style='position:fixed;left:0;top:0;width:99px'>Buy</button><p>A cart.</p>"
    await rig.goto(site.put("/dead", f"{button}{clock}"))
    await rig.calm()
    for _ in range(3):
        await rig.click(20, 9)
    await rig.until(rig.told)
    assert rig.told() == ["stuck"]

    await rig.js("document.querySelector('p').textContent = 'Two carts.'")
    await rig.until(rig.gone)
    counter = "<script>document.querySelector('button').onclick = e => e.target.textContent += '!'</script>"
    await rig.goto(site.put("/live", f"{button}{counter}"))
    await rig.settled(1)
    for _ in range(5):
        await rig.click(20, 9)
    await rig.settled()
    assert rig.told() == ["stuck"]


async def test_it_stands_still_while_the_agent_does_not_hold_control(rig: Rig, site: Site) -> None:
    """What the human meets is not news; what is left at the return is."""
    rig.hand(agent=False)
    await rig.goto(site.put("/login", LOGIN))
    while await rig.js("document.title") != "Sign in":  # noqa: ASYNC110 - it happens in a browser
        await asyncio.sleep(0.02)
    await asyncio.sleep(1)
    assert (rig.watch.looks, rig.news) == (0, [])

    rig.hand(agent=True)
    await rig.until(rig.told)
    assert rig.told() == ["credentials"]


@pytest.mark.full
async def test_a_hanging_page_costs_nothing(rig: Rig, site: Site) -> None:
    """It is left alone longer and longer, and told about when it answers again."""
    html = f"{QUIET}<script>setTimeout(() => {{ for (const t = Date.now(); Date.now() < t + 5000;); }}, 50)</script>"
    await rig.goto(site.put("/hangs", html))
    await asyncio.sleep(3)
    assert rig.watch.looks <= 3
    html = LOGIN.partition("<h1>")[2].replace("\n", "")
    await rig.js(f"document.body.innerHTML = {html!r}")
    await rig.until(rig.told)

    assert rig.told() == ["credentials"]


@pytest.mark.full
async def test_a_page_that_always_changes_is_looked_at_less_and_less(rig: Rig, site: Site) -> None:
    """Advertisements that come and go cost a few looks a minute, not many a second."""
    html = f"{QUIET}<div id=a></div><script>setInterval(() => a.innerHTML = `<b>${{Date.now()}}</b>`, 50)</script>"
    await rig.goto(site.put("/ads", html))
    await rig.until(lambda: rig.watch.looks)
    await asyncio.sleep(5)

    assert rig.watch.looks <= 6
