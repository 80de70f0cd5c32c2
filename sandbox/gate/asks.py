"""The methods of the domain `Baton`: any client asks for a human with them, whoever holds control."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sandbox.authority import HandoffAsk
from sandbox.fence import Fence
from sandbox.gate.approvals import Approvals
from sandbox.gate.client import Client, Params
from sandbox.gate.node import Node
from sandbox.gate.rebuild import Told
from sandbox.gate.shared import Shared
from sandbox.pages import bare_url
from sandbox.words import BadRequest, BatonError, Epoch, HandoffId

_REMEMBERED: Final = 1000

type Offered = Callable[[str | None, Params], Awaitable[Params]]
"""Answers one method: (target of the CDP session, None for the browser; parameters) → result. Raises `BatonError`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for something, and where."""

    client: str
    session: str
    target: str


class Asks:
    """Answers the domain's methods, and tells who asked when it is done."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._asked: dict[str, Asked] = {}
        self._approvals = Approvals(shared)
        self._offered: dict[str, Offered] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, method: str, handler: Offered) -> None:
        """Answer one more method, `Baton.` and a name."""
        self._offered[method] = handler

    def handle(self, client: Client, node: Node, client_id: int, method: str, params: Params) -> None:
        """Answer one command when its answer is there; the client may have gone by then, what it asked for stays."""
        epoch = self._shared.fence.epoch
        task = asyncio.create_task(self._answer(client, node, client_id, method, params, epoch), name=method)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def completed(self, clients: Sequence[Client], handoff: HandoffId, result: Params) -> None:
        """Emit `Baton.handoffCompleted` where it was asked for, or as near to it as its client still is."""
        self._tell(clients, handoff, "Baton.handoffCompleted", {"handoffId": handoff, **result})

    def decided(self, clients: Sequence[Client], approval: str, wire: Params) -> None:
        """Emit `Baton.approvalDecided` likewise."""
        self._tell(clients, approval, "Baton.approvalDecided", {"approval": approval, **wire})

    def _tell(self, clients: Sequence[Client], what: str, event: str, params: Params) -> None:
        asked = self._asked.pop(what, None)
        if asked is None:
            return
        same = [c for c in clients if c.sessions.find(asked.session)]
        for client in (same or [c for c in clients if c.name == asked.client])[:1]:
            near = [n.id for n in client.sessions.all if client.page_of(n) == asked.target]
            session = asked.session if client.sessions.find(asked.session) else (near or [client.root.id])[0]
            client.answers.emit(Told(session, event, params))

    async def _answer(
        self, client: Client, node: Node, client_id: int, method: str, params: Params, epoch: Epoch
    ) -> None:
        try:
            if method == "Baton.perform":
                command = await self._approvals.use(client.page_of(node), params, epoch)
                client.perform(node, client_id, command.method, command.params, epoch)
                return
            client.answers.result(client_id, node.id, await self._do(client, node, method, params))
        except BatonError as error:
            client.answers.error(client_id, node.id, error)

    async def _do(self, client: Client, node: Node, method: str, params: Params) -> Params:
        authority = self._shared.authority
        match method:
            case "Baton.describe":
                return self._describe(client, node)
            case "Baton.getControl":
                return control_wire(self._shared.fence)
            case "Baton.enable":
                client.told_of.add(node.id)
                return {}
            case "Baton.disable":
                client.told_of.discard(node.id)
                return {}
            case "Baton.requestHandoff":
                return await self._request(client, node, params)
            case "Baton.getHandoff":
                return _named(await authority.get_handoff(_text(params, "handoffId", "Baton.requestHandoff")))
            case "Baton.cancelHandoff":
                return _named(await authority.cancel_handoff(_text(params, "handoffId", "Baton.requestHandoff")))
            case "Baton.extendHandoff":
                handoff = _text(params, "handoffId", "Baton.requestHandoff")
                return _named(await authority.extend_handoff(handoff, _seconds(params)))
            case "Baton.requestApproval":
                return await self._request_approval(client, node, params)
            case "Baton.getApproval":
                return await authority.get_approval(_text(params, "approval", "Baton.requestApproval"))
            case _ if method in self._offered:
                return await self._offered[method](client.page_of(node), params)
            case _:
                raise BadRequest(
                    f"'{method}' wasn't found; Baton has describe, enable, disable, getControl, requestHandoff, "
                    "getHandoff, extendHandoff, cancelHandoff, requestApproval, getApproval and perform"
                )

    def _describe(self, client: Client, node: Node) -> Params:
        fence = self._shared.fence
        active = self._shared.pages.active
        return {
            "sandbox": self._shared.sandbox,
            "target": client.page_of(node) or (active and active.target),
            "holder": fence.holder.to_wire(),
            "epoch": fence.epoch,
            "session": None if node is client.root else node.id,
        }

    async def _request(self, client: Client, node: Node, params: Params) -> Params:
        page = self._shared.pages.get(client.page_of(node))
        ask = HandoffAsk(page.target, bare_url(page.url), page.title, params, client.name)
        handoff = await self._shared.authority.ask_handoff(ask)
        self._remember(handoff["id"], Asked(client.name, node.id, page.target))
        return _named(handoff)

    async def _request_approval(self, client: Client, node: Node, params: Params) -> Params:
        page = self._shared.pages.get(client.page_of(node))
        approval = await self._approvals.ask(page, client.name, params)
        self._remember(approval["id"], Asked(client.name, node.id, page.target))
        return {"approval": approval["id"], "state": approval["state"]}

    async def ask_approval(self, target: str, said: Params) -> Params:
        """Ask for the approval of one command on a page, for whoever is no client here."""
        return await self._approvals.ask(self._shared.pages.get(target), "", said)

    def _remember(self, what: str, asked: Asked) -> None:
        self._asked[what] = asked
        while len(self._asked) > _REMEMBERED:
            del self._asked[next(iter(self._asked))]


def control_wire(fence: Fence) -> Params:
    """Return who has control, as `Baton.getControl` and `Baton.controlChanged` say it."""
    return {"holder": fence.holder.to_wire(), "epoch": fence.epoch, "since": fence.since}


def _text(params: Params, name: str, where: str) -> str:
    found = params.get(name)
    if not isinstance(found, str):
        raise BadRequest(f"{name} is missing; it is in the answer of {where}")
    return found


def _seconds(params: Params) -> float:
    found = params.get("timeoutS")
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 < found < float("inf"):
        raise BadRequest("timeoutS is missing; it is how many seconds from now the handoff may still wait")
    return float(found)


def _named(handoff: dict[str, Any]) -> Params:
    return {"handoffId": handoff["id"], **handoff}
