"""Reading a page's facts and state, in every frame, through an isolated world of Baton's own.

Nothing that page scripts redefine is seen from that world. A page that does not answer is given up after `LOOK_S`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from sandbox.blockers.facts import Scan
from sandbox.blockers.scan import SOURCE as SCAN
from sandbox.cdp import CdpError, Connection
from sandbox.pages import Page
from sandbox.words import BatonError

LOOK_S: Final = 2.0
MOST_FRAMES: Final = 20
_WATCH: Final = files("sandbox.blockers").joinpath("watch.js").read_text(encoding="utf-8").rstrip()
_UNANSWERED: Final = (BatonError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look at a page came to.

    `scans` is empty where none was wanted. `state` and `place` are digests, None where they cannot be told.
    """

    document: str
    failed: bool
    status: int | None
    state: str | None
    place: str | None
    scans: tuple[Scan, ...] = ()


@dataclass(frozen=True, slots=True)
class _Frame:
    session: str
    id: str
    loader: str
    main: bool
    failed: bool


class Eyes:
    """Looks into pages. `binding` is the name of the CDP event by which a document says that it has changed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.binding = f"b{secrets.token_hex(8)}"
        self._world = f"w{secrets.token_hex(8)}"
        self._heard: dict[tuple[str, str], str] = {}

    def renew(self) -> None:
        """Look from a world that nobody has been in."""
        self._world = f"w{secrets.token_hex(8)}"
        self._heard.clear()

    def forget(self, sessions: set[str]) -> None:
        """Only these CDP sessions are left."""
        self._heard = {key: loader for key, loader in self._heard.items() if key[0] in sessions}

    async def look(self, page: Page, *, scan: bool) -> Sight | None:
        """Look at a page now, in all its frames; None where it does not answer. `scan`: read its facts, too."""
        try:
            frames = await self._frames(page)
        except _UNANSWERED:
            return None
        answers = await asyncio.gather(*(self._read(frame, scan=scan) for frame in frames))
        main = answers[0]
        if main is None:
            return None
        states = [None if answer is None else answer["look"]["state"] for answer in answers]
        places = [str(answer["look"]["place"]) for answer in answers if answer is not None]
        scans = tuple(
            Scan.from_wire(frame.id, answer["scan"], main=frame.main)
            for frame, answer in zip(frames, answers, strict=True)
            if answer is not None and answer["scan"] is not None
        )
        return Sight(
            frames[0].loader, frames[0].failed, main["look"]["status"],
            None if None in states else " ".join(map(str, states)), " ".join(places), scans,
        )  # fmt: skip

    async def _frames(self, page: Page) -> list[_Frame]:
        sessions = page.sessions  # they come and go while we wait
        trees = await asyncio.gather(
            *(self._connection.call("Page.getFrameTree", {}, session, LOOK_S) for session in sessions),
            return_exceptions=True,
        )
        found: list[_Frame] = []
        for session, tree in zip(sessions, trees, strict=True):
            if isinstance(tree, BaseException):
                if session == page.session or not isinstance(tree, _UNANSWERED):
                    raise tree
                continue
            branches = [tree["frameTree"]]
            while branches and len(found) < MOST_FRAMES:
                branch = branches.pop(0)
                data = branch["frame"]
                failed = bool(data.get("unreachableUrl"))
                found.append(_Frame(session, data["id"], data.get("loaderId", ""), not found, failed))
                branches.extend(branch.get("childFrames", []))
        return found

    async def _read(self, frame: _Frame, *, scan: bool) -> dict[str, Any] | None:
        call = self._connection.call
        try:
            async with asyncio.timeout(LOOK_S):
                params: dict[str, Any] = {"frameId": frame.id, "worldName": self._world}
                made = await call("Page.createIsolatedWorld", params, frame.session, LOOK_S)
                if self._heard.get((frame.session, frame.id)) != frame.loader:
                    # Without Runtime.enable, which pages can notice, a binding is known to present documents only.
                    params = {"name": self.binding, "executionContextName": self._world}
                    await call("Runtime.addBinding", params, frame.session, LOOK_S)
                    self._heard[frame.session, frame.id] = frame.loader
                watch = f"{_WATCH}({json.dumps({'binding': self.binding})}).look()"
                params = {
                    "expression": f"({{look: {watch}, scan: {SCAN if scan else 'null'}}})",
                    "contextId": made["executionContextId"], "returnByValue": True, "silent": True,
                }  # fmt: skip
                answer = await call("Runtime.evaluate", params, frame.session, LOOK_S)
                if "exceptionDetails" in answer:
                    # What was thrown may quote the page.
                    raise CdpError("a page could not be read for blockers")
                value: dict[str, Any] = answer["result"]["value"]
        except _UNANSWERED:
            return None
        return value

    async def empty_chooser(self, session: str, node: int) -> bool:
        """Whether a file input is still in its document and has no file."""
        call = self._connection.call
        try:
            found = await call("DOM.resolveNode", {"backendNodeId": node}, session, LOOK_S)
            params = {
                "functionDeclaration": "function () { return this.isConnected && !this.files?.length; }",
                "objectId": found["object"]["objectId"], "returnByValue": True, "silent": True,
            }  # fmt: skip
            answer = await call("Runtime.callFunctionOn", params, session, LOOK_S)
        except _UNANSWERED:
            return False
        return answer["result"].get("value") is True
