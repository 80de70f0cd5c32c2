"""Pages without a network in a real Chromium, read as the detector reads them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from playwright.async_api import CDPSession, Error, Page, Request, Route, async_playwright

from sandbox.blockers.detect import detect
from sandbox.blockers.facts import Facts, Scan
from sandbox.blockers.scan import SOURCE
from sandbox.blockers.words import Finding
from sandbox.browser import find_chromium

_LOAD_MS: Final = 15_000


@dataclass(frozen=True, slots=True)
class Read:
    """What was found on a page; `ms` is what reading its main frame and deciding took."""

    facts: Facts
    findings: tuple[Finding, ...]
    ms: float

    def has(self, kind: str, sort: str | None = None) -> bool:
        """Whether a finding of this kind (and sort) is among them."""
        return any(each.kind == kind and sort in {None, each.sort} for each in self.findings)


class Reader:
    """One tab that shows markup as if it had come from any address; everything else it asks for fails."""

    def __init__(self, page: Page, cdp: CDPSession) -> None:
        self._page, self._cdp = page, cdp
        self._answer: dict[str, Any] | None = None
        self._given: Mapping[str, str] = {}

    async def start(self) -> None:
        """Cut the tab off."""
        self._page.on("dialog", lambda dialog: dialog.dismiss())
        await self._page.route("**/*", self._route)

    async def _route(self, route: Route, request: Request) -> None:
        answer = self._answer
        if answer is not None and request.is_navigation_request() and request.frame == self._page.main_frame:
            self._answer = None
            await route.fulfill(**answer)
        elif request.url in self._given:
            await route.fulfill(body=self._given[request.url], content_type="text/javascript")
        elif request.is_navigation_request():
            # A page that goes elsewhere stays; a frame is an empty one.
            await route.fulfill(status=204 if request.frame == self._page.main_frame else 200, body="")
        else:
            await route.abort()

    async def open(
        self, html: str | bytes, url: str, status: int = 200, scripts: Mapping[str, str] | None = None
    ) -> None:
        """Show a page; `scripts` are what it may load, by address."""
        self._given = scripts or {}
        self._answer = {"body": html, "status": status, "content_type": "text/html; charset=utf-8"}
        with contextlib.suppress(Error):  # a page that goes elsewhere at once is left as far as it came
            await self._page.goto(url, wait_until="load", timeout=_LOAD_MS)

    async def evaluate(self, script: str, argument: Any = None) -> Any:
        """Run a script in the page."""
        return await self._page.evaluate(script, argument)

    async def read(self, url: str, status: int | None = 200, headers: Mapping[str, str] | None = None) -> Read:
        """Read what is shown and decide, timed once the page has been laid out. Raises Playwright's `Error`."""
        tree = (await self._cdp.send("Page.getFrameTree"))["frameTree"]
        contexts = [(frame, await self._world(frame)) for frame in _frames(tree)]
        await self._cdp.send("Page.getLayoutMetrics")
        began = time.perf_counter()
        first, *rest = await asyncio.gather(
            *(self._scan(*context, main=at == 0) for at, context in enumerate(contexts)), return_exceptions=True
        )
        if isinstance(first, BaseException):
            raise first
        scans = [first, *(each for each in rest if isinstance(each, Scan))]  # a frame may go at any time
        facts = Facts(url, status, headers or {}, tuple(scans))
        findings = detect(facts)
        return Read(facts, findings, (time.perf_counter() - began) * 1000)

    async def _world(self, frame: str) -> int:
        made = await self._cdp.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "reader"})
        context: int = made["executionContextId"]
        return context

    async def _scan(self, frame: str, context: int, *, main: bool) -> Scan:
        params = {"expression": SOURCE, "contextId": context, "returnByValue": True}
        answer = await self._cdp.send("Runtime.evaluate", params)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return Scan.from_wire(frame, answer["result"]["value"], main=main)


def _frames(tree: dict[str, Any]) -> list[str]:
    return [tree["frame"]["id"], *(each for child in tree.get("childFrames", []) for each in _frames(child))]


@contextlib.asynccontextmanager
async def opened(*, scripts: bool = True) -> AsyncIterator[Reader]:
    """A reader in a Chromium of its own, with the pages' scripts running or not."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        context = await browser.new_context(java_script_enabled=scripts, viewport={"width": 1280, "height": 800})
        page = await context.new_page()
        reader = Reader(page, await context.new_cdp_session(page))
        await reader.start()
        try:
            yield reader
        finally:
            await browser.close()
