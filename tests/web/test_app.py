"""The application as a whole: its document, its headers, its health, its last resort."""

from __future__ import annotations

import json
import logging

import httpx
import pytest

from tests.web.conftest import Served
from web.app import SNAPSHOT, create_app, openapi_document, server_options
from web.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_openapi_document_is_checked_in(server: Served) -> None:
    """docs/openapi.json is what the application says; `python -m web.app` writes it."""
    served = (await server.http.get("/v1/openapi.json")).json()

    assert json.loads(SNAPSHOT.read_text()) == served
    assert SNAPSHOT.read_text() == openapi_document()


@pytest.mark.parametrize("path", ["/v1/me", "/healthz", "/metrics", "/nothing", "/v1/openapi.json", "/link", "/"])
async def test_every_answer_is_headed(server: Served, path: str) -> None:
    """Every answer carries the policy that keeps pages to themselves."""
    answer = await server.http.get(path)

    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    host = server.url.removeprefix("http://")
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["connect-src"] == f"'self' data: ws://{host} wss://{host}"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "clipboard-read=(self)" in answer.headers["permissions-policy"]
    assert "server" not in answer.headers


async def test_api_answers_are_not_kept(server: Served) -> None:
    """Nothing under /v1 may be cached."""
    assert (await server.http.get("/v1/me")).headers["cache-control"] == "no-store"


async def test_a_strange_host_stays_out_of_the_policy(server: Served) -> None:
    """A host header that could break out of the policy is not repeated in it."""
    answer = await server.http.get("/healthz", headers={"Host": "x; script-src *"})

    assert answer.status_code == 400 or "script-src *" not in answer.headers["content-security-policy"]


async def test_health(server: Served) -> None:
    """Health says whether the database and every keeper answer."""
    await server.open()

    body = (await server.http.get("/healthz")).json()

    assert body["status"] == "ok"
    assert body["database"] is True
    assert body["keepers"]["open"] == body["keepers"]["answering"] >= 1


async def test_metrics(server: Served) -> None:
    """The figures follow what happens: sandboxes, handoffs, transitions, sockets, times."""
    sandbox = (await server.open())["id"]
    await server.ask(sandbox)
    epoch = await server.take(sandbox)
    async with server.socket(f"/v1/sandboxes/{sandbox}/live", "operator") as socket:
        await socket.recv()
        during = (await server.http.get("/metrics")).text
    await server.call("POST", f"/v1/sandboxes/{sandbox}/control/done", "operator", json={"epoch": epoch})

    after = (await server.http.get("/metrics")).text

    assert 'baton_sandboxes{state="held"} 1.0' in during
    assert 'baton_handoffs_open{state="held"} 1.0' in during
    assert "baton_viewers 1.0" in during
    assert 'baton_handoffs_total{kind="captcha",outcome="resolved"} 1.0' in after
    assert 'baton_control_transitions_total{to="held"}' in after
    assert 'route="/v1/sandboxes/{sandbox}/control/take"' in after
    assert "baton_handoff_waited_seconds_count 1.0" in after
    assert "baton_commands_refused_total 0.0" in after
    assert sandbox not in after


async def test_the_last_resort(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is a 500 with an id that the log has, and gives nothing else away."""
    app = create_app(server.services)

    @app.get("/v1/broken")
    async def broken() -> None:
        raise ZeroDivisionError("the planted secret")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with caplog.at_level(logging.ERROR):
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            answer = await http.get("/v1/broken")

    assert answer.status_code == 500
    assert answer.json()["kind"] == "bug"
    assert answer.json()["incident"].startswith("er_")
    assert "planted" not in answer.text


async def test_server_options() -> None:
    """Uvicorn is told to let large messages pass uncompressed and to log no addresses."""
    options = server_options(Settings())

    assert options["ws_max_size"] >= 256 * 1024 * 1024
    assert options["ws_per_message_deflate"] is False
    assert options["access_log"] is False
