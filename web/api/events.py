"""The console's ear: a snapshot of queue, sandboxes and control, then every change as it happens.

Down: `{"type": "snapshot", "queue", "sandboxes", "control", "blockers", "conditions", "approvals", "limits", "now"}`,
then `{"type": "approval", "approval", "now"}`, `{"type": "condition", "sandbox", "handoff", "met", "parts", "now"}`,
`{"type": "blockers", "sandbox", "pages": [{"target", "url", "title", "findings"}], "now"}`,
`{"type": "control", "control", "now"}`, `{"type": "handoff", "handoff", "now"}`,
`{"type": "sandbox", "sandbox", "now"}`, and the answers
`{"type": "lease", "sandbox", "epoch", "expires_at", "idle_at", "ends_at", "extended", "now"}` or
`{"type": "refused", "sandbox", "epoch", …error}`.
Up: `{"type": "heartbeat", "sandbox", "epoch"}` renews a lease.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from agent_bridge.access.roles import Permission
from agent_bridge.access.words import Operator
from agent_bridge.control.words import Change, Phase
from sandbox.words import CODES, BadRequest, BatonError, Epoch, Kind, SandboxId
from web.api.common import operator_of
from web.relay import Closed, close_client, credential_ends, refuse
from web.services import Services
from web.signin import check, identify, services_of

router = APIRouter(tags=["live"])

BACKLOG: Final = 1000
"""Changes kept for a console that does not read; one more and it is closed, to begin again with a snapshot."""
LONGEST: Final = 1000


@router.websocket("/events")
async def events(websocket: WebSocket) -> None:
    """Push queue and control to one operator's console."""
    services = services_of(websocket)
    try:
        caller, recheck = await identify(websocket)
        check(caller, Permission.EVENTS)
        operator = operator_of(caller)
    except BatonError as error:
        await refuse(websocket, error, browser=True)
        return
    await websocket.accept()
    feed = Feed(services, websocket, operator)
    async with credential_ends(services.access, caller, recheck) as ended:
        await feed.run(asyncio.ensure_future(ended))


class Feed:
    """One console's socket."""

    def __init__(self, services: Services, websocket: WebSocket, operator: Operator) -> None:
        self._services = services
        self._websocket = websocket
        self._operator = operator
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue(BACKLOG)
        self._overflow = asyncio.Event()

    async def run(self, ended: asyncio.Future[Closed]) -> None:
        """Push until the console leaves, its credential ends, or it reads too slowly."""
        stops = [
            self._services.broker.subscribe(self._changed),
            self._services.sandboxes.subscribe(lambda wire: self._put({"type": "sandbox", "sandbox": wire})),
            self._services.sandboxes.board.subscribe(lambda wire: self._put({"type": "blockers", **wire})),
            self._services.sandboxes.conditions.subscribe(lambda wire: self._put({"type": "condition", **wire})),
            self._services.desk.subscribe(lambda wire: self._put({"type": "approval", "approval": wire})),
        ]
        tasks = [asyncio.create_task(self._down()), asyncio.create_task(self._up()), asyncio.create_task(self._full())]
        try:
            done, _ = await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
            closed = next(task.result() for task in [*tasks, ended] if task in done)
        finally:
            for stop in stops:
                stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await close_client(self._websocket, closed)

    def _put(self, message: dict[str, Any]) -> None:
        try:
            self._outgoing.put_nowait({**message, "now": self._services.clock.now()})
        except asyncio.QueueFull:
            self._overflow.set()

    def _changed(self, change: Change) -> None:
        now = self._services.clock.now()
        self._put({"type": "control", "control": change.view.to_wire(now)})
        for handoff in (change.view.handoff, change.ended):
            if handoff is not None:
                self._put({"type": "handoff", "handoff": handoff.to_wire(now)})

    async def _snapshot(self) -> dict[str, Any]:
        services = self._services
        now = services.clock.now()
        return {
            "type": "snapshot",
            "queue": [handoff.to_wire(now) for handoff in await services.broker.queue()],
            "sandboxes": await services.sandboxes.list(),
            "control": {
                view.sandbox: view.to_wire(now) for view in services.broker.views() if view.phase is not Phase.CLOSED
            },
            "blockers": services.sandboxes.board.to_wire(),
            "conditions": services.sandboxes.conditions.to_wire(),
            "approvals": [approval.to_wire() for approval in await services.desk.list()],
            "limits": services.broker.settings.limits(),
            "now": now,
        }

    async def _down(self) -> Closed:
        # Changes are collected since before the snapshot was taken: one may be told twice, none is missed.
        message = await self._snapshot()
        while True:
            try:
                await self._websocket.send_text(json.dumps(message))
            except (WebSocketDisconnect, RuntimeError, OSError):
                return Closed(1001)
            message = await self._outgoing.get()

    async def _up(self) -> Closed:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return Closed(message.get("code") or 1005)
            try:
                await self._said(message.get("text") or "")
            except BadRequest as error:
                return Closed(error.codes.ws, error.message)

    async def _said(self, text: str) -> None:
        sandbox, epoch = _read_heartbeat(text)
        facts = {"sandbox": sandbox, "epoch": epoch}
        try:
            lease = await self._services.broker.heartbeat(sandbox, self._operator, epoch)
        except BatonError as error:
            self._put({**error.to_wire(), **facts, "type": "refused"})
        else:
            limits = {name: lease.to_wire()[name] for name in ("expires_at", "idle_at", "ends_at", "extended")}
            self._put({**facts, "type": "lease", **limits})

    async def _full(self) -> Closed:
        await self._overflow.wait()
        return Closed(CODES[Kind.TOO_MANY].ws, "this console reads too slowly; connect again")


def _read_heartbeat(text: str) -> tuple[SandboxId, Epoch]:
    try:
        said: Any = json.loads(text) if len(text) <= LONGEST else None
        if said["type"] == "heartbeat" and isinstance(said["sandbox"], str) and type(said["epoch"]) is int:
            return SandboxId(said["sandbox"]), Epoch(said["epoch"])
    except (ValueError, KeyError, TypeError):
        pass
    raise BadRequest('only {"type": "heartbeat", "sandbox", "epoch"} may be said here')
