"""Every route against every role: who gets what."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from tests.web.conftest import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLERS = ("", "agent", "agent-2", "operator", "qa", "admin")


@dataclass(frozen=True)
class Route:
    """A route, the state it needs, and the status each caller gets, in the order of CALLERS."""

    method: str
    path: str
    statuses: tuple[int, ...]
    body: dict[str, Any] | None = None
    asked: bool = False
    taken: bool = False
    fresh: bool = False


ROUTES = [
    Route("POST", "/v1/sandboxes", (401, 201, 201, 403, 403, 201), {}),
    Route("GET", "/v1/sandboxes", (401, 200, 200, 200, 403, 200)),
    Route("GET", "/v1/sandboxes/{sandbox}", (401, 200, 404, 200, 403, 200)),
    Route("DELETE", "/v1/sandboxes/{sandbox}", (401, 204, 404, 403, 403, 204), fresh=True),
    Route("GET", "/v1/sandboxes/{sandbox}/thumbnail.jpg", (401, 403, 403, 200, 403, 403)),
    Route("GET", "/v1/sandboxes/{sandbox}/blockers", (401, 200, 404, 200, 403, 200)),
    Route("GET", "/v1/sandboxes/{sandbox}/cdp/json/version", (401, 200, 404, 403, 403, 403)),
    Route("GET", "/v1/sandboxes/{sandbox}/cdp/json/list", (401, 200, 404, 403, 403, 403)),
    Route(
        "POST", "/v1/sandboxes/{sandbox}/handoffs", (401, 201, 404, 403, 403, 403),
        {"kind": "captcha", "instructions": "Type."},
    ),
    Route("GET", "/v1/handoffs", (401, 403, 403, 200, 200, 200)),
    Route("GET", "/v1/handoffs/{handoff}", (401, 200, 404, 200, 403, 200), asked=True),
    Route("GET", "/v1/handoffs/{handoff}?wait_s=0.01", (401, 200, 404, 200, 403, 200), asked=True),
    Route("POST", "/v1/handoffs/{handoff}/cancel", (401, 200, 404, 403, 403, 200), asked=True),
    Route("GET", "/v1/handoffs/{handoff}/images/before.jpg", (401, 404, 404, 404, 403, 403), asked=True),
    Route("POST", "/v1/sandboxes/{sandbox}/control/take", (401, 403, 403, 200, 403, 403), {}, asked=True),
    Route("POST", "/v1/sandboxes/{sandbox}/control/heartbeat", (401, 403, 403, 200, 403, 403), {}, taken=True),
    Route("POST", "/v1/sandboxes/{sandbox}/control/check", (401, 403, 403, 200, 403, 403), {}, taken=True),
    Route("POST", "/v1/sandboxes/{sandbox}/control/done", (401, 403, 403, 200, 403, 403), {}, taken=True),
    Route("POST", "/v1/sandboxes/{sandbox}/control/failed", (401, 403, 403, 200, 403, 403), {}, taken=True),
    Route(
        "POST", "/v1/sandboxes/{sandbox}/control/declined", (401, 403, 403, 200, 403, 403), {"note": "x"}, taken=True
    ),
    Route("POST", "/v1/sandboxes/{sandbox}/control/release", (401, 403, 403, 200, 403, 403), {}, taken=True),
    Route("POST", "/v1/sandboxes/{sandbox}/control/stay", (401, 403, 403, 200, 403, 403), {}, taken=True),
    Route(
        "POST", "/v1/sandboxes/{sandbox}/control/extend", (401, 403, 403, 200, 403, 403), {"reason": "x"}, taken=True
    ),
    Route("POST", "/v1/sandboxes/{sandbox}/control/request", (401, 403, 403, 409, 403, 403), {"note": "x"}, asked=True),
    Route(
        "POST", "/v1/sandboxes/{sandbox}/control/give", (401, 403, 403, 409, 403, 403), {"operator": "op_x"}, taken=True
    ),
    Route(
        "POST", "/v1/sandboxes/{sandbox}/control/deny", (401, 403, 403, 409, 403, 403), {"operator": "op_x"}, taken=True
    ),
    Route("POST", "/v1/handoffs/{handoff}/extend", (401, 200, 404, 200, 403, 403), {"timeout_s": 9000.0}, asked=True),
    Route(
        "POST", "/v1/sandboxes/{sandbox}/approvals", (401, 201, 404, 403, 403, 403),
        {"target": "t", "method": "Page.reload", "reason": "It hangs."},
    ),
    Route("GET", "/v1/approvals", (401, 403, 403, 200, 403, 403)),
    Route("GET", "/v1/approvals/{approval}", (401, 200, 404, 200, 403, 403)),
    Route("POST", "/v1/approvals/{approval}/approve", (401, 403, 403, 200, 403, 403), {"note": "x"}),
    Route("POST", "/v1/approvals/{approval}/decline", (401, 403, 403, 200, 403, 403), {}),
    Route("GET", "/v1/limits", (401, 200, 200, 200, 200, 200)),
    Route("GET", "/v1/me", (401, 200, 200, 200, 200, 200)),
    Route("PATCH", "/v1/me", (401, 403, 403, 200, 403, 403), {"name": "Kim"}),
    Route("POST", "/v1/sign-out", (401, 403, 403, 403, 403, 403)),
    Route("POST", "/v1/links/redeem", (403, 403, 403, 403, 403, 403), {"token": "bl_none"}),
    Route("GET", "/v1/openapi.json", (200, 200, 200, 200, 200, 200)),
    Route("GET", "/healthz", (200, 200, 200, 200, 200, 200)),
    Route("GET", "/metrics", (200, 200, 200, 200, 200, 200)),
]  # fmt: skip

CELLS = [
    pytest.param(route, who, status, id=f"{route.method} {route.path} as {who or 'nobody'}")
    for route in ROUTES
    for who, status in zip(CALLERS, route.statuses, strict=True)
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(server: Served) -> AsyncIterator[str]:
    """A sandbox of `agent`."""
    yield (await server.open())["id"]


async def close(server: Served, sandbox: str, who: str) -> None:
    """Close a sandbox that a test opened."""
    if who != "agent" or sandbox:
        await server.call("DELETE", f"/v1/sandboxes/{sandbox}", "admin")


@pytest.mark.parametrize(("route", "who", "status"), CELLS)
async def test_every_cell(server: Served, sandbox: str, route: Route, who: str, status: int) -> None:
    """Each route answers each role with the status of the table."""
    target = (await server.open())["id"] if route.fresh and status == 204 else sandbox
    allowed = status < 400 or "images" in route.path
    handoff, epoch = "ho_0123456789abcdef0123", 0
    if allowed and not route.fresh:
        handoff, epoch = await server.settle(sandbox, asked=route.asked, taken=route.taken)
    elif route.asked:
        handoff, _ = await server.settle(sandbox, asked=True)
    approval = (await server.approval(sandbox))["id"] if "{approval}" in route.path else ""
    body = route.body
    if route.taken and body is not None:
        body = {"epoch": epoch, **body}

    answer = await server.call(
        route.method,
        route.path.format(sandbox=target, handoff=handoff, approval=approval),
        who,
        **({"json": body} if body is not None else {}),
    )

    assert answer.status_code == status, answer.text
    if status >= 400:
        assert {"error", "kind", "message"} <= answer.json().keys()
    if answer.status_code == 201 and route.path == "/v1/sandboxes":
        await close(server, answer.json()["id"], who)


async def test_the_table_is_complete(server: Served) -> None:
    """Every route of the OpenAPI document stands in the table."""
    document = (await server.call("GET", "/v1/openapi.json")).json()
    there = {
        (method.upper(), re.sub(r"\{which\}", "before", path))
        for path, methods in document["paths"].items()
        for method in methods
    }

    assert {(r.method, r.path.partition("?")[0]) for r in ROUTES} - {("GET", "/v1/openapi.json")} == there


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("/v1/events", (4401, 4403, 4403, None, 4403, 4403)),
        ("/v1/sandboxes/{sandbox}/live", (4401, 4403, 4403, None, 4403, 4403)),
    ],
)
@pytest.mark.parametrize("index", range(len(CALLERS)), ids=lambda i: CALLERS[i] or "nobody")
async def test_operators_sockets(
    server: Served, sandbox: str, path: str, codes: tuple[int | None, ...], index: int
) -> None:
    """Only operators may watch or hear; everybody else's socket closes with the code that says why."""
    async with server.socket(path.format(sandbox=sandbox), CALLERS[index]) as socket:
        if codes[index] is None:
            assert await socket.recv()
        else:
            await socket.wait_closed()
            assert socket.close_code == codes[index]
            assert socket.close_reason


