"""The operator's way to the picture: a relay to the keeper's stream."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from agent_bridge.access.roles import Permission
from sandbox.words import BatonError, SandboxId, new_id
from web.api.common import operator_of
from web.relay import LIVE_LIMIT, credential_ends, refuse, relay
from web.signin import check, identify, services_of

router = APIRouter(tags=["live"])


@router.websocket("/sandboxes/{sandbox}/live")
async def live(websocket: WebSocket, sandbox: str) -> None:
    """Relay one viewer to the sandbox's pictures; input goes up the same way and is judged where it is injected."""
    services = services_of(websocket)
    try:
        caller, recheck = await identify(websocket)
        check(caller, Permission.WATCH)
        operator = operator_of(caller)
        query = {"viewer": new_id("vw"), "operator": operator.id, "name": operator.name}
        upstream = await services.sandboxes.dial(SandboxId(sandbox), "/stream", query)
    except BatonError as error:
        await refuse(websocket, error, browser=True)
        return
    with services.metrics.viewers.track_inprogress():
        async with credential_ends(services.access, caller, recheck) as ended:
            await websocket.accept()
            await relay(websocket, upstream, limit=LIVE_LIMIT, ended=ended)
