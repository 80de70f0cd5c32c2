"""Looking whether a condition holds; each part has two seconds, a page that hangs holds nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.pages import Page, Pages, bare_url
from sandbox.state.conditions import (
    Condition,
    CookieSet,
    Finding,
    Holds,
    Leaf,
    Presence,
    SelectorIs,
    StatusIs,
    StorageHas,
    TextShown,
    UrlIs,
    leaves,
    reads_fields,
    report,
)
from sandbox.state.worlds import Frame, Worlds, settled
from sandbox.words import BatonError

DEADLINE_S: Final = 2.0
_RETRY_S: Final = 0.1
_TYPED: Final = "what is typed now is secret, so nothing may look into fields"
_FILLED: Final = "a secret field is filled in, so nothing may look into fields before it is empty"
_SLOW: Final = "the test did not end in time"
_TRIED: Final = f"{_SLOW}; it is tried again when Done is pressed"
_HANGS: Final = f"the page did not answer within {DEADLINE_S:g} s"


class Checker:
    """Judges conditions on the pages of one browser."""

    def __init__(self, pages: Pages, worlds: Worlds, secret: Callable[[], bool]) -> None:
        self._pages, self._worlds, self._secret = pages, worlds, secret
        self._slow: set[tuple[str, str]] = set()

    async def check(self, condition: Condition, target: str | None, *, live: bool = False) -> dict[str, Any]:
        """Return `conditions.report` for the page `target` (None: the active one).

        With `live`, a test that once did not end in a document is not tried there again: somebody works on the page.
        """
        page = next((page for page in self._pages.all if page.target == target), None) if target else self._pages.active
        every = list(dict.fromkeys(leaves(condition)))
        if page is None:
            gone = Finding(None, "the tab this handoff is about is closed" if target else "no tab is open")
            return report(condition, dict.fromkeys(every, gone))
        found = await asyncio.gather(*(self._find(leaf, page, live=live) for leaf in every))
        return report(condition, dict(zip(every, found, strict=True)))

    async def _find(self, leaf: Leaf, page: Page, *, live: bool) -> Finding:
        why = _HANGS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    try:
                        return await (self._into_fields if reads_fields(leaf) else self._look)(leaf, page, live)
                    except BatonError:
                        # A page between two documents refuses for a moment.
                        why = "the page could not be looked at; it may be loading or have crashed"
                    await asyncio.sleep(_RETRY_S)
        return Finding(None, why)

    async def _into_fields(self, leaf: Leaf, page: Page, live: bool) -> Finding:
        """Look, unless that could tell something of a secret that stands in a field, before or after."""
        if self._secret():
            return Finding(None, _TYPED)
        before = await self._filled(page)
        found = await self._look(leaf, page, live)
        after = await self._filled(page)
        # Another document in between may have held anything.
        return found if before == after and before is not None and not any(before.values()) else Finding(None, _FILLED)

    async def _filled(self, page: Page) -> dict[str, bool] | None:
        """Return by document whether a secret field in it is filled; None where the page does not say.

        Other tabs count as well: of the same site, they are within reach of a test.
        """
        found: dict[str, bool] = {}
        for each in self._pages.all:
            frames, left_out = await self._worlds.frames(each, DEADLINE_S)
            told = await settled([self._worlds.run(frame, "filled", timeout=DEADLINE_S / 2) for frame in frames])
            if each is page and (left_out or None in told):
                return None
            found.update((frame.document + frame.id, bool(filled)) for frame, filled in zip(frames, told, strict=True))
        return found

    async def _look(self, leaf: Leaf, page: Page, live: bool) -> Finding:
        match leaf:
            case UrlIs():
                url = await self._url(page)
                return Finding(leaf.matches(url), f"the page is at {bare_url(url)}")
            case CookieSet(name):
                return await self._cookie(page, name)
            case StorageHas(key):
                has = await self._worlds.run(await self._main(page), "has", key, timeout=DEADLINE_S)
                return Finding(has, f"storage {'has' if has else 'does not have'} this key")
            case TextShown(text):
                shown = await self._anywhere(page, "shows", text)
                return _any(shown, "the text is shown", "the text is not shown")
            case StatusIs():
                return await self._status(leaf, page)
            case Holds(expression):
                return await self._holds(page, expression, live)
            case SelectorIs():
                return _selector(leaf, await self._anywhere(page, "query", leaf.css))

    async def _status(self, leaf: StatusIs, page: Page) -> Finding:
        status = int(await self._worlds.run(await self._main(page), "status", timeout=DEADLINE_S) or 0)
        if not status:
            return Finding(None, "this page came from no server")
        url = await self._url(page)
        if leaf.where is not None and not leaf.where.matches(url):
            return Finding(False, f"the page is at {bare_url(url)}")
        return Finding(leaf.matches(status), f"the server answered with {status}")

    async def _holds(self, page: Page, expression: str, live: bool) -> Finding:
        frame = await self._main(page)
        if live and (expression, frame.document) in self._slow:
            return Finding(None, _TRIED)
        try:
            tested = await self._worlds.test(frame, expression, timeout=DEADLINE_S / 2)
        except TimeoutError:
            self._slow.add((expression, frame.document))
            return Finding(None, _SLOW)
        return Finding(tested.met, tested.why)

    def forget(self) -> None:
        """Forget which tests did not end: another handoff begins."""
        self._slow.clear()

    async def _url(self, page: Page) -> str:
        # The browser process answers this, also where the page hangs.
        history = await self._pages.call(page, "Page.getNavigationHistory", {}, DEADLINE_S)
        url: str = history["entries"][history["currentIndex"]]["url"]
        return url

    async def _cookie(self, page: Page, name: str) -> Finding:
        host = urlsplit(await self._url(page)).hostname or ""
        answer = await self._pages.connection.call("Storage.getCookies", {}, None, DEADLINE_S)
        found = any(each["name"] == name and _belongs(each["domain"], host) for each in answer["cookies"])
        return Finding(found, f"the cookie is {'' if found else 'not '}set for {host or 'this page'}")

    async def _main(self, page: Page) -> Frame:
        return (await self._worlds.frames(page, DEADLINE_S))[0][0]

    async def _anywhere(self, page: Page, operation: str, argument: str) -> list[Any]:
        """Ask every frame; None for each that did not answer in time."""
        frames, _ = await self._worlds.frames(page, DEADLINE_S)
        # Less than the whole deadline, so that one hanging frame does not hide what the others said.
        within = DEADLINE_S * 0.75
        return await settled([self._worlds.run(frame, operation, argument, timeout=within) for frame in frames])


def _belongs(domain: str, host: str) -> bool:
    return host == domain.lstrip(".") or (domain.startswith(".") and host.endswith(domain))


def _any(answers: list[Any], yes: str, no: str) -> Finding:
    if any(answers):
        return Finding(True, yes)
    return Finding(None, _HANGS) if None in answers else Finding(False, no)


def _selector(leaf: SelectorIs, answers: list[Any]) -> Finding:
    given = [each for each in answers if each is not None]
    if any(each.get("invalid") for each in given):
        return Finding(None, "this is not a valid CSS selector")
    present, shown = (sum(each[what] for each in given) for what in ("present", "shown"))
    count = shown if leaf.state is not Presence.PRESENT else present
    why = f"{present} in the page, {shown} visible"
    if leaf.state is Presence.GONE:
        return (
            Finding(False, why) if count else Finding(None, _HANGS) if len(given) < len(answers) else Finding(True, why)
        )
    return Finding(True, why) if count else Finding(None, _HANGS) if len(given) < len(answers) else Finding(False, why)