@pytest.mark.parametrize(("who", "status"), list(zip(CALLERS, (401, None, 404, 403, 403, 403), strict=True)))
async def test_the_agents_socket(server: Served, sandbox: str, who: str, status: int | None) -> None:
    """Only the agent whose sandbox it is may connect to its gate; a program reads the refusal as an HTTP answer."""
    if status is None:
        async with server.socket(f"/v1/sandboxes/{sandbox}/cdp", who) as socket:
            assert "/cdp?client=cl_" in str(await socket.recv())
        return
    with pytest.raises(InvalidStatus) as refused:
        await server.socket(f"/v1/sandboxes/{sandbox}/cdp", who)

    assert refused.value.response.status_code == status
    assert b'"message"' in (refused.value.response.body or b"")


async def test_an_agent_sees_only_its_own(server: Served, sandbox: str) -> None:
    """The list of one agent does not name another's sandboxes; operators see all."""
    mine = (await server.call("GET", "/v1/sandboxes", "agent")).json()["sandboxes"]
    theirs = (await server.call("GET", "/v1/sandboxes", "agent-2")).json()["sandboxes"]
    all_ = (await server.call("GET", "/v1/sandboxes", "operator")).json()["sandboxes"]

    assert sandbox in {s["id"] for s in mine}
    assert sandbox not in {s["id"] for s in theirs}
    assert sandbox in {s["id"] for s in all_}
    assert all("token=" not in s["cdp_url"] for s in all_)


async def test_the_agent_gets_the_pictures_after_the_return(server: Served, sandbox: str) -> None:
    """Before the return the agent is told to wait; afterwards it gets both pictures, as the operator does."""
    handoff, epoch = await server.settle(sandbox, taken=True)
    path = f"/v1/handoffs/{handoff}/images/after.jpg"
    early = await server.call("GET", path, "agent")
    await server.call("POST", f"/v1/sandboxes/{sandbox}/control/done", "operator", json={"epoch": epoch})

    late = await server.call("GET", path, "agent")

    assert early.status_code == 404
    assert "wait" in early.json()["message"]
    assert late.status_code == 200
    assert late.content.startswith(b"\xff\xd8")
    assert late.headers["content-type"] == "image/jpeg"
    assert (await server.call("GET", path, "operator")).status_code == 200
