"""Sandboxes: open, list, look, close."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from agent_bridge.access.roles import Permission, may
from agent_bridge.access.words import Caller
from agent_bridge.words import Role
from sandbox.words import SandboxId
from web.api.common import errors, may_touch
from web.api.models import BlockersOut, OpenSandbox, SandboxesOut, SandboxOut
from web.signin import Give, identify, require

router = APIRouter(prefix="/sandboxes", tags=["sandboxes"])

Opener = Annotated[Caller, Depends(require(Permission.SANDBOX_OPEN))]
Reader = Annotated[Caller, Depends(require(Permission.SANDBOX_READ, Permission.SANDBOX_READ_OWN))]


@router.post(
    "", status_code=201, response_model=None,
    responses={201: {"model": SandboxOut}, **errors(401, 403, 413, 422, 429, 503)},
)  # fmt: skip
async def open_sandbox(caller: Opener, services: Give, body: OpenSandbox | None = None) -> dict[str, Any]:
    """Open a sandbox. Its `cdp_url` carries the right to connect and is shown this once."""
    asked = body or OpenSandbox(url=None, width=None, height=None, name=None, while_held=None, blockers=None)
    return await services.sandboxes.open(
        owner=caller.id,
        url=asked.url,
        width=asked.width,
        height=asked.height,
        name=asked.name,
        while_held=asked.while_held,
        blockers=asked.blockers,
        by_agent=caller.role is Role.AGENT,
    )


@router.get("", response_model=None, responses={200: {"model": SandboxesOut}, **errors(401, 403)})
async def list_sandboxes(caller: Reader, services: Give) -> dict[str, Any]:
    """List open sandboxes: an agent sees its own."""
    owner = None if may(caller.role, Permission.SANDBOX_READ) else caller.id
    return {"sandboxes": await services.sandboxes.list(owner=owner)}


@router.get("/{sandbox}", response_model=None, responses={200: {"model": SandboxOut}, **errors(401, 403, 404)})
async def get_sandbox(sandbox: str, request: Request, services: Give) -> dict[str, Any]:
    """Return one sandbox, also after its end."""
    caller, _ = await identify(request)
    await may_touch(services, caller, SandboxId(sandbox), own=Permission.SANDBOX_READ_OWN, all_=Permission.SANDBOX_READ)
    return await services.sandboxes.get(SandboxId(sandbox))


@router.get(
    "/{sandbox}/blockers", response_model=None,
    responses={200: {"model": BlockersOut}, **errors(401, 403, 404, 410, 503)},
)  # fmt: skip
async def blockers(sandbox: str, request: Request, services: Give) -> dict[str, Any]:
    """Return what stops the agent now, page by page, and what is done about which kind."""
    caller, _ = await identify(request)
    await may_touch(services, caller, SandboxId(sandbox), own=Permission.SANDBOX_READ_OWN, all_=Permission.SANDBOX_READ)
    return await services.sandboxes.blockers(SandboxId(sandbox))


@router.delete("/{sandbox}", status_code=204, response_class=Response, responses=errors(401, 403, 404))
async def close_sandbox(sandbox: str, request: Request, services: Give) -> Response:
    """Close a sandbox and everything in it. Closing it again changes nothing."""
    caller, _ = await identify(request)
    await may_touch(
        services, caller, SandboxId(sandbox), own=Permission.SANDBOX_CLOSE_OWN, all_=Permission.SANDBOX_CLOSE
    )
    await services.sandboxes.close(SandboxId(sandbox), reason="closed on request")
    return Response(status_code=204)


@router.get(
    "/{sandbox}/thumbnail.jpg", response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **errors(401, 403, 404, 503)},
)  # fmt: skip
async def thumbnail(
    sandbox: str, caller: Annotated[Caller, Depends(require(Permission.WATCH))], services: Give,  # noqa: ARG001 - judged
    width: Annotated[int, Query(ge=64, le=960)] = 320,
) -> Response:  # fmt: skip
    """Return a small masked picture of the screen, for the queue."""
    jpeg = await services.sandboxes.thumbnail(SandboxId(sandbox), width)
    return Response(jpeg, media_type="image/jpeg")
