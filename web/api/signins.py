"""Signing in by a one-use link, and being somebody: redeem, who am I, rename, sign out.

Opening a link is harmless: the secret is in the fragment, which no server and no link preview sees. The page posts it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from agent_bridge.access.words import Caller, LinkUnknown, Redeemed
from sandbox.words import NotAllowed
from web.api.common import errors, operator_of
from web.api.models import MeOut, RedeemedOut, RedeemLink, Rename
from web.signin import Give, address, check_origin, clear_cookie, identify, set_cookie, signed_in

router = APIRouter(tags=["sign-in"])


async def _anybody(request: Request) -> Caller:
    return (await identify(request))[0]


Anybody = Annotated[Caller, Depends(_anybody)]


@router.post(
    "/links/redeem", response_model=None,
    responses={200: {"model": RedeemedOut}, **errors(403, 404, 410, 422, 429)},
)  # fmt: skip
async def redeem(body: RedeemLink, request: Request, response: Response, services: Give) -> Any:
    """Turn a link into a sign-in cookie, once. 404 unknown, 410 used or expired."""
    check_origin(request, services)
    try:
        redeemed = await services.access.redeem(body.token, current=await signed_in(request))
    except LinkUnknown:
        services.failures.failed(address(request))
        raise
    set_cookie(response, services, redeemed.secret)
    link = redeemed.link
    return {
        "operator": redeemed.operator.to_wire(), "sandbox": link.sandbox, "handoff": link.handoff, "take": link.take,
        "location": await _location(services, redeemed),
    }  # fmt: skip


async def _location(services: Give, redeemed: Redeemed) -> str:
    link = redeemed.link
    sandbox = link.sandbox
    if sandbox is None and link.handoff is not None:
        sandbox = (await services.broker.get(link.handoff)).sandbox
    if sandbox is None:
        return "/"
    return f"/sandboxes/{sandbox}{'?take=1' if link.take else ''}"


def _me(caller: Caller) -> dict[str, Any]:
    operator = caller.operator.to_wire() if caller.operator else None
    return {"id": caller.id, "role": caller.role.value, "operator": operator}


@router.get("/me", response_model=None, responses={200: {"model": MeOut}, **errors(401)})
async def me(caller: Anybody) -> Any:
    """Say who is calling."""
    return _me(caller)


@router.patch("/me", response_model=None, responses={200: {"model": MeOut}, **errors(401, 403, 422)})
async def rename(body: Rename, caller: Anybody, services: Give) -> Any:
    """Change the operator's display name."""
    operator = await services.access.rename(operator_of(caller).id, body.name)
    return {**_me(caller), "operator": operator.to_wire()}


@router.post("/sign-out", status_code=204, response_class=Response, responses=errors(401, 403))
async def sign_out(caller: Anybody, services: Give) -> Response:
    """End this sign-in, and the live views that stand on it."""
    if not caller.sign_in:
        raise NotAllowed("a token cannot sign out; revoke it with `baton token revoke`")
    await services.access.sign_out(caller)
    response = Response(status_code=204)
    clear_cookie(response, services)
    return response
