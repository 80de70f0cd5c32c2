"""Pages without a network in a real Chromium, read as the detector reads them.

Playwright shows them; they are read on Baton's own pipe, as a keeper does, so that no driver's time is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Error, Page, Request, Route, async_playwright

from sandbox.blockers.detect import detect
from sandbox.blockers.facts import Facts, Scan
from sandbox.blockers.scan import SOURCE
from sandbox.blockers.words import Finding
from sandbox.browser import launch
from sandbox.cdp import Connection
from sandbox.screen import Size
from web.demo.sites import free_port

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

    def __init__(self, page: Page, connection: Connection, session: str) -> None:
        self._page, self._connection, self._session = page, connection, session
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
        """Read what is shown and decide, timed once the page has been laid out. Raises `CdpError`."""
        tree = (await self._send("Page.getFrameTree"))["frameTree"]
        contexts = [(frame, await self._world(frame)) for frame in _frames(tree)]
        await self._send("Page.getLayoutMetrics")
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

    async def _send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self._connection.call(method, params, self._session)

    async def _world(self, frame: str) -> int:
        made = await self._send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "reader"})
        context: int = made["executionContextId"]
        return context

    async def _scan(self, frame: str, context: int, *, main: bool) -> Scan:
        params = {"expression": SOURCE, "contextId": context, "returnByValue": True}
        answer = await self._send("Runtime.evaluate", params)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return Scan.from_wire(frame, answer["result"]["value"], main=main)


def _frames(tree: dict[str, Any]) -> list[str]:
    return [tree["frame"]["id"], *(each for child in tree.get("childFrames", []) for each in _frames(child))]


@contextlib.asynccontextmanager
async def opened(*, scripts: bool = True) -> AsyncIterator[Reader]:
    """A reader in a Chromium of its own, with the pages' scripts running or not."""
    profile, port = Path(tempfile.mkdtemp(prefix="bench-reader-")), free_port()
    browser = await launch(profile, Size(1280, 800), extra=(f"--remote-debugging-port={port}",))
    try:
        async with async_playwright() as driver:
            shown = await driver.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
            context = await shown.new_context(java_script_enabled=scripts, viewport={"width": 1280, "height": 800})
            page = await context.new_page()
            target = (await (await context.new_cdp_session(page)).send("Target.getTargetInfo"))["targetInfo"][
                "targetId"
            ]
            attach = {"targetId": target, "flatten": True}
            session = (await browser.connection.call("Target.attachToTarget", attach))["sessionId"]
            reader = Reader(page, browser.connection, session)
            await reader.start()
            yield reader
    finally:
        await browser.close()
        shutil.rmtree(profile, ignore_errors=True)
