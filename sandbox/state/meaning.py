"""What a page means to whoever acts on it, as one keyed digest: an approval is good for one meaning only.

It covers the address, which document it is, what it shows, and every control with its state and place; of frames from
another origin only the fields, because adverts change by themselves. What changes without changing what an
action would do (a clock with seconds) is left out; where in doubt the digest differs, and approval is asked for anew.

It is asked for while the agent has control, who may run code in any world of the page. So it is read past all of them,
from Chromium's own snapshot of the document (CDP, DOMSnapshot.captureSnapshot).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.pages import Pages
from sandbox.state.snapshot import Digest
from sandbox.state.worlds import UNANSWERED, Frame, Worlds
from sandbox.words import TooLarge, Unavailable

DEADLINE_S: Final = 3.0
MOST_NODES: Final = 100_000
"""Of one process's documents; more is not bound to, and so not approved."""
_FIELDS: Final = frozenset({"INPUT", "SELECT", "TEXTAREA", "BUTTON", "FORM", "OPTION"})
_CONTROLS: Final = _FIELDS | {"A", "AREA", "SUMMARY", "DIALOG", "IFRAME", "LABEL"}
_ACTS: Final = frozenset({"role", "onclick", "tabindex", "contenteditable"})
_TOLD: Final = _ACTS | {
    "type", "name", "id", "href", "src", "action", "method", "formaction", "formmethod", "target", "onsubmit", "for",
    "aria-label", "aria-checked", "aria-selected", "aria-expanded", "aria-disabled", "title", "disabled", "open",
}  # fmt: skip
_CLOCK: Final = re.compile(r"\b\d{1,2}:\d\d:\d\d\b")

type Line = Sequence[Any]


class Meaning:
    """Reads the pages of one browser."""

    def __init__(self, pages: Pages, worlds: Worlds, digest: Digest) -> None:
        self._pages, self._worlds, self._digest = pages, worlds, digest

    async def token(self, target: str) -> str:
        """Return the digest of what the page `target` means now, in hexadecimal.

        Raises `NotFound`, `Unavailable` where the page does not answer, `TooLarge` where it is too large to be sure.
        """
        page = self._pages.get(target)
        call = self._pages.connection.call
        try:
            async with asyncio.timeout(DEADLINE_S):
                (frames, left_out), info, *snapshots = await asyncio.gather(
                    self._worlds.frames(page, DEADLINE_S),
                    # The browser process answers this, query and fragment included.
                    call("Target.getTargetInfo", {"targetId": page.target}),
                    *(call("DOMSnapshot.captureSnapshot", {"computedStyles": []}, each) for each in page.sessions),
                )
        except UNANSWERED as error:
            raise Unavailable("the page does not answer, so nothing on it can be approved; try again") from error
        if left_out or any(_nodes(snapshot) > MOST_NODES for snapshot in snapshots):
            raise TooLarge("the page is too large to be sure that it stays as it is; nothing on it can be approved")
        return await asyncio.to_thread(self._digested, info["targetInfo"]["url"], frames, snapshots)

    def _digested(self, address: str, frames: Sequence[Frame], snapshots: Sequence[Mapping[str, Any]]) -> str:
        origin = _origin(frames[0].url)
        lines: list[Line] = [address, *([frame.id, frame.document] for frame in frames if _origin(frame.url) == origin)]
        for snapshot in snapshots:
            lines += read(snapshot, origin)
        return self._digest("meaning", json.dumps(lines)).hex()


def read(snapshot: Mapping[str, Any], origin: tuple[str, str]) -> Iterator[Line]:
    """Yield what every document of a snapshot says. Pure."""
    strings = snapshot["strings"]
    for document in snapshot["documents"]:
        own = _origin(strings[document["documentURL"]]) == origin
        if own:
            yield ["scrolled", document.get("scrollOffsetX", 0), document.get("scrollOffsetY", 0)]
            yield from _texts(document["layout"], strings)
        yield from _controls(document, strings, _CONTROLS if own else _FIELDS, own=own)


def _texts(layout: Mapping[str, Any], strings: Sequence[str]) -> Iterator[Line]:
    for index in layout["text"]:
        shown = " ".join(strings[index].split()) if index >= 0 else ""
        if shown:
            yield ["text", _CLOCK.sub("(clock)", shown)]


def _controls(
    document: Mapping[str, Any], strings: Sequence[str], names: frozenset[str], *, own: bool
) -> Iterator[Line]:
    nodes, layout = document["nodes"], document["layout"]
    boxes = dict(zip(layout["nodeIndex"], layout["bounds"], strict=True))
    clickable = set(nodes.get("isClickable", {}).get("index", ())) if own else set()
    checked, selected = (set(nodes.get(what, {}).get("index", ())) for what in ("inputChecked", "optionSelected"))
    values = {
        index: strings[value]
        for what in ("inputValue", "textValue")
        for index, value in zip(nodes.get(what, {}).get("index", ()), nodes.get(what, {}).get("value", ()), strict=True)
    }
    for index, name in enumerate(nodes["nodeName"]):
        listed = nodes["attributes"][index]
        attributes = {strings[key]: strings[value] for key, value in zip(listed[::2], listed[1::2], strict=True)}
        if strings[name].upper() in names or index in clickable or (own and not _ACTS.isdisjoint(attributes)):
            told = sorted((key, value) for key, value in attributes.items() if key in _TOLD)
            state = [values.get(index), index in checked, index in selected]
            yield [strings[name], told, state, [round(each) for each in boxes.get(index, ())]]


def _nodes(snapshot: Mapping[str, Any]) -> int:
    return sum(len(document["nodes"]["nodeName"]) for document in snapshot["documents"])


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
