"""The operator's ways to the picture: a relay to the keeper's stream, by the socket and by datagrams."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, WebSocket

from agent_bridge.access.roles import Permission
from sandbox.words import BatonError, SandboxId, new_id
from web.api.common import operator_of
from web.distance import is_far
from web.relay import LIVE_LIMIT, credential_ends, refuse, relay_viewer
from web.signin import check, identify, services_of

router = APIRouter(tags=["live"])


@router.websocket("/sandboxes/{sandbox}/live")
async def live(websocket: WebSocket, sandbox: str, way: Literal["socket", "datagrams"] | None = None) -> None:
    """Relay one viewer to the sandbox's pictures; input goes up the same way and is judged where it is injected.

    `way=socket` keeps everything on this socket; `way=datagrams` is for the browser, which tries them at once. Without
    it a browser that is near stays on the socket.
    """
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
    with services.metrics.viewers.track_inprogress(), services.sandboxes.idleness.looked_at(SandboxId(sandbox)):
        async with credential_ends(services.access, caller, recheck) as ended:
            await websocket.accept()
            datagrams = services.datagrams if way == "datagrams" or (way is None and is_far(websocket)) else None
            note = services.metrics.relayed
            await relay_viewer(websocket, upstream, datagrams, limit=LIVE_LIMIT, ended=ended, note=note)
