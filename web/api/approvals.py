"""Approvals: an agent asks for one action, an operator allows it once or declines."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from agent_bridge.access.roles import Permission
from agent_bridge.access.words import Caller, Operator
from agent_bridge.control.approvals import Approval
from sandbox.words import NotFound, SandboxId
from web.api.common import errors, may_touch, operator_of
from web.api.models import ApprovalOut, ApprovalsOut, AskApproval, Decide
from web.signin import Give, check, identify, require

router = APIRouter(tags=["approvals"])


async def _decider(caller: Annotated[Caller, Depends(require(Permission.APPROVAL_DECIDE))]) -> Operator:
    return operator_of(caller)


Who = Annotated[Operator, Depends(_decider)]


@router.post(
    "/sandboxes/{sandbox}/approvals", status_code=201, response_model=None,
    responses={201: {"model": ApprovalOut}, **errors(401, 403, 404, 409, 410, 413, 422, 429, 503)},
)  # fmt: skip
async def ask_approval(sandbox: str, body: AskApproval, request: Request, services: Give) -> Any:
    """Ask for approval of one CDP command on one page as it is now; `Baton.perform` on that page sends it."""
    caller, _ = await identify(request)
    await may_touch(services, caller, SandboxId(sandbox), own=Permission.APPROVAL_ASK_OWN)
    said = {"target": body.target, "method": body.method, "params": body.params, "reason": body.reason}
    timeout = {} if body.timeout_s is None else {"timeoutS": body.timeout_s}
    return await services.sandboxes.ask_approval(SandboxId(sandbox), {**said, **timeout})


@router.get("/approvals", response_model=None, responses={200: {"model": ApprovalsOut}, **errors(401, 403)})
async def list_approvals(
    services: Give, request: Request, state: Annotated[Literal["pending", "all"], Query()] = "pending"
) -> dict[str, Any]:
    """List what waits for a decision, the oldest first; `all` are the newest first, whatever became of them."""
    await require(Permission.APPROVAL_READ)(request)
    return {"approvals": [each.to_wire() for each in await services.desk.list(pending_only=state == "pending")]}


async def _readable(services: Give, caller: Caller, approval: str) -> Approval:
    check(caller, Permission.APPROVAL_READ_OWN, Permission.APPROVAL_READ)
    found = await services.desk.get(approval)
    try:
        await may_touch(
            services, caller, found.sandbox, own=Permission.APPROVAL_READ_OWN, all_=Permission.APPROVAL_READ
        )
    except NotFound:
        # The same words as for one that never was: an agent learns nothing about another's.
        raise NotFound(f"there is no approval {approval[:40]}", approval=approval[:40]) from None
    return found


@router.get(
    "/approvals/{approval}", response_model=None, responses={200: {"model": ApprovalOut}, **errors(401, 403, 404)}
)
async def approval_now(approval: str, request: Request, services: Give) -> Any:
    """Return an approval as it stands."""
    caller, _ = await identify(request)
    return (await _readable(services, caller, approval)).to_wire()


@router.post(
    "/approvals/{approval}/approve", response_model=None,
    responses={200: {"model": ApprovalOut}, **errors(401, 403, 404, 409, 413, 422)},
)  # fmt: skip
async def approve(approval: str, services: Give, who: Who, body: Decide | None = None) -> Any:
    """Allow the action, once, on the page as it was when it was asked for. 409 when it is over."""
    return (await services.desk.approve(approval, who, body.note if body else None)).to_wire()


@router.post(
    "/approvals/{approval}/decline", response_model=None,
    responses={200: {"model": ApprovalOut}, **errors(401, 403, 404, 409, 413, 422)},
)  # fmt: skip
async def decline(approval: str, services: Give, who: Who, body: Decide | None = None) -> Any:
    """Refuse the action, also after it was approved, as long as it has not been used."""
    return (await services.desk.decline(approval, who, body.note if body else None)).to_wire()
