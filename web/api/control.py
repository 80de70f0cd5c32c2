"""Control: an operator takes it, keeps it, and gives it back with a word on how it went."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from agent_bridge.access.roles import Permission
from agent_bridge.access.words import Caller, Operator
from sandbox.words import Epoch, HandoffId, SandboxId
from web.api.common import errors, operator_of
from web.api.models import AtEpoch, CheckOut, Declined, Done, Failed, HandoffOut, RenewedOut, Take, TakenOut
from web.signin import Give, require

router = APIRouter(prefix="/sandboxes/{sandbox}/control", tags=["control"])


async def _operator(caller: Annotated[Caller, Depends(require(Permission.CONTROL))]) -> Operator:
    return operator_of(caller)


Who = Annotated[Operator, Depends(_operator)]
_ERRORS = errors(401, 403, 404, 409, 410, 422)


@router.post("/take", response_model=None, responses={200: {"model": TakenOut}, **_ERRORS})
async def take(sandbox: str, who: Who, services: Give, body: Take | None = None) -> Any:
    """Claim the open handoff, or take over unasked. 409 when somebody else has control."""
    handoff = HandoffId(body.handoff) if body and body.handoff else None
    taken = await services.broker.take(SandboxId(sandbox), who, handoff)
    return taken.to_wire(services.clock.now())


@router.post("/heartbeat", response_model=None, responses={200: {"model": RenewedOut}, **_ERRORS})
async def heartbeat(sandbox: str, body: AtEpoch, services: Give, who: Who) -> Any:
    """Renew the lease."""
    lease = await services.broker.heartbeat(SandboxId(sandbox), who, Epoch(body.epoch))
    return {"expires_at": lease.expires_at}


@router.post("/done", response_model=None, responses={200: {"model": HandoffOut}, **_ERRORS})
async def done(sandbox: str, body: Done, services: Give, who: Who) -> Any:
    """Say it is solved. 409 with `parts` when a condition does not hold and no `override` says why that is fine."""
    broker = services.broker
    handoff = await broker.done(SandboxId(sandbox), who, Epoch(body.epoch), body.note, body.override)
    return handoff.to_wire(services.clock.now())


@router.post("/failed", response_model=None, responses={200: {"model": HandoffOut}, **_ERRORS})
async def failed(sandbox: str, body: Failed, services: Give, who: Who) -> Any:
    """Say that it could not be solved."""
    handoff = await services.broker.failed(SandboxId(sandbox), who, Epoch(body.epoch), body.note)
    return handoff.to_wire(services.clock.now())


@router.post("/declined", response_model=None, responses={200: {"model": HandoffOut}, **_ERRORS})
async def declined(sandbox: str, body: Declined, services: Give, who: Who) -> Any:
    """Refuse, with a reason."""
    handoff = await services.broker.declined(SandboxId(sandbox), who, Epoch(body.epoch), body.note)
    return handoff.to_wire(services.clock.now())


@router.post("/release", response_model=None, responses={200: {"model": HandoffOut}, **_ERRORS})
async def release(sandbox: str, body: AtEpoch, services: Give, who: Who) -> Any:
    """Put the handoff back in the queue, or give control back to the agent where there is none."""
    handoff = await services.broker.release(SandboxId(sandbox), who, Epoch(body.epoch))
    return handoff.to_wire(services.clock.now())


@router.post("/check", response_model=None, responses={200: {"model": CheckOut}, **_ERRORS})
async def check(sandbox: str, body: AtEpoch, services: Give, who: Who) -> Any:
    """Look whether the completion condition holds now; `met` is null where there is none."""
    return await services.broker.check(SandboxId(sandbox), who, Epoch(body.epoch))
