"""Plays sessions: a fresh browser context for each is made by closing its tabs and clearing what sites stored."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from structlog.testing import capture_logs

from bench.control.diff.human import Human
from bench.control.diff.judge import Verdict, claims, judge
from bench.control.diff.leaks import WORD, leaked, plant
from bench.control.diff.sessions import Place, Session
from bench.control.diff.sites import own_site
from sandbox.browser import launch
from sandbox.downloads import Download, Downloads
from sandbox.pages import Pages
from sandbox.screen import Size
from sandbox.state import StateRoom
from sandbox.words import SystemClock
from web.demo.sites import PASSWORD, USER, captcha_site, wagtail_site


@dataclass(frozen=True, slots=True)
class Played:
    """One session that was played: the verdict, the answer of the state room, what was planted and what got out."""

    session: Session
    verdict: Verdict
    answer: dict[str, Any]
    seconds: float
    planted: tuple[str, ...] = field(repr=False)
    leaked: tuple[str, ...] = field(repr=False)
    """Those of `planted` that were found in what is written or sent."""


@asynccontextmanager
async def places(names: Iterable[str], home: Path) -> AsyncIterator[dict[str, Place]]:
    """Start the sites that `names` need, under `home`."""
    wanted = set(names)
    async with AsyncExitStack() as stack:
        made: dict[str, Place] = {}
        if "own" in wanted:
            made["own"] = Place(stack.enter_context(own_site()), home)
        if "captcha" in wanted:
            site = await captcha_site(home / "captcha")
            stack.push_async_callback(site.close)
            made["captcha"] = Place(site.url, home, site.captcha_answer)
        if wanted & {"wagtail", "guest"}:
            site = await wagtail_site(home / "wagtail")
            stack.push_async_callback(site.close)
            made["wagtail"] = made["guest"] = Place(site.url, home)
        yield made


async def sign_in(human: Human, place: Place) -> None:
    """Sign in to wagtail, as the agent did long ago."""
    await human.go(f"{place.url}/admin/login/")
    await human.at("/admin/login/")
    await human.fill("#id_username", USER)
    await human.fill("#id_password", PASSWORD)
    await human.press("Enter")
    await human.at("/admin/")


async def _play(session: Session, place: Place, pages: Pages, humans: list[Human]) -> Played:
    began = time.monotonic()
    await _fresh(pages)
    place = replace(place, secret=plant(session.secret) if session.secret else "")
    room = StateRoom(pages, None, b"k" * 32, SystemClock())
    human = Human(pages, room)
    humans[:] = [human]
    try:
        if session.site == "wagtail":
            await sign_in(human, place)
        await human.go(f"{place.url}{session.start}")
        await human.see(f"location.href.startsWith('{place.url}/') && document.readyState === 'complete'")
        if session.before is not None:
            await session.before(human, place)
        planted = (*await _plant(human, place), *filter(None, [place.secret]))
        with capture_logs() as logged:
            marked = await room.mark("h")
            room.secret_lease(session.lease)
            await asyncio.sleep(session.idle_s)
            await session.script(human, place)
            answer = await room.diff("h")
    finally:
        human.close()
        await room.close()
    written = [
        answer["text"],
        *(json.dumps(each, default=repr, ensure_ascii=False) for each in (marked, answer, logged)),
    ]
    verdict = judge(session.truth, claims(answer["diff"]))
    return Played(session, verdict, answer, time.monotonic() - began, planted, tuple(leaked(planted, written)))


async def _plant(human: Human, place: Place) -> tuple[str, str]:
    """Put a secret into a cookie that scripts can't read, and another into storage; returns both."""
    cookie, key = plant(WORD), plant(WORD)
    await human.set_cookie({"name": "planted", "value": quote(cookie), "url": place.url, "httpOnly": True})
    await human.look(f"localStorage.setItem('planted', {json.dumps(key)})")
    return cookie, key


async def _fresh(pages: Pages) -> None:
    call = pages.connection.call
    old = {page.target for page in pages.all}
    await call("Target.createTarget", {"url": "about:blank"})
    async with asyncio.timeout(10):
        while not {page.target for page in pages.all} - old:  # noqa: ASYNC110 - the browser is another process
            await asyncio.sleep(0.02)
        for target in old:
            page = pages.get(target)
            for origin in {page.url.split("/")[2]} if page.url.startswith("http") else set[str]():
                for host in (origin, origin.replace("127.0.0.1", "localhost")):
                    params = {"origin": f"http://{host}", "storageTypes": "all"}
                    await pages.call(page, "Storage.clearDataForOrigin", params)
            # A page that asks before it is left is not asked.
            await call("Target.closeTarget", {"targetId": target})
        await call("Storage.clearCookies")
        while {page.target for page in pages.all} & old:  # noqa: ASYNC110 - the browser is another process
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-diff-", ignore_cleanup_errors=True) as name:
        yield Path(name)


async def play(sessions: Iterable[Session]) -> AsyncIterator[Played | tuple[Session, Exception]]:
    """Play sessions one after another in one browser; one that fell over twice comes with its error."""
    chosen = list(sessions)
    with _folder() as home:
        async with places({each.site for each in chosen}, home) as made:
            browser = await launch(home / "profile", Size(1280, 900))
            pages = Pages(browser.connection)
            humans: list[Human] = []
            try:
                await pages.start()

                def note(download: Download) -> None:
                    for human in humans:
                        human.note_download(download)

                await Downloads.open(browser.connection, home / "downloads", note, SystemClock())
                for session in chosen:
                    for again in (True, False):
                        try:
                            yield await _play(session, made[session.site], pages, humans)
                            break
                        except Exception as error:  # noqa: BLE001 - the others are played all the same
                            if not again:
                                yield session, error
            finally:
                await browser.close()
