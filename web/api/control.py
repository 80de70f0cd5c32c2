"""Control: an operator takes it, keeps it, hands it on, and gives it back with a word on how it went."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from agent_bridge.access.roles import Permission
from agent_bridge.access.words import Caller, Operator
from sandbox.words import Epoch, HandoffId, OperatorId, SandboxId
from web.api.common import errors, operator_of
from web.api.models import (
    AtEpoch,
    CheckOut,
    ControlOut,
    Declined,
    Done,
    Extend,
    Failed,
    HandoffOut,
    LeaseOut,
    RequestControl,
    Take,
    TakenOut,
    ToOperator,
)
from web.signin import Give, check, require

router = APIRouter(prefix="/sandboxes/{sandbox}/control", tags=["control"])


async def _person(caller: Annotated[Caller, Depends(require(Permission.CONTROL))]) -> Operator:
    return operator_of(caller)


Asker = Annotated[Caller, Depends(require(Permission.CONTROL))]
Who = Annotated[Operator, Depends(_person)]
_ERRORS = errors(401, 403, 404, 409, 410, 422)


@router.post("/take", response_model=None, responses={200: {"model": TakenOut}, **_ERRORS})
async def take(sandbox: str, caller: Asker, services: Give, body: Take | None = None) -> Any:
    """Claim the open handoff, or take over unasked. 409 when somebody else has control, or it is kept for them.

    A supervisor may `force` it; the operator who had control is told by whom.
    """
    wanted = body or Take()
    if wanted.force:
        check(caller, Permission.CONTROL_FORCE)
    handoff = HandoffId(wanted.handoff) if wanted.handoff else None
    taken = await services.broker.take(SandboxId(sandbox), operator_of(caller), handoff, force=wanted.force)
    return taken.to_wire(services.clock.now())


@router.post("/heartbeat", response_model=None, responses={200: {"model": LeaseOut}, **_ERRORS})
async def heartbeat(sandbox: str, body: AtEpoch, services: Give, who: Who) -> Any:
    """Renew the lease: the console lives."""
    return (await services.broker.heartbeat(SandboxId(sandbox), who, Epoch(body.epoch))).to_wire()


@router.post("/stay", response_model=None, responses={200: {"model": LeaseOut}, **_ERRORS})
async def stay(sandbox: str, body: AtEpoch, services: Give, who: Who) -> Any:
    """Renew the lease: the operator is there, though they give no input."""
    return (await services.broker.stay(SandboxId(sandbox), who, Epoch(body.epoch))).to_wire()


@router.post("/extend", response_model=None, responses={200: {"model": LeaseOut}, **_ERRORS})
async def extend(sandbox: str, body: Extend, services: Give, who: Who) -> Any:
    """Move the end of the lease on, once in a handoff, with a reason. 409 the second time."""
    lease = await services.broker.extend_lease(SandboxId(sandbox), who, Epoch(body.epoch), body.reason)
    return lease.to_wire()


@router.post("/request", response_model=None, responses={200: {"model": ControlOut}, **_ERRORS, **errors(429)})
async def ask_for_it(sandbox: str, services: Give, who: Who, body: RequestControl | None = None) -> Any:
    """Ask the operator who has control for it; again changes the note. 409 where no other operator has it."""
    view = await services.broker.request_control(SandboxId(sandbox), who, body.note if body else None)
    return view.to_wire(services.clock.now())


@router.post("/give", response_model=None, responses={200: {"model": ControlOut}, **_ERRORS})
async def give(sandbox: str, body: ToOperator, services: Give, who: Who) -> Any:
    """Give control to an operator who asked for it. 409 when they do not ask any more."""
    view = await services.broker.give(SandboxId(sandbox), who, Epoch(body.epoch), OperatorId(body.operator))
    return view.to_wire(services.clock.now())


@router.post("/deny", response_model=None, responses={200: {"model": ControlOut}, **_ERRORS})
async def deny(sandbox: str, body: ToOperator, services: Give, who: Who) -> Any:
    """Keep control although an operator asked for it."""
    view = await services.broker.deny(SandboxId(sandbox), who, Epoch(body.epoch), OperatorId(body.operator))
    return view.to_wire(services.clock.now())


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
async def check_now(sandbox: str, body: AtEpoch, services: Give, who: Who) -> Any:
    """Look whether the completion condition holds now; `met` is null where there is none."""
    return await services.broker.check(SandboxId(sandbox), who, Epoch(body.epoch))
