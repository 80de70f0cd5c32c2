"""Signing in by link, and what a cookie may be used for."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_bridge.words import Role
from tests.web.conftest import Served, closes, quick, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def redeem(server: Served, url: str, **headers: str) -> tuple[int, dict[str, object], str]:
    """Redeem a link as the page does; returns status, body and Set-Cookie."""
    answer = await server.http.post(
        "/v1/links/redeem", json={"token": url.partition("#")[2]}, headers={"Origin": server.url, **headers}
    )
    server.http.cookies.clear()
    return answer.status_code, answer.json(), answer.headers.get("set-cookie", "")


async def test_a_link_signs_in(server: Served) -> None:
    """Redeeming a link gives a cookie that scripts cannot read and other sites cannot send, and says where to go."""
    _, url = await server.services.access.create_link()

    status, body, cookie = await redeem(server, url)

    assert status == 200
    assert body["location"] == "/"
    assert body["operator"]["name"] == "You"  # type: ignore[index] # JSON
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert "secure" not in attributes
    me = await server.http.get("/v1/me", headers={"Cookie": cookie.partition(";")[0]})
    assert me.json()["role"] == "operator"


async def test_over_tls_the_cookie_is_secure(tmp_path: Path) -> None:
    """Behind TLS the cookie is Secure and pinned to the host."""
    async with serving(quick(tmp_path, public_url="https://baton.example")) as server:
        _, url = await server.services.access.create_link()
        assert url.startswith("https://baton.example/link#")

        status, _, cookie = await redeem(server, url, Origin="https://baton.example")

        assert status == 200
        assert cookie.startswith("__Host-baton=")
        assert "; secure" in cookie.lower()


async def test_the_secret_is_in_the_fragment(server: Served) -> None:
    """A link's URL carries its secret where no server and no referrer sees it."""
    _, url = await server.services.access.create_link()

    address, _, secret = url.partition("#")

    assert address == f"{server.url}/link"
    assert len(secret) >= 43


@pytest.mark.parametrize("method", ["HEAD", "GET", "OPTIONS"])
async def test_looking_does_not_burn_a_link(server: Served, method: str) -> None:
    """A preview that opens the page, or the redeeming address itself, leaves the link good."""
    _, url = await server.services.access.create_link()
    await server.http.request(method, "/link")
    await server.http.request(method, "/v1/links/redeem", params={"token": url.partition("#")[2]})

    assert (await redeem(server, url))[0] == 200


async def test_a_link_works_once(server: Served) -> None:
    """The second use is a 410 that says so; it tells apart from an expired and an unknown link."""
    _, url = await server.services.access.create_link()
    _, old = await server.services.access.create_link(expires_s=-1)
    await redeem(server, url)

    used, expired, unknown = [await redeem(server, link) for link in (url, old, f"{server.url}/link#bl_nonsense")]

    assert (used[0], used[1]["error"]) == (410, "LinkUsed")
    assert (expired[0], expired[1]["error"]) == (410, "LinkExpired")
    assert (unknown[0], unknown[1]["error"]) == (404, "LinkUnknown")


async def test_a_link_may_lead_to_a_live_view(server: Served) -> None:
    """A link bound to a sandbox, with control taken, says so when it is redeemed."""
    sandbox = (await server.open())["id"]
    _, url = await server.services.access.create_link(sandbox=sandbox, take=True)

    _, body, _ = await redeem(server, url)

    assert body["location"] == f"/sandboxes/{sandbox}?take=1"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
    ids=str,
)
async def test_another_site_cannot_use_a_sign_in(server: Served, headers: dict[str, str]) -> None:
    """A state-changing request with the cookie, from anywhere but a page of ours, is a 403 and changes nothing."""
    cookie = (await server.sign_in())["Cookie"]

    answer = await server.http.patch("/v1/me", json={"name": "Mallory"}, headers={"Cookie": cookie, **headers})

    assert answer.status_code == 403
    assert answer.json()["error"] == "CrossOrigin"
    me = await server.http.get("/v1/me", headers={"Cookie": cookie})
    assert me.json()["operator"]["name"] == "You"


@pytest.mark.parametrize("headers", [{"Origin": "self"}, {"Sec-Fetch-Site": "same-origin"}], ids=str)
async def test_our_own_page_may(server: Served, headers: dict[str, str]) -> None:
    """The same from a page of ours works."""
    cookie = (await server.sign_in())["Cookie"]
    headers = {name: server.url if value == "self" else value for name, value in headers.items()}

    answer = await server.http.patch("/v1/me", json={"name": "  Kim\n Lee "}, headers={"Cookie": cookie, **headers})

    assert answer.status_code == 200
    assert answer.json()["operator"]["name"] == "Kim Lee"


@pytest.mark.parametrize("path", ["/v1/events", "/v1/sandboxes/sb_x/live"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_another_sites_socket_is_closed(server: Served, path: str, origin: str | None) -> None:
    """A WebSocket with the cookie from another origin, or from none, closes with 4403."""
    cookie = (await server.sign_in())["Cookie"]
    headers = {"Cookie": cookie} | ({"Origin": origin} if origin else {})

    async with server.socket(path, headers=headers) as socket:
        code, _ = await closes(socket)

    assert code == 4403


async def test_another_site_cannot_redeem_a_link(server: Served) -> None:
    """A page that got hold of a link cannot sign its visitor in with it."""
    _, url = await server.services.access.create_link()

    status, body, _ = await redeem(server, url, Origin="https://evil.example")

    assert (status, body["error"]) == (403, "CrossOrigin")
    assert (await redeem(server, url))[0] == 200


async def test_signing_out_ends_everything(server: Served) -> None:
    """After signing out the cookie is worth nothing and the open sockets are closed."""
    headers = await server.sign_in()
    async with server.socket("/v1/events", headers=headers) as socket:
        await socket.recv()

        out = await server.http.post("/v1/sign-out", headers=headers)
        code, reason = await closes(socket)

    assert out.status_code == 204
    assert "max-age=0" in out.headers["set-cookie"].lower()
    assert code == 4401
    assert "signed out" in (reason or "")
    assert (await server.http.get("/v1/me", headers=headers)).status_code == 401


async def test_a_second_link_is_the_same_person(server: Served) -> None:
    """Redeeming another link in a browser that is signed in goes on as the same operator."""
    headers = await server.sign_in()
    before = (await server.http.get("/v1/me", headers=headers)).json()["operator"]["id"]
    _, url = await server.services.access.create_link(name="Somebody")

    _, body, _ = await redeem(server, url, Cookie=headers["Cookie"])

    assert body["operator"]["id"] == before  # type: ignore[index] # JSON


async def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    """After too many failures an address is told to wait, but a right token still passes."""
    async with serving(quick(tmp_path, failures_per_minute=3)) as server:
        await server.token("agent", Role.AGENT)
        wrong = {"Authorization": "Bearer bt_wrong"}
        statuses = [(await server.http.get("/v1/me", headers=wrong)).status_code for _ in range(4)]
        last = await redeem(server, f"{server.url}/link#bl_guess")

        assert statuses == [401, 401, 401, 429]
        assert last[0] == 429
        assert (await server.call("GET", "/v1/me", "agent")).status_code == 200
