"""What several routers need."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from agent_bridge.access.roles import Permission, may
from agent_bridge.access.words import Caller, Operator
from sandbox.words import NotAllowed, NotFound, SandboxId
from web.api.models import Error
from web.services import Services
from web.signin import check

_PHRASES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""RFC 9110's names, which Python 3.12 does not have yet."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI entries for the errors a route may answer with."""
    return {
        status: {"model": Error, "description": _PHRASES.get(status, HTTPStatus(status).phrase)} for status in statuses
    }


async def may_touch(
    services: Services, caller: Caller, sandbox: SandboxId, *, own: Permission, all_: Permission | None = None
) -> None:
    """Pass a caller who may do this with every sandbox, or with their own when this one is theirs.

    A foreign sandbox is answered as an unknown one: an agent learns nothing about another's. Raises `NotAllowed`,
    `NotFound`.
    """
    check(caller, own, *([all_] if all_ else []))
    owner = await services.sandboxes.owner(sandbox)
    if all_ is not None and may(caller.role, all_):
        return
    if owner != caller.id:
        raise unknown(sandbox)


def unknown(sandbox: SandboxId) -> NotFound:
    """Return the error for a sandbox that is not there, or not the caller's."""
    return NotFound(f"there is no sandbox {sandbox[:40]} of yours; list them, or open one", sandbox=sandbox[:40])


def operator_of(caller: Caller) -> Operator:
    """Return the operator behind a caller. Raises `NotAllowed` where there is none."""
    if caller.operator is None:
        raise NotAllowed("only an operator can do this; open a sign-in link", role=caller.role.value)
    return caller.operator
