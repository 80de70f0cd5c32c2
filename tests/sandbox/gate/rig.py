"""What the tests of the gate drive it with: transfers of control, a raw client, an authority, a site's pages."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import websockets

from sandbox.authority import Action, Answer, ApprovalAsk, HandoffAsk, Verdict
from sandbox.browser import Browser
from sandbox.fence import Fence
from sandbox.gate import Gate, Opened, Unknown, WhileHeld
from sandbox.pages import Page, Pages
from sandbox.words import NOBODY, THE_AGENT, Conflict, Epoch, Holder, NotFound, OperatorId, SandboxId, Side, SystemClock

ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")

COUNTER = """<!doctype html><title>{title}</title><h1>{title}</h1>
<button onclick="acts++">Press</button> <input id=name> <a href="/two">Two</a>
<script>var acts = 0, reads = 0, ticks = 0; setInterval(() => ticks++, 20);
Object.defineProperty(window, 'probe', {{get() {{ reads++; return reads }}}});</script>"""

PAGES: dict[str, str] = {
    "/": COUNTER.format(title="One"),
    "/two": COUNTER.format(title="Two"),
    "/popup": COUNTER.format(title="Popup"),
    "/closes": "<script>setTimeout(close, 50)</script>",
    "/frames": "<h1>Frames</h1><iframe src='{other}/two'></iframe><iframe src='/two'></iframe>",
    "/data": "payload",
    "/worker.js": "self.kept = 'by the site'; onmessage = e => e.source.postMessage(self.kept)",
}


@dataclass(frozen=True)
class Site:
    """Two origins of different sites (so that Chromium swaps processes between them), same pages."""

    here: str
    other: str
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


class Agreeing:
    """An authority that allows everything and keeps handoffs in a dict."""

    def __init__(self) -> None:
        self.actions: list[Action] = []
        self.asks: list[HandoffAsk] = []
        self.handoffs: dict[str, dict[str, Any]] = {}
        self.approvals: dict[str, dict[str, Any]] = {}
        self.verdict = Verdict(Answer.ALLOW)

    def pushed(self, holder: Holder, epoch: Epoch) -> None:
        """Nothing depends on it here."""

    def permit(self, action: Action) -> Verdict:
        """See `Authority.permit`."""
        self.actions.append(action)
        return self.verdict

    async def ask_handoff(self, ask: HandoffAsk) -> dict[str, Any]:
        """See `Authority.ask_handoff`."""
        self.asks.append(ask)
        handoff: dict[str, Any] = {"id": f"ho_{len(self.handoffs)}", "state": "waiting", "kind": ask.params.get("kind")}
        self.handoffs[handoff["id"]] = handoff
        return handoff

    async def get_handoff(self, handoff: str) -> dict[str, Any]:
        """See `Authority.get_handoff`."""
        if handoff not in self.handoffs:
            raise NotFound(f"there is no handoff {handoff}", handoff=handoff)
        return self.handoffs[handoff]

    async def cancel_handoff(self, handoff: str) -> dict[str, Any]:
        """See `Authority.cancel_handoff`."""
        found = await self.get_handoff(handoff)
        found["state"] = "cancelled"
        return found

    async def extend_handoff(self, handoff: str, timeout_s: float) -> dict[str, Any]:
        """See `Authority.extend_handoff`."""
        found = await self.get_handoff(handoff)
        found["deadline_at"] = timeout_s
        return found

    async def ask_approval(self, ask: ApprovalAsk) -> dict[str, Any]:
        """See `Authority.ask_approval`."""
        approval: dict[str, Any] = {**asdict(ask), "id": f"ap_{len(self.approvals)}", "state": "pending"}
        self.approvals[approval["id"]] = approval
        return approval

    async def get_approval(self, approval: str) -> dict[str, Any]:
        """See `Authority.get_approval`."""
        if approval not in self.approvals:
            raise NotFound(f"there is no approval {approval}", approval=approval)
        return self.approvals[approval]

    async def use_approval(self, approval: str, page_state: str) -> dict[str, Any]:
        """See `Authority.use_approval`."""
        found = await self.get_approval(approval)
        if found["state"] != "approved" or found["page_state"] != page_state:
            raise Conflict(f"{approval} is {found['state']}, or its page has changed", approval=approval)
        found["state"] = "used"
        return found


class Rig:
    """A gate before a browser: transfers control as a keeper would, and looks with Baton's own eyes."""

    def __init__(self, browser: Browser, pages: Pages, room: Path) -> None:
        self.connection = browser.connection
        self.pages = pages
        self.fence = Fence()
        self.authority = Agreeing()
        self.downloads, self.uploads = room / "downloads", room / "uploads"
        self.downloads.mkdir()
        self.uploads.mkdir()
        self.gate = Gate(
            self.connection, pages, self.fence, self.authority, sandbox=SandboxId("sb_test"),
            downloads=self.downloads, uploads=self.uploads, clock=SystemClock(),
        )  # fmt: skip
        self.written: list[bytes] = []
        self.url = ""
        self.while_held = WhileHeld.REFUSE
        self.opened: Opened | None = None
        self._epochs = itertools.count(1)
        self._clients = itertools.count(1)

    async def serve(self, socket: Any) -> None:
        """Stand for the keeper's socket."""
        await self.gate.serve(socket, f"client-{next(self._clients)}", self.while_held)

    async def shut(self, drain_s: float = 1.0, holder: Holder = NOBODY) -> tuple[Unknown, ...]:
        """Take control away, and give it to Ann once the gate has acknowledged."""
        self.fence.push(holder, Epoch(next(self._epochs)), 1000.0)
        unknown = await self.gate.close(drain_s)
        self.fence.push(ANN, Epoch(next(self._epochs)), 1000.0)
        return unknown

    async def open(self) -> tuple[str, ...]:
        """Give control to the agent."""
        epoch = Epoch(next(self._epochs))
        self.opened = await self.gate.open(lambda: self.fence.push(THE_AGENT, epoch, 2000.0))
        return self.opened.notes

    def page(self) -> Page:
        """The page in front."""
        return self.pages.get(None)

    async def js(self, expression: str, page: Page | None = None) -> Any:
        """Evaluate through Baton's own session."""
        params = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        result = await self.pages.call(page or self.page(), "Runtime.evaluate", params)
        return result["result"].get("value")

    async def goto(self, url: str, page: Page | None = None) -> None:
        """Navigate as the human does, and wait for the load."""
        page = page or self.page()
        await self.pages.call(page, "Page.navigate", {"url": url})
        await until_async(lambda: self._loaded(page))

    async def _loaded(self, page: Page) -> bool:
        return bool(await self.js("document.readyState === 'complete' && location.href !== 'about:blank'", page))


