"""Handoffs: ask, look, wait, cancel, list, and the masked pictures of before and after."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from agent_bridge.access.roles import Permission, may
from agent_bridge.access.words import Caller
from agent_bridge.control.asking import read_request
from agent_bridge.control.words import Handoff
from sandbox.words import HandoffId, NotFound, SandboxId
from web.api.common import errors, may_touch
from web.api.models import AskHandoff, ExtendHandoff, HandoffOut, HandoffsOut, LimitsOut
from web.signin import Give, check, identify, require

router = APIRouter(tags=["handoffs"])

Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the outcome before answering as it is.")]


@router.post(
    "/sandboxes/{sandbox}/handoffs", status_code=201, response_model=None,
    responses={201: {"model": HandoffOut}, 200: {"model": HandoffOut}, **errors(401, 403, 404, 409, 410, 413, 422)},
)  # fmt: skip
async def ask(sandbox: str, body: AskHandoff, request: Request, services: Give) -> JSONResponse:
    """Ask for a human. 200 instead of 201 when the idempotency key is known."""
    caller, _ = await identify(request)
    await may_touch(services, caller, SandboxId(sandbox), own=Permission.HANDOFF_ASK_OWN)
    asked = await services.broker.ask(
        SandboxId(sandbox), read_request(body.model_dump(exclude_unset=True), services.broker.settings)
    )
    return JSONResponse(asked.handoff.to_wire(services.clock.now()), 201 if asked.new else 200)


@router.get("/handoffs", response_model=None, responses={200: {"model": HandoffsOut}, **errors(401, 403)})
async def queue(
    services: Give, request: Request, state: Annotated[Literal["open", "all"], Query()] = "open"
) -> dict[str, Any]:
    """List the queue, what waits longest first; `all` adds what is over, the newest first."""
    await require(Permission.QUEUE_READ)(request)
    now = services.clock.now()
    return {"handoffs": [h.to_wire(now) for h in await services.broker.queue(open_only=state == "open")]}


async def _readable(services: Give, caller: Caller, handoff: str, *, own: Permission, all_: Permission) -> Handoff:
    check(caller, own, all_)
    found = await services.broker.get(HandoffId(handoff))
    try:
        await may_touch(services, caller, found.sandbox, own=own, all_=all_)
    except NotFound:
        # The same words as for a handoff that never was: an agent learns nothing about another's.
        raise NotFound(f"there is no handoff {handoff}", handoff=handoff) from None
    return found


@router.get("/handoffs/{handoff}", response_model=None, responses={200: {"model": HandoffOut}, **errors(401, 403, 404)})
async def look(handoff: str, request: Request, services: Give, wait_s: Wait = 0) -> Any:
    """Return a handoff; with `wait_s` as soon as it is over, at the latest after that time as it stands."""
    caller, _ = await identify(request)
    found = await _readable(services, caller, handoff, own=Permission.HANDOFF_READ_OWN, all_=Permission.HANDOFF_READ)
    if wait_s:
        found = await services.broker.wait(found.id, wait_s)
    return found.to_wire(services.clock.now())


@router.post(
    "/handoffs/{handoff}/cancel", response_model=None,
    responses={200: {"model": HandoffOut}, **errors(401, 403, 404, 409)},
)  # fmt: skip
async def cancel(handoff: str, request: Request, services: Give) -> Any:
    """Withdraw an open handoff; the agent gets control back."""
    caller, _ = await identify(request)
    found = await _readable(
        services, caller, handoff, own=Permission.HANDOFF_CANCEL_OWN, all_=Permission.HANDOFF_CANCEL
    )
    return (await services.broker.cancel(found.id)).to_wire(services.clock.now())


@router.post(
    "/handoffs/{handoff}/extend", response_model=None,
    responses={200: {"model": HandoffOut}, **errors(401, 403, 404, 409, 422)},
)  # fmt: skip
async def extend_handoff(handoff: str, body: ExtendHandoff, request: Request, services: Give) -> Any:
    """Let an open handoff wait until `timeout_s` from now; never shorter than before."""
    caller, _ = await identify(request)
    found = await _readable(
        services, caller, handoff, own=Permission.HANDOFF_EXTEND_OWN, all_=Permission.HANDOFF_EXTEND
    )
    actor = caller.operator.id if caller.operator else "agent"
    longer = await services.broker.extend_handoff(found.id, body.timeout_s, actor)
    return longer.to_wire(services.clock.now())


@router.get("/limits", response_model=None, responses={200: {"model": LimitsOut}, **errors(401)})
async def limits(request: Request, services: Give) -> dict[str, float]:
    """Say how long leases, grace and deadlines are here, in seconds."""
    await identify(request)
    return services.broker.settings.limits()


@router.get(
    "/handoffs/{handoff}/images/{which}.jpg", response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **errors(401, 403, 404)},
)  # fmt: skip
async def image(handoff: str, which: Literal["before", "after"], request: Request, services: Give) -> Response:
    """Return a masked picture: operators at any time, the agent after the return."""
    caller, _ = await identify(request)
    found = await _readable(services, caller, handoff, own=Permission.IMAGES_OWN, all_=Permission.IMAGES)
    if not may(caller.role, Permission.IMAGES) and not found.state.final:
        raise NotFound("the pictures come with the result; wait for the handoff's outcome", handoff=handoff)
    path = services.images.path(found.id, which)
    if path is None:
        raise NotFound(f"there is no picture of {which} for this handoff", handoff=handoff)
    return FileResponse(path, media_type="image/jpeg")
