"""How far a browser is, as the kernel knows it: the round trips of a busy page say more about the page than the way."""

from __future__ import annotations

import socket
import struct
from collections.abc import MutableMapping
from typing import Any, Final, cast

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

NEAR_S: Final = 0.010
"""Round trips shorter than this leave datagrams nothing to win."""
_EXTENSION: Final = "baton.transport"
# struct tcp_info (linux/tcp.h): tcpi_min_rtt, microseconds, since Linux 4.9
_MIN_RTT: Final = struct.Struct("=I")
_MIN_RTT_AT: Final = 148


class MeasuredWebSocket(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket, whose handler can ask how far the other end is."""

    async def run_asgi(self) -> None:
        """See uvicorn; the scope's extensions get the transport."""
        extensions = cast("MutableMapping[str, Any]", self.scope.setdefault("extensions", {}))
        extensions[_EXTENSION] = self.transport
        await super().run_asgi()


def round_trip(websocket: WebSocket) -> float | None:
    """Return the shortest round trip to a browser in seconds; None where it cannot be known (a proxy, no Linux)."""
    transport = (websocket.scope.get("extensions") or {}).get(_EXTENSION)
    plug = transport.get_extra_info("socket") if transport is not None else None
    if plug is None or not hasattr(socket, "TCP_INFO") or "x-forwarded-for" in websocket.headers:
        return None
    try:
        info = plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    except OSError:
        return None
    if len(info) < _MIN_RTT_AT + _MIN_RTT.size:
        return None
    microseconds: int = _MIN_RTT.unpack_from(info, _MIN_RTT_AT)[0]
    return microseconds / 1e6 if microseconds else None


def is_far(websocket: WebSocket) -> bool:
    """Whether datagrams may be worth their while; where nothing is known the browser's own measuring decides."""
    known = round_trip(websocket)
    return known is None or known >= NEAR_S
