"""The agent's way to its browser: the CDP WebSocket, and the two JSON pages that CDP clients look for first."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, WebSocket

from agent_bridge.access.roles import Permission
from agent_bridge.access.secrets import CAPABILITY_PREFIX
from agent_bridge.access.words import Caller
from sandbox.host.handing import Line
from sandbox.host.link import KeeperLink
from sandbox.host.raw import RawEnd
from sandbox.words import BatonError, SandboxId, Unavailable, new_id
from web.api.common import errors, may_touch
from web.api.models import Error
from web.relay import credential_ends, refuse
from web.signin import Give, Recheck, address, bearer, identify, services_of
from web.splice import can_be_handed, hand, splice

router = APIRouter(tags=["agent"])

Token = Annotated[str | None, Query(description="The right that `cdp_url` carries, or an agent's token.")]


async def _admit(connection: Request | WebSocket, sandbox: SandboxId) -> tuple[Caller, Recheck]:
    """Judge a capability of this sandbox, or an agent's token for a sandbox of its own."""
    services = services_of(connection)
    secret = bearer(connection) or connection.query_params.get("token") or ""
    if not secret.startswith(CAPABILITY_PREFIX):
        caller, recheck = await identify(connection, query_token=True)
        await may_touch(services, caller, sandbox, own=Permission.CDP_OWN)
        return caller, recheck

    async def judge() -> Caller:
        return await services.sandboxes.by_capability(sandbox, secret)

    try:
        return await judge(), judge
    except BatonError:
        services.failures.failed(address(connection))
        raise


@router.websocket("/sandboxes/{sandbox}/cdp")
async def cdp(websocket: WebSocket, sandbox: str) -> None:
    """Bring one CDP client to its sandbox's gate."""
    services = services_of(websocket)
    try:
        caller, recheck = await _admit(websocket, SandboxId(sandbox))
        held = await services.sandboxes.while_held(SandboxId(sandbox), websocket.query_params.get("while_held"))
        query = {"client": new_id("cl"), "while_held": held.value}
        link = await services.sandboxes.keeper(SandboxId(sandbox))
        way = await _way(link, query, plain=can_be_handed(websocket))
    except BatonError as error:
        await refuse(websocket, error, browser=False)
        return
    with services.metrics.agents.track_inprogress():
        async with credential_ends(services.access, caller, recheck) as ended:
            await (hand(websocket, way, ended) if isinstance(way, Line) else splice(websocket, way, ended))


async def _way(link: KeeperLink, query: Mapping[str, str], *, plain: bool) -> Line | RawEnd:
    """Return how a connection gets to its keeper. Raises `Unavailable`."""
    if plain:
        # A keeper of an older version, adopted by this server, takes no connections over.
        with contextlib.suppress(Unavailable):
            return link.hand_over("/cdp", query)
    return await link.connect_raw("/cdp", query)


def _socket_url(services: Give, request: Request, sandbox: SandboxId) -> str:
    kept = {name: value for name in ("token", "while_held") if (value := request.query_params.get(name))}
    return services.sandboxes.cdp_url(sandbox) + (f"?{urlencode(kept)}" if kept else "")


@router.get("/sandboxes/{sandbox}/cdp/json/version", response_model=None, responses=errors(401, 403, 404, 410))
@router.get("/sandboxes/{sandbox}/cdp/json/version/", include_in_schema=False, response_model=None)
async def version(sandbox: str, request: Request, services: Give, token: Token = None) -> dict[str, Any]:  # noqa: ARG001 - for OpenAPI
    """Say where the WebSocket is, as Chromium does: `connect_over_cdp` takes an HTTP address as well."""
    await _admit(request, SandboxId(sandbox))
    return {
        "Browser": await services.sandboxes.browser(SandboxId(sandbox)), "Protocol-Version": "1.3",
        "webSocketDebuggerUrl": _socket_url(services, request, SandboxId(sandbox)),
    }  # fmt: skip


@router.get("/sandboxes/{sandbox}/cdp/json/list", response_model=None, responses={401: {"model": Error}})
@router.get("/sandboxes/{sandbox}/cdp/json", include_in_schema=False, response_model=None)
@router.get("/sandboxes/{sandbox}/cdp/json/list/", include_in_schema=False, response_model=None)
@router.get("/sandboxes/{sandbox}/cdp/json/", include_in_schema=False, response_model=None)
async def targets(sandbox: str, request: Request, services: Give, token: Token = None) -> list[dict[str, Any]]:  # noqa: ARG001 - for OpenAPI
    """List the browser itself as the one target: pages are attached to through it."""
    await _admit(request, SandboxId(sandbox))
    return [
        {
            "id": sandbox, "type": "browser", "title": "", "url": "",
            "webSocketDebuggerUrl": _socket_url(services, request, SandboxId(sandbox)),
        }
    ]  # fmt: skip
