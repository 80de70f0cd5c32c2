"""Pages that a client knows and that were closed while a human had control.

A client that hears of the end at once (Playwright does) can say no more than "page has been closed". So the end of a
page is told behind the first command that is sent to it afterwards, whose answer names the page to continue on. A
popup whose opener is still there is told as usual: that it closes is what its agent waits for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sandbox.gate.errors import PageReplaced, page_replaced
from sandbox.gate.rebuild import Told, Tree
from sandbox.pages import Pages, bare_url

_MOST: Final = 100
_ENDS: Final = frozenset({"Target.detachedFromTarget", "Target.targetDestroyed"})


class Ended:
    """The closed pages of one client."""

    def __init__(self, pages: Pages) -> None:
        self.elements = 0
        """Element handles in sessions that ended since the close."""
        self._pages = pages
        self._targets: dict[str, str] = {}
        self._untold: dict[str, list[Told]] = {}

    def keep_back(self, told: list[Told], seen: Tree, infos: Mapping[str, dict[str, Any]]) -> Iterator[Told]:
        """Yield what is told now of `told`; `infos` are the targets that are still there."""
        kept: dict[str, str] = {}
        for event in told:
            session = str(event.params.get("sessionId"))
            if event.method == "Target.detachedFromTarget" and session in seen:
                info = seen[session].info
                if info.get("type") == "page" and info.get("openerId") not in infos:
                    kept[str(info["targetId"])] = session
        for event in told:
            about = kept.get(event.params.get("targetId", ""))
            if about is not None and event.method in _ENDS:
                self._untold.setdefault(about, []).append(event)
            else:
                yield event
        self._targets.update({session: target for target, session in kept.items()})
        for session in list(self._targets)[:-_MOST]:
            del self._targets[session]
            yield from self._untold.pop(session, ())

    def error(self, session: str) -> PageReplaced | None:
        """Return what a command on this session is answered; None where no page of the client's ended there."""
        target = self._targets.get(session)
        if target is None:
            return None
        page = self._pages.active
        return page_replaced(session, target, None if page is None else (page.target, bare_url(page.url)))

    def told(self, session: str) -> list[Told]:
        """Return, once, the events that were kept back for a page."""
        return self._untold.pop(session, [])
