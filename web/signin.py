"""Who is calling over HTTP: token or sign-in cookie, from the right page, with the permission.

A request is judged in this order: who (401), from where (403), may they (403). A browser sends its cookie by itself,
so whatever a cookie authorises must come from a page of ours; a token is sent on purpose, by no browser.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection

from agent_bridge.access.roles import Permission, may
from agent_bridge.access.words import Caller, TokenRefused
from sandbox.words import NotAllowed, Unauthenticated
from web.services import Services

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE_S: Final = 30 * 86400
"""How long a browser keeps the cookie; the server decides much earlier whether it is still good."""


class CrossOrigin(NotAllowed):
    """A page of another origin tried to use a sign-in."""


def services_of(connection: HTTPConnection) -> Services:
    """Return the services this application was made with."""
    services: Services = connection.app.state.services
    return services


def get_services(connection: HTTPConnection) -> Services:
    """Give a route the services."""
    return services_of(connection)


def cookie_name(services: Services) -> str:
    """Return the sign-in cookie's name; over TLS the browser itself pins it to this host."""
    return "__Host-baton" if secure(services) else "baton"


def secure(services: Services) -> bool:
    """Whether browsers reach this server over TLS, here or at a proxy."""
    return services.settings.base_url().startswith("https:")


def set_cookie(response: Response, services: Services, secret: str) -> None:
    """Sign the browser in: a cookie that scripts cannot read and other sites cannot send."""
    response.set_cookie(
        cookie_name(services), secret, max_age=COOKIE_S, httponly=True, samesite="strict", path="/",
        secure=secure(services),
    )  # fmt: skip


def clear_cookie(response: Response, services: Services) -> None:
    """Sign the browser out."""
    response.delete_cookie(cookie_name(services), path="/", httponly=True, samesite="strict", secure=secure(services))


def check_origin(connection: HTTPConnection, services: Services) -> None:
    """Pass only what a page of this server sent. Raises `CrossOrigin`.

    `Origin` must be this request's own host or the public URL. Without one, `Sec-Fetch-Site` must say the page is ours;
    with neither it was no browser's doing, but then it has no business with a cookie either.
    """
    origin = connection.headers.get("origin")
    site = connection.headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        raise CrossOrigin(f"a page of another site ({site}) may not use your sign-in")
    if origin is None:
        if site != "same-origin":
            raise CrossOrigin("a sign-in is good for Baton's own pages only; programs send a token")
        return
    if not own_origin(origin, connection, services):
        raise CrossOrigin("a page of another origin may not use your sign-in; set BATON_PUBLIC_URL behind a proxy")


def own_origin(origin: str, connection: HTTPConnection, services: Services) -> bool:
    """Whether an `Origin` header names this very server."""
    if origin == services.settings.base_url():
        return True
    scheme = {"ws": "http", "wss": "https"}.get(connection.scope["scheme"], connection.scope["scheme"])
    parts = urlsplit(origin)
    return parts.scheme == scheme and parts.netloc != "" and parts.netloc == connection.headers.get("host")


def address(connection: HTTPConnection) -> str:
    """Return where a request comes from, for counting failures."""
    return connection.client.host if connection.client else "-"


type Recheck = Callable[[], Awaitable[Caller]]


async def identify(connection: HTTPConnection, *, query_token: bool = False) -> tuple[Caller, Recheck]:
    """Return who is calling, and a function that judges the same credential again later (for open sockets).

    Raises `Unauthenticated`, `TokenRefused`, `TooManyFailures`, `CrossOrigin`.
    """
    services = services_of(connection)
    token = bearer(connection) or (connection.query_params.get("token") if query_token else None)
    cookie = connection.cookies.get(cookie_name(services))
    judge: Recheck
    if token:
        judge = lambda: services.access.by_token(token)  # noqa: E731 - two judges of one shape
    elif cookie:
        judge = lambda: services.access.by_sign_in(cookie)  # noqa: E731 - two judges of one shape
    else:
        raise Unauthenticated("send `Authorization: Bearer <token>`, or sign in by opening a link")
    try:
        caller = await judge()
    except TokenRefused:
        services.failures.failed(address(connection))
        raise
    if caller.sign_in and connection.scope.get("method") not in SAFE_METHODS:
        # A WebSocket has no method and is judged here too: it is never safe.
        check_origin(connection, services)
    return caller, judge


def bearer(connection: HTTPConnection) -> str | None:
    """Return the token of the `Authorization` header, or None."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def signed_in(connection: HTTPConnection) -> Caller | None:
    """Return who this browser is signed in as, or None: for pages, which show a way in instead of an error."""
    services = services_of(connection)
    cookie = connection.cookies.get(cookie_name(services))
    if not cookie:
        return None
    try:
        return await services.access.by_sign_in(cookie)
    except TokenRefused:
        return None


def require(*permissions: Permission) -> Callable[[Request], Awaitable[Caller]]:
    """Return a dependency that gives the caller who has at least one of these permissions. Raises `NotAllowed`."""

    async def judged(request: Request) -> Caller:
        caller, _ = await identify(request)
        check(caller, *permissions)
        return caller

    return judged


def check(caller: Caller, *permissions: Permission) -> None:
    """Pass a caller who has at least one of these permissions. Raises `NotAllowed`, naming the role."""
    if not any(may(caller.role, permission) for permission in permissions):
        raise NotAllowed(
            f"the role {caller.role.value} does not permit {permissions[0].value}", role=caller.role.value,
            permission=permissions[0].value,
        )  # fmt: skip


Give = Annotated[Services, Depends(get_services)]
"""A route's parameter for the services."""
