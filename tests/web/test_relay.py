"""The relays: unchanged both ways, closed with the same codes, ended with the credential."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.exceptions import InvalidStatus

from agent_bridge.words import Role
from tests.web.conftest import Served, closes
from web import relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

CDP = "/v1/sandboxes/{}/cdp"
LIVE = "/v1/sandboxes/{}/live"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(server: Served) -> AsyncIterator[dict[str, Any]]:
    """A sandbox of `agent`."""
    yield await server.open()


@pytest.mark.parametrize(("path", "who"), [(CDP, "agent"), (LIVE, "operator")])
async def test_ten_megabytes_pass_both_ways(server: Served, sandbox: dict[str, Any], path: str, who: str) -> None:
    """Large messages pass unchanged, text as text and binary as binary."""
    async with server.socket(path.format(sandbox["id"]), who) as socket:
        await socket.recv()
        binary, text = os.urandom(10_000_000), "ü" * 5_000_000
        for message in (binary, text, "", b""):
            await socket.send(message)
            assert await socket.recv() == message


async def test_the_keeper_is_told_who_watches(server: Served, sandbox: dict[str, Any]) -> None:
    """The keeper learns the viewer's operator from the server, whatever the viewer puts in the address."""
    async with server.socket(LIVE.format(sandbox["id"]) + "?operator=op_mallory&name=M", "operator") as socket:
        said = str(await socket.recv())

    operator = (await server.call("GET", "/v1/me", "operator")).json()["operator"]
    assert f"operator={operator['id']}" in said
    assert "mallory" not in said


async def test_a_close_code_passes_down(server: Served, sandbox: dict[str, Any]) -> None:
    """When the keeper closes, the client sees its code and reason."""
    async with server.socket(CDP.format(sandbox["id"]), "agent") as socket:
        await socket.send("close 4411")

        assert await closes(socket) == (4411, "as you said")


async def test_the_capability_opens_its_sandbox_only(server: Served, sandbox: dict[str, Any]) -> None:
    """The right in a `cdp_url` connects without any header, to that sandbox and no other."""
    other = await server.open()
    path = sandbox["cdp_url"].removeprefix(f"ws{server.url.removeprefix('http')}")
    async with server.socket(path) as socket:
        assert "/cdp?client=cl_" in str(await socket.recv())

    with pytest.raises(InvalidStatus) as refused:
        await server.socket(path.replace(sandbox["id"], other["id"]))

    assert refused.value.response.status_code == 401
    assert (await server.http.get("/v1/me", params={"token": path.partition("token=")[2]})).status_code == 401


async def test_an_agents_token_works_in_the_address(server: Served, sandbox: dict[str, Any]) -> None:
    """CDP clients that cannot send headers may put the agent's token in the query."""
    async with server.socket(f"{CDP.format(sandbox['id'])}?token={server.tokens['agent']}") as socket:
        assert await socket.recv()


async def test_a_connection_says_what_becomes_of_its_commands(server: Served, sandbox: dict[str, Any]) -> None:
    """`while_held` comes from the address, else from the sandbox, else from the setting; the JSON page keeps it."""
    patient = await server.open(while_held="wait")
    for opened, asked, wanted in (
        (sandbox, "", "refuse"), (sandbox, "?while_held=wait", "wait"),
        (patient, "", "wait"), (patient, "?while_held=refuse", "refuse"),
    ):  # fmt: skip
        async with server.socket(CDP.format(opened["id"]) + asked, "agent") as socket:
            assert f"while_held={wanted}" in str(await socket.recv())
    with pytest.raises(InvalidStatus) as refused:
        await server.socket(CDP.format(sandbox["id"]) + "?while_held=perhaps", "agent")
    assert refused.value.response.status_code == 422
    assert (await server.call("POST", "/v1/sandboxes", "agent", json={"while_held": "perhaps"})).status_code == 422
    address = CDP.format(sandbox["id"]) + "/json/version?while_held=wait"
    told = (await server.call("GET", address, "agent")).json()["webSocketDebuggerUrl"]
    assert told.endswith("/cdp?while_held=wait")


@pytest.mark.parametrize("suffix", ["", "/"])
async def test_the_http_address_leads_to_the_socket(server: Served, sandbox: dict[str, Any], suffix: str) -> None:
    """/json/version says where the WebSocket is, with the right it was asked with."""
    address = sandbox["cdp_url"].replace("ws:", "http:").replace("/cdp?", f"/cdp/json/version{suffix}?")

    answer = await server.http.get(address)

    assert answer.json() == {
        "Browser": "Fake/1", "Protocol-Version": "1.3", "webSocketDebuggerUrl": sandbox["cdp_url"],
    }  # fmt: skip


