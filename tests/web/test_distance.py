"""How far a browser is decides whether datagrams are offered."""

from __future__ import annotations

import json

import pytest
from starlette.websockets import WebSocket

from tests.web.conftest import Served
from web import distance

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def offered(server: Served, query: str = "") -> object:
    """What a browser that asks for datagrams is told."""
    sandbox = (await server.open())["id"]
    async with server.socket(f"/v1/sandboxes/{sandbox}/live{query}", "operator") as socket:
        await socket.send('{"t":"rtc"}')
        while True:
            said = await socket.recv()
            if isinstance(said, str) and said.startswith('{"t":"rtc"'):
                return json.loads(said)["servers"]


async def test_a_browser_nearby_stays_on_its_socket(server: Served) -> None:
    """On the same machine the kernel's round trip is far below what datagrams could win, however busy the page is."""
    assert await offered(server) is None


async def test_datagrams_can_be_asked_for(server: Served) -> None:
    """`way=datagrams` gets them at any distance."""
    assert await offered(server, "?way=datagrams") == []


async def test_what_is_not_known_is_left_to_the_browser() -> None:
    """Behind a proxy the kernel knows the proxy; without a transport it knows nothing."""

    class Transport:
        def get_extra_info(self, _: str) -> object:
            raise AssertionError("the proxy's round trip says nothing")

    async def nothing(*_: object) -> dict[str, object]:
        return {}

    def websocket(headers: list[tuple[bytes, bytes]], extensions: dict[str, object]) -> WebSocket:
        return WebSocket({"type": "websocket", "headers": headers, "extensions": extensions}, nothing, nothing)  # type: ignore[arg-type]

    assert distance.is_far(websocket([], {}))
    with pytest.raises(AssertionError):
        distance.is_far(websocket([], {"baton.transport": Transport()}))
    assert distance.round_trip(websocket([(b"x-forwarded-for", b"10.0.0.1")], {})) is None
