"""Bad input: each piece gets a clear error that names the thing, with the right status, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from agent_bridge.words import Role
from tests.web.conftest import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(server: Served) -> AsyncIterator[str]:
    """A sandbox of `agent`."""
    yield (await server.open())["id"]


async def test_a_wrong_token(server: Served) -> None:
    """An unknown token is refused with 401 and a way out, and is not repeated."""
    answer = await server.http.get("/v1/sandboxes", headers={"Authorization": "Bearer bt_wrong-wrong-wrong"})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "baton token create" in answer.json()["message"]
    assert "wrong-wrong" not in answer.text


async def test_an_expired_token(server: Served) -> None:
    """An expired token is refused with 401 that says so."""
    _, secret = await server.services.access.create_token("short", Role.AGENT, expires_s=-1)

    answer = await server.http.get("/v1/sandboxes", headers={"Authorization": f"Bearer {secret}"})

    assert answer.status_code == 401
    assert "“short” has expired" in answer.json()["message"]


async def test_a_revoked_token(server: Served) -> None:
    """A revoked token is refused with 401 that says so."""
    token, secret = await server.services.access.create_token("old", Role.AGENT)
    await server.services.access.revoke_token(token.id)

    answer = await server.http.get("/v1/sandboxes", headers={"Authorization": f"Bearer {secret}"})

    assert answer.status_code == 401
    assert "“old” was revoked" in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "who"),
    [
        ("GET", "/v1/sandboxes/sb_none", "agent"),
        ("GET", "/v1/sandboxes/sb_none", "operator"),
        ("DELETE", "/v1/sandboxes/sb_none", "agent"),
        ("POST", "/v1/sandboxes/sb_none/control/take", "operator"),
        ("GET", "/v1/handoffs/ho_none", "agent"),
        ("GET", "/v1/handoffs/ho_none", "operator"),
    ],
)
async def test_what_does_not_exist(server: Served, method: str, path: str, who: str) -> None:
    """An unknown sandbox or handoff is a 404 that names it."""
    answer = await server.call(method, path, who)

    assert answer.status_code == 404
    assert "_none" in answer.json()["message"]


async def test_an_unknown_route(server: Served) -> None:
    """A route that is not there is a 404 in the one shape."""
    answer = await server.call("GET", "/v1/nothing", "agent")

    assert answer.status_code == 404
    assert answer.json()["error"] == "NotFound"
    assert "openapi.json" in answer.json()["message"]


async def test_done_without_the_lease(server: Served, sandbox: str) -> None:
    """Done by somebody who does not hold control is a 409, and the handoff goes on waiting."""
    handoff, _ = await server.settle(sandbox, asked=True)

    answer = await server.call("POST", f"/v1/sandboxes/{sandbox}/control/done", "operator", json={"epoch": 1})

    assert answer.status_code == 409
    assert "take control" in answer.json()["message"]
    state = (await server.call("GET", f"/v1/handoffs/{handoff}", "operator")).json()["state"]
    assert state in {"asked", "waiting"}


async def test_a_second_operator_claiming(server: Served, sandbox: str) -> None:
    """The second operator gets a 409 that names the first, who keeps control."""
    _, epoch = await server.settle(sandbox, taken=True)

    answer = await server.call("POST", f"/v1/sandboxes/{sandbox}/control/take", "operator-2", json={})

    assert answer.status_code == 409
    assert answer.json()["error"] == "TakenByAnother"
    renewed = await server.call("POST", f"/v1/sandboxes/{sandbox}/control/heartbeat", "operator", json={"epoch": epoch})
    assert renewed.status_code == 200
    assert renewed.json()["expires_at"] > 0


async def test_an_old_epoch(server: Served, sandbox: str) -> None:
    """What is said under an epoch that has passed is a 409."""
    _, epoch = await server.settle(sandbox, taken=True)

    answer = await server.call(
        "POST", f"/v1/sandboxes/{sandbox}/control/heartbeat", "operator", json={"epoch": epoch - 1}
    )

    assert answer.status_code == 409
    assert answer.json()["kind"] == "stale"


async def test_a_condition_that_does_not_hold(server: Served, sandbox: str) -> None:
    """Done before the condition holds is a 409 with the parts; an override with a reason goes through."""
    await server.settle(sandbox)
    await server.ask(sandbox, condition={"text": "never"})
    epoch = await server.take(sandbox)
    path = f"/v1/sandboxes/{sandbox}/control/done"

    refused = await server.call("POST", path, "operator", json={"epoch": epoch})
    done = await server.call("POST", path, "operator", json={"epoch": epoch, "override": "it is fine", "note": "n"})

    assert refused.status_code == 409
    assert refused.json()["error"] == "ConditionsNotMet"
    assert refused.json()["parts"][0]["met"] is False
    assert done.status_code == 200
    assert done.json()["result"]["verification"]["overridden"] == "it is fine"


@pytest.mark.parametrize("chunked", [False, True])
async def test_ten_megabytes_of_instructions(server: Served, sandbox: str, chunked: bool) -> None:
    """A 10 MB text is a 413 that names the bound, whether or not its length was announced."""
    body = b'{"kind": "captcha", "instructions": "' + b"x" * 10_000_000 + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 65536):
            yield body[at : at + 65536]

    answer = await server.call(
        "POST", f"/v1/sandboxes/{sandbox}/handoffs", "agent", content=chunks() if chunked else body,
        headers={"Content-Type": "application/json"},
    )  # fmt: skip

    assert answer.status_code == 413
    assert answer.json()["error"] == "TooLarge"
    assert "1000000 bytes" in answer.json()["message"]


async def test_instructions_that_nobody_reads(server: Served, sandbox: str) -> None:
    """A text below the body's bound but above that of instructions is a 413 as well."""
    await server.settle(sandbox)

    answer = await server.call(
        "POST", f"/v1/sandboxes/{sandbox}/handoffs", "agent", json={"kind": "captcha", "instructions": "x" * 20000}
    )

    assert answer.status_code == 413
    assert "instructions has 20000 characters" in answer.json()["message"]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"kind": "nonsense"}, "kind"),
        ({"instructions": 5}, "instructions"),
        ({"instructions": None}, "instructions"),
        ({"unknown_field": 1}, "unknown_field"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"timeout_s": 1e9}, "timeout_s"),
        ({"timeout_s": "60"}, "timeout_s"),
        ({"condition": {"nonsense": 1}}, "condition"),
        ({"condition": {"all": []}}, "condition"),
        ({"condition": "x"}, "condition"),
        ({"idempotency_key": "x" * 300}, "idempotency_key"),
    ],
)
async def test_a_request_that_cannot_be_read(server: Served, sandbox: str, said: dict[str, Any], named: str) -> None:
    """Whatever is wrong in a request is a 422 that names the field and asks for nobody."""
    await server.settle(sandbox)

    answer = await server.call(
        "POST", f"/v1/sandboxes/{sandbox}/handoffs", "agent", json={"kind": "captcha", "instructions": "x", **said}
    )

    assert answer.status_code == 422
    assert named in answer.json()["message"]
    assert (await server.services.broker.view(sandbox)).handoff is None  # type: ignore[arg-type] # an id


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"nul", b'"x"', b"\xff\xfe"])
async def test_a_body_that_is_no_object(server: Served, sandbox: str, content: bytes) -> None:
    """A body that is not a JSON object is a 422 in the one shape."""
    answer = await server.call(
        "POST", f"/v1/sandboxes/{sandbox}/handoffs", "agent", content=content,
        headers={"Content-Type": "application/json"},
    )  # fmt: skip

    assert answer.status_code == 422
    assert answer.json()["kind"] == "invalid"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"url": "file:///etc/passwd"}, "http and https"),
        ({"url": "javascript:alert(1)"}, "http and https"),
        ({"url": "http://"}, "http and https"),
        ({"width": 10}, "width"),
        ({"width": 641}, "width"),
        ({"name": "\u0000\u200b"}, "visible"),
        ({"proxy": "x"}, "proxy"),
    ],
)
@pytest.mark.usefixtures("sandbox")
async def test_a_sandbox_that_cannot_be_opened(server: Served, said: dict[str, Any], named: str) -> None:
    """What cannot be opened is a 422, and nothing is left of it."""
    home = server.services.settings.state_dir / "sandboxes"
    before = sorted(home.iterdir())

    answer = await server.call("POST", "/v1/sandboxes", "agent", json=said)

    assert answer.status_code == 422
    assert named in answer.json()["message"]
    assert sorted(home.iterdir()) == before


async def test_the_same_key_is_the_same_handoff(server: Served, sandbox: str) -> None:
    """A known idempotency key answers 200 with the handoff there is."""
    await server.settle(sandbox)
    body = {"kind": "captcha", "instructions": "x", "idempotency_key": "k1"}
    path = f"/v1/sandboxes/{sandbox}/handoffs"

    first = await server.call("POST", path, "agent", json=body)
    again = await server.call("POST", path, "agent", json=body)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


async def test_a_second_handoff(server: Served, sandbox: str) -> None:
    """A second question while one is open is a 409 that names the first."""
    handoff, _ = await server.settle(sandbox, asked=True)

    answer = await server.call(
        "POST", f"/v1/sandboxes/{sandbox}/handoffs", "agent", json={"kind": "captcha", "instructions": "x"}
    )

    assert answer.status_code == 409
    assert handoff in answer.json()["message"]
