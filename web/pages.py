"""The console's pages: HTML shells that the ES modules in `static/` fill from the API. They carry no data of a sandbox.

`install(app)` adds everything to an application; call it after the API's routers and error handlers.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Scope

from agent_bridge.access.roles import Permission, may
from agent_bridge.access.words import Caller
from sandbox.words import NotFound, SandboxId
from web.signin import services_of, signed_in

HERE: Final = Path(__file__).parent
STATIC: Final = HERE / "static"
NOT_FOUND: Final = 404
_IMPORT: Final = re.compile(r"^(?:import|export|\}) ?[^;]*?from '(\.[^']+)';", re.MULTILINE)

router = APIRouter(include_in_schema=False, default_response_class=Response)
templates = Jinja2Templates(
    env=Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True)
)


@lru_cache
def _version(path: Path, changed_ns: int) -> str:
    del changed_ns
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """Return the address of a file in `static/`, with its content's version, so that it may be kept for ever."""
    path = STATIC / name
    return f"/static/{name}?v={_version(path, path.stat().st_mtime_ns)}"


@lru_cache
def modules(entry: str) -> tuple[str, ...]:
    """Return the addresses of all modules that `entry` imports, near ones first.

    A page that names them is spared one round trip for each step of the chain.
    """
    found: dict[str, None] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop(0)
        for said in _IMPORT.findall((STATIC / name).read_text()):
            other = posixpath.normpath(posixpath.join(posixpath.dirname(name), said))
            if other not in found:
                found[other] = None
                waiting.append(other)
    return tuple(f"/static/{name}" for name in found)


templates.env.globals["asset"] = asset
templates.env.globals["modules"] = modules


class Assets(StaticFiles):
    """Static files: for ever by version, else asked for anew each time (ES modules import each other unversioned)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file with its caching rule."""
        response = await super().get_response(path, scope)
        versioned = scope.get("query_string", b"").startswith(b"v=")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        return response


async def known(request: Request, sandbox: str) -> bool:
    """Whether there is or was such a sandbox."""
    try:
        await services_of(request).sandboxes.get(SandboxId(sandbox))
    except NotFound:
        return False
    return True


Who = Annotated[Caller | None, Depends(signed_in)]
Known = Annotated[bool, Depends(known)]


def _page(request: Request, caller: Caller | None, template: str, **context: Any) -> Response:
    if caller is None or caller.operator is None:
        return _no_way_in(request)
    operator = {
        "operator_id": caller.operator.id, "operator_name": caller.operator.name,
        "may_force": "yes" if may(caller.role, Permission.CONTROL_FORCE) else "no",
    }  # fmt: skip
    response: Response = templates.TemplateResponse(request, template, {**operator, **context})
    response.headers["Cache-Control"] = "no-store"
    return response


def _message(request: Request, page: str, title: str, *lines: str, status: int = 200, **context: Any) -> Response:
    facts = {"page": page, "title": title, "lines": lines, **context}
    response: Response = templates.TemplateResponse(request, "message.html", facts, status_code=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _no_way_in(request: Request) -> Response:
    return _message(
        request, "signed-out", "You need a link to come in",
        "There is no password. A link signs you in once, and this browser remembers you.",
        status=401, ways=True,
    )  # fmt: skip


def not_found(request: Request) -> Response:
    """Return the page for an address that leads nowhere."""
    return _message(
        request, "not-found", "There is nothing here",
        "The address may be mistyped, or what it led to has ended.",
        status=NOT_FOUND, go=("/", "Go to the queue"),
    )  # fmt: skip


@router.get("/")
async def queue(request: Request, caller: Who) -> Response:
    """Show the queue."""
    return _page(request, caller, "queue.html")


@router.get("/sandboxes")
async def sandboxes(request: Request, caller: Who) -> Response:
    """Show which sandboxes are open, and who holds each."""
    return _page(request, caller, "sandboxes.html")


@router.get("/sandboxes/{sandbox}")
async def handoff(request: Request, sandbox: str, caller: Who, is_known: Known) -> Response:
    """Show the live view of one sandbox; with `?take=1` it takes control by itself."""
    if caller is not None and not is_known:
        return not_found(request)
    return _page(request, caller, "handoff.html", sandbox=sandbox)


@router.get("/link")
async def link(request: Request) -> Response:
    """Show the landing page of one-use links. The secret is in the fragment: this request does not carry it."""
    return _message(
        request, "link", "Opening the console",
        "This link signs you in to Baton, once. You will see a browser that an agent works in.",
        script="link.js",
    )  # fmt: skip


@router.get("/signed-out")
async def signed_out(request: Request) -> Response:
    """Say goodbye, and how to come back."""
    return _message(
        request, "signed-out", "You are signed out",
        "Nothing here remembers you any more. To come back, open a new link.",
        ways=True,
    )  # fmt: skip


@router.get("/patterns")
async def patterns(request: Request) -> Response:
    """Show every part of the console once."""
    page: Response = templates.TemplateResponse(request, "patterns.html", {"operator_id": "", "operator_name": ""})
    return page


def install(app: FastAPI) -> None:
    """Add pages and static files; people who follow a wrong address get a page, programs keep their JSON."""
    app.include_router(router)
    app.mount("/static", GZipMiddleware(Assets(directory=STATIC), minimum_size=500, compresslevel=6), name="static")
    inner: Any = app.exception_handlers.get(HTTPException)

    async def for_people(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        reads_html = "text/html" in request.headers.get("accept", "")
        ours = not request.url.path.startswith(("/v1", "/static"))
        if error.status_code == NOT_FOUND and request.method == "GET" and reads_html and ours:
            return not_found(request)
        if inner is None:
            return Response(error.detail, error.status_code)
        answer: Response = await inner(request, error)
        return answer

    app.add_exception_handler(HTTPException, for_people)
