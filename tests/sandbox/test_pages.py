"""Pages follow tabs, popups, titles and crashes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox import processes
from sandbox.browser import Browser, launch
from sandbox.pages import Page, Pages, bare_url
from sandbox.processes import Process
from sandbox.screen import Size, Tab
from sandbox.words import NotFound

pytestmark = pytest.mark.browser
in_module_loop = pytest.mark.asyncio(loop_scope="module")

type Until = Callable[..., Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """One headless browser for the module."""
    profile: Path = tmp_path_factory.mktemp("pages")
    started = await launch(profile, Size(320, 240))
    yield started
    await started.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pages(browser: Browser) -> Pages:
    """Its pages."""
    made = Pages(browser.connection)
    await made.start()
    return made


async def show(pages: Pages, page: Page, html: str) -> None:
    """Load a small document."""
    await pages.call(page, "Page.navigate", {"url": f"data:text/html,{html}"})


def test_bare_urls_hold_no_secret() -> None:
    """User, query and fragment are cut off; the rest stays."""
    assert bare_url("https://ann:pw@host:8443/a/b?token=1#x") == "https://host:8443/a/b"
    assert bare_url("about:blank") == "about:blank"


@in_module_loop
async def test_a_popup_is_a_tab_until_it_closes(pages: Pages, until: Until) -> None:
    """A popup appears, is active, and its closing gives the front back to the first page."""
    first = pages.all[0]
    changes: list[int] = []
    end = pages.on_change(lambda: changes.append(len(pages.all)))
    await show(pages, first, "<title>One</title>")
    opening = {"expression": "pop = open('about:blank#x'); 0", "userGesture": True}
    await pages.call(first, "Runtime.evaluate", opening)

    await until(lambda: len(pages.all), 2)
    assert pages.active is pages.all[1]
    await pages.activate(first.target)
    assert pages.active is first
    await pages.call(first, "Runtime.evaluate", {"expression": "pop.close()"})
    await until(lambda: [tab.id for tab in pages.tabs()], [first.target])
    assert changes
    end()


@in_module_loop
async def test_titles_are_current(pages: Pages, until: Until) -> None:
    """A document's title is known once it has loaded, although Chromium does not tell of it."""
    await show(pages, pages.all[0], "<title>First</title>")
    await until(lambda: pages.tabs()[0].title, "First")
    await show(pages, pages.all[0], "<title>Second</title>")
    await until(lambda: pages.tabs()[0].title, "Second")


@in_module_loop
async def test_an_unknown_tab_is_named(pages: Pages) -> None:
    """Asking for a tab that is not there is an error that names it; no tab means the active one."""
    assert pages.get(None) is pages.active
    with pytest.raises(NotFound, match="tab_x"):
        pages.get("tab_x")


@in_module_loop
async def test_a_crash_is_told_and_the_tab_stays(pages: Pages, browser: Browser, until: Until) -> None:
    """When a page's process dies its tab is named; it is still there and can be loaded again."""
    await show(pages, pages.all[0], "<title>Doomed</title>")
    await until(lambda: pages.tabs()[0].title, "Doomed")
    crashed: list[Tab] = []
    end = pages.on_crash(crashed.append)
    leader = Process.of(browser.process.pid)
    assert leader is not None

    for process in processes.of_session(leader):
        if b"--type=renderer" in (processes.PROC / str(process.pid) / "cmdline").read_bytes():
            process.kill()

    await until(lambda: [tab.id for tab in crashed], [pages.all[0].target])
    await show(pages, pages.all[0], "<title>Again</title>")
    await until(lambda: pages.tabs()[0].title, "Again")
    end()
