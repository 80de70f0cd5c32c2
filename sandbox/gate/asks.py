"""The methods of the domain `Baton`: any client asks for a human with them, whoever holds control."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.authority import HandoffAsk
from sandbox.gate.client import Client, Params
from sandbox.gate.node import Node
from sandbox.gate.rebuild import Told
from sandbox.gate.shared import Shared
from sandbox.pages import bare_url
from sandbox.words import BadRequest, BatonError, HandoffId

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for a handoff, and where."""

    client: str
    session: str
    target: str


class Asks:
    """Answers `Baton.describe`, `requestHandoff`, `getHandoff` and `cancelHandoff`; tells who asked when it is done."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._asked: dict[str, Asked] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, client: Client, node: Node, client_id: int, method: str, params: Params) -> None:
        """Answer one command when its answer is there; the client may have gone by then, the handoff stays."""
        task = asyncio.create_task(self._answer(client, node, client_id, method, params), name=method)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def completed(self, clients: Sequence[Client], handoff: HandoffId, result: Params) -> None:
        """Emit `Baton.handoffCompleted` where it was asked for, or as near to it as its client still is."""
        asked = self._asked.pop(handoff, None)
        if asked is None:
            return
        theirs = [c for c in clients if c.find(asked.session)] or [c for c in clients if c.name == asked.client]
        for client in theirs[:1]:
            near = [n.id for n in client.nodes if client.page_of(n) == asked.target]
            session = asked.session if client.find(asked.session) else (near or [client.root.id])[0]
            client.emit(Told(session, "Baton.handoffCompleted", {"handoffId": handoff, **result}))

    async def _answer(self, client: Client, node: Node, client_id: int, method: str, params: Params) -> None:
        try:
            client.answer(client_id, node, await self._do(client, node, method, params))
        except BatonError as error:
            client.answer_error(client_id, node, error)

    async def _do(self, client: Client, node: Node, method: str, params: Params) -> Params:
        authority = self._shared.authority
        match method:
            case "Baton.describe":
                return self._describe(client, node)
            case "Baton.requestHandoff":
                return await self._request(client, node, params)
            case "Baton.getHandoff":
                return _named(await authority.get_handoff(_handoff(params)))
            case "Baton.cancelHandoff":
                return _named(await authority.cancel_handoff(_handoff(params)))
            case _:
                raise BadRequest(
                    f"'{method}' wasn't found; Baton has describe, requestHandoff, getHandoff and cancelHandoff"
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
        self._asked[handoff["id"]] = Asked(client.name, node.id, page.target)
        while len(self._asked) > _REMEMBERED:
            del self._asked[next(iter(self._asked))]
        return _named(handoff)


def _handoff(params: Params) -> str:
    handoff = params.get("handoffId")
    if not isinstance(handoff, str):
        raise BadRequest("handoffId is missing; it is in the answer of Baton.requestHandoff")
    return handoff


def _named(handoff: dict[str, Any]) -> Params:
    return {"handoffId": handoff["id"], **handoff}