async def until(condition: Callable[[], Any], timeout: float = 10.0) -> Any:  # noqa: ASYNC109
    """Poll until `condition()` is true; returns what it returned."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not (value := condition()):
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
    return value


async def until_async(condition: Callable[[], Any], timeout: float = 10.0) -> Any:  # noqa: ASYNC109
    """Poll until `await condition()` is true."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not (value := await condition()):
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
    return value


class Refused(Exception):
    """A CDP error a raw client got."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code, self.data = error["code"], error.get("data")


class Raw:
    """A CDP client that does exactly what a test says."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._next = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for raw in self.socket:
                message = json.loads(raw)
                if "id" in message and message["id"] in self._replies:
                    self._replies.pop(message["id"]).set_result(message)
                else:
                    self.events.append(message)

    async def start(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None
    ) -> asyncio.Future[Any]:
        """Send a command without waiting for its answer."""
        number = next(self._next)
        future = self._replies[number] = asyncio.get_running_loop().create_future()
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        await self.socket.send(json.dumps(message))
        return future

    async def call(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """Call and return the result; raises `Refused`."""
        reply = await asyncio.wait_for(await self.start(method, params, session), 10)
        if "error" in reply:
            raise Refused(reply["error"])
        return dict(reply["result"])

    async def page(self, target: str) -> str:
        """Attach to a page; returns the CDP session."""
        return str((await self.call("Target.attachToTarget", {"targetId": target, "flatten": True}))["sessionId"])

    def named(self, method: str, session: str | None = None) -> list[dict[str, Any]]:
        """The parameters of the events with this name."""
        return [
            e["params"] for e in self.events
            if e.get("method") == method and (session is None or e.get("sessionId") == session)
        ]  # fmt: skip

    async def close(self) -> None:
        """Leave."""
        await self.socket.close()
        await self._task
