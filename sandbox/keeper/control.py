"""The order of steps whenever control changes hands, and everything else the server may ask of a keeper.

Rules. The fence is pushed first and without waiting, so that from that moment nothing of the former holder passes.
Keys and buttons are released at every transfer. The gate closes and opens one at a time; a later epoch overtakes an
opening, whose push then fails and leaves the gate shut.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from sandbox.cdp import CdpError
from sandbox.fence import Fence
from sandbox.gate import Gate
from sandbox.keeper.parts import KeptScreen
from sandbox.pages import Pages
from sandbox.state import StateRoom
from sandbox.state.watch import ConditionWatch
from sandbox.words import THE_AGENT, BadRequest, Conflict, Epoch, Gone, HandoffId, Holder, Side, StaleEpoch

type Method = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Control:
    """Answers the server, for one sandbox that is up."""

    def __init__(
        self,
        fence: Fence,
        pages: Pages,
        screen: KeptScreen,
        state: StateRoom,
        gate: Gate,
        note: Callable[[str], None],
        emit: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._fence, self._pages, self._screen, self._state, self._gate = fence, pages, screen, state, gate
        self._note = note
        self._watch = ConditionWatch(
            pages, fence, lambda condition: state.check(condition, live=True), lambda report: emit("condition", report)
        )
        gate.shared.page_state = state.token
        self._open = False
        self._lock = asyncio.Lock()
        self._severed = 0
        self._turns: set[asyncio.Future[dict[str, Any]]] = set()
        self._closed: tuple[Epoch, list[dict[str, Any]]] | None = None
        self._opened: tuple[Epoch, dict[str, Any]] | None = None
        self._methods: dict[str, Method] = {
            "gate.close": self._close_gate,
            "control.push": self._push_control,
            "gate.open": self._open_gate,
            "state.mark": lambda params: self._state.mark(params["label"]),
            "state.diff": lambda params: self._state.diff(params["label"]),
            "state.check": lambda params: self._state.check(params["condition"]),
            "state.watch": self._watch_condition,
            "handoff.completed": self._completed,
            "state.token": self._token,
            "approval.ask": self._ask_approval,
            "approval.decided": self._decided,
            "thumbnail": self._thumbnail,
            "page.open": self._open_page,
        }

    def __repr__(self) -> str:
        return f"<Control gate={'open' if self._open else 'shut'} {self._fence}>"

    async def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do what the server asks. Raises `BadRequest` for an unknown method, else what the method raises."""
        if method not in self._methods:
            raise BadRequest(f"a keeper knows no {method}", method=method)
        # A turn that has begun is finished even if the server goes away meanwhile: half a turn is neither.
        turn = asyncio.ensure_future(self._methods[method](params))
        self._turns.add(turn)
        turn.add_done_callback(self._turned)
        return await asyncio.shield(turn)

    def _turned(self, turn: asyncio.Future[dict[str, Any]]) -> None:
        self._turns.discard(turn)
        if not turn.cancelled():
            turn.exception()  # whoever asked has it, or has gone

    async def close(self) -> None:
        """Stop watching."""
        await self._watch.close()

    async def _watch_condition(self, params: dict[str, Any]) -> dict[str, Any]:
        self._watch.watch(str(params["handoff"]), params["condition"])
        return {}

    def sever(self) -> None:
        """The server is gone: nobody acts until the next one pushes."""
        self._severed += 1
        self._fence.shut()
        self._release()

    async def _close_gate(self, params: dict[str, Any]) -> dict[str, Any]:
        epoch, holder = Epoch(params["epoch"]), _human_or_nobody(params)
        drain_s = float(params["drain_s"])
        self._push(holder, epoch, params)
        async with self._lock:
            if self._open:
                self._open, self._opened = False, None
                self._closed = (epoch, [each.to_wire() for each in await self._gate.close(drain_s)])
        unknown = self._closed[1] if self._closed is not None and self._closed[0] == epoch else []
        return {"unknown": unknown, "agent_code": self._agent_code()}

    async def _push_control(self, params: dict[str, Any]) -> dict[str, Any]:
        epoch, holder = Epoch(params["epoch"]), _human_or_nobody(params)
        if self._open or self._lock.locked():
            raise Conflict("the gate is not shut: close it before a human gets control")
        secret = bool(params.get("secret"))
        if secret:
            self._state.secret_lease(True)
        self._push(holder, epoch, params)
        if not secret:
            self._state.secret_lease(False)
        return {"agent_code": self._agent_code()}

    async def _open_gate(self, params: dict[str, Any]) -> dict[str, Any]:
        epoch, since = Epoch(params["epoch"]), float(params["since"])
        fence = self._fence
        if epoch < fence.epoch:
            raise StaleEpoch(f"epoch {epoch} has passed; the sandbox is at {fence.epoch}", epoch=fence.epoch)
        if epoch == fence.epoch and fence.holder.side is Side.OPERATOR:
            raise Conflict(f"epoch {epoch} belongs to {fence.holder}; a new holder needs a new epoch", epoch=epoch)
        severed = self._severed

        def push() -> None:
            if severed != self._severed:
                raise StaleEpoch("the server that wanted this is gone", epoch=fence.epoch)
            fence.push(THE_AGENT, epoch, since)

        async with self._lock:
            if (fence.holder, fence.epoch) != (THE_AGENT, epoch):
                if not self._open:
                    # What follows acts on the page for nobody; no key of the operator may fall in between.
                    fence.shut()
                    self._release()
                    await self._state.blank_secrets()
                opened = await self._gate.open(push)
                told = {"notes": list(opened.notes), "stale": opened.stale.to_wire()}
                self._open, self._opened = True, (epoch, told)
                self._state.secret_lease(False)
        if self._opened is None or self._opened[0] != epoch:
            return {"notes": [], "stale": None}
        return self._opened[1]

    def _push(self, holder: Holder, epoch: Epoch, params: dict[str, Any]) -> None:
        self._fence.push(holder, epoch, float(params["since"]))
        self._release()

    def _agent_code(self) -> list[str]:
        return [page.target for page in self._pages.all if self._gate.agent_code_present(page.target)]

    def _release(self) -> None:
        try:
            self._screen.release_all()
        except Gone:
            return  # with the display its keys are gone too

    async def _completed(self, params: dict[str, Any]) -> dict[str, Any]:
        await self._gate.completed(HandoffId(params["handoff"]), params["result"])
        return {}

    async def _token(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"token": await self._state.token(str(params["target"]))}

    async def _ask_approval(self, params: dict[str, Any]) -> dict[str, Any]:
        return await self._gate.ask_approval(str(params["target"]), params)

    async def _decided(self, params: dict[str, Any]) -> dict[str, Any]:
        self._gate.approval_decided(params["approval"], params["decision"])
        return {}

    async def _thumbnail(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"jpeg": base64.b64encode(await self._state.thumbnail(int(params["width"]))).decode()}

    async def _open_page(self, params: dict[str, Any]) -> dict[str, Any]:
        await open_page(self._pages, params["url"], self._note)
        return {}


async def open_page(pages: Pages, url: str, note: Callable[[str], None]) -> None:
    """Bring the first tab to `url`; what does not load is noted, as it is in a browser. Raises `BadRequest`."""
    if urlsplit(url).scheme not in {"http", "https"} and url != "about:blank":
        raise BadRequest("a sandbox opens http and https addresses only")
    page = pages.all[0] if pages.all else None
    if page is None:
        raise Gone("the sandbox has no tab left")
    try:
        reply = await pages.call(page, "Page.navigate", {"url": url}, timeout=30)
        failure = reply.get("errorText")
    except (CdpError, TimeoutError) as error:
        failure = str(error) or "it did not answer in 30 s"
    if failure:
        note(f"the first page did not open: {failure}")


def _human_or_nobody(params: dict[str, Any]) -> Holder:
    holder = Holder.from_wire(params["holder"])
    if holder.side is Side.AGENT:
        raise BadRequest("the agent gets control by gate.open, and by nothing else")
    return holder