async def test_revoking_the_token_closes_the_sockets(server: Served) -> None:
    """Revoking a token closes what it opened, also what stands on its sandbox's capability."""
    token, server.tokens["doomed"] = await server.services.access.create_token("doomed", Role.AGENT)
    sandbox = await server.open("doomed")
    path = sandbox["cdp_url"].removeprefix(f"ws{server.url.removeprefix('http')}")
    async with server.socket(path) as by_url, server.socket(CDP.format(sandbox["id"]), "doomed") as by_token:
        await server.services.access.revoke_token(token.id)

        for socket in (by_url, by_token):
            code, reason = await closes(socket)
            assert code == 4401
            assert "revoked" in (reason or "")


async def test_another_process_may_revoke(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that `baton token revoke` ended in the database is noticed by and by."""
    monkeypatch.setattr(relay, "RECHECK_S", 0.05)
    token, server.tokens["doomed-2"] = await server.services.access.create_token("doomed-2", Role.OPERATOR)
    async with server.socket("/v1/events", "doomed-2") as socket:
        await server.services.access.records.revoke_token(token.id, 1.0)

        assert (await closes(socket))[0] == 4401


async def test_a_sandbox_that_ended(server: Served) -> None:
    """When a sandbox is closed its sockets close, and a new one is told that it has ended."""
    sandbox = (await server.open())["id"]
    async with server.socket(LIVE.format(sandbox), "operator") as socket:
        await server.call("DELETE", f"/v1/sandboxes/{sandbox}", "agent")
        code, _ = await closes(socket)
    async with server.socket(LIVE.format(sandbox), "operator") as again:
        late, reason = await closes(again)

    assert code in {1001, 4503}
    assert late == 4411
    assert "has ended" in (reason or "")


async def test_an_unknown_sandbox(server: Served) -> None:
    """An unknown sandbox's live view closes with 4404."""
    async with server.socket(LIVE.format("sb_none"), "operator") as socket:
        assert (await closes(socket))[0] == 4404


@pytest.mark.parametrize(
    ("code", "sent"), [(None, 1000), (1005, 1000), (1006, 1001), (1000, 1000), (4411, 4411), (9, 1001)]
)
async def test_only_sendable_codes_are_sent(code: int | None, sent: int) -> None:
    """Codes that exist only locally are never put on the wire."""
    assert relay.sendable(code) == sent


async def test_a_reason_fits_its_frame() -> None:
    """A reason is cut at 123 bytes, between characters."""
    assert relay.short("ü" * 100) == "ü" * 61


async def test_a_viewer_may_have_datagrams(
    server: Served, sandbox: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for on its socket; what it says of its own way is dropped, not relayed."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])
    browser = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    channel = browser.createDataChannel("baton", ordered=False, maxRetransmits=0, negotiated=True, id=0)
    opened = asyncio.Event()
    channel.on("open", opened.set)
    await browser.setLocalDescription(await browser.createOffer())
    async with server.socket(LIVE.format(sandbox["id"]) + "?way=datagrams", "operator") as socket:
        await socket.recv()
        await socket.send('{"t":"rtc"}')
        assert json.loads(await socket.recv()) == {"t": "rtc", "servers": []}
        await socket.send(json.dumps({"t": "rtc", "offer": browser.localDescription.sdp}))
        answer = json.loads(await socket.recv())
        await browser.setRemoteDescription(RTCSessionDescription(answer["answer"], "answer"))
        await asyncio.wait_for(opened.wait(), 10)
        await socket.send(json.dumps({"t": "rtc", "offer": browser.localDescription.sdp}))
        assert json.loads(await socket.recv()) == {"t": "rtc", "answer": None}
        await socket.send('{"t":"way","kind":"datagrams","rate":1e9,"rtt":1,"loss":0,"queue":0}')
        await socket.send("end")
        assert await socket.recv() == "end"
    await browser.close()


async def test_the_socket_way_offers_no_datagrams(server: Served, sandbox: dict[str, Any]) -> None:
    """`way=socket` in the address; a word that means nothing is refused."""
    async with server.socket(LIVE.format(sandbox["id"]) + "?way=socket", "operator") as socket:
        await socket.recv()
        await socket.send('{"t":"rtc"}')
        assert json.loads(await socket.recv()) == {"t": "rtc", "servers": None}
    with pytest.raises(InvalidStatus):
        async with server.socket(LIVE.format(sandbox["id"]) + "?way=pigeon", "operator"):
            pass
