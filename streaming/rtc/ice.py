"""ICE over shared ports: aioice's checks and TURN, our sockets (RFC 8445, RFC 8656).

The browser's `.local` candidates (its addresses under a name) are left alone: asking the network for the name takes a
second, and the browser's own checks tell its address at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from aioice import Candidate, Connection
from aioice.ice import StunProtocol
from aiortc import RTCIceGatherer
from aiortc.rtcconfiguration import RTCIceServer
from aiortc.rtcicetransport import connection_kwargs

from streaming.rtc.places import Ports, host_candidate
from streaming.rtc.settings import Relay
from streaming.rtc.udp import Key

MAX_REMOTE: Final = 16
RELAY_S: Final = 2
"""How long the answer waits for the relay; without it the other candidates have to do."""


class SharedConnection(Connection):
    """An ICE connection whose host candidates are lanes on shared ports."""

    def __init__(self, ports: Ports, relay: Relay | None) -> None:
        server = [RTCIceServer(urls=relay.url, username=relay.user, credential=relay.credential)] if relay else []
        # the name tells this connection from all others on the port, the password proves it
        super().__init__(
            ice_controlling=False,
            local_username=secrets.token_hex(8),
            local_password=secrets.token_hex(16),
            **connection_kwargs(server),
        )
        self.sink: Callable[[bytes], None] | None = None
        self._ports = ports

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],  # noqa: ARG002 - aioice's own; ours come from the ports
        timeout: int = RELAY_S,  # noqa: ASYNC109 - aioice's
    ) -> list[Candidate]:
        """Return the host candidates of our lanes, then those of the relay."""
        key = Key(self.local_username, self.local_password.encode())
        candidates: list[Candidate] = []
        for protocol, told in await self._ports.join(key, lambda: StunProtocol(self)):
            protocol.local_candidate = host_candidate(protocol.transport.get_extra_info("sockname"))
            self._protocols.append(protocol)
            candidates += told
        return candidates + await super().get_component_candidates(component, [], timeout)

    async def add_remote_candidate(self, remote_candidate: Candidate | None) -> None:
        """Take a candidate of the browser; the end of them is never said, as its checks may still tell more."""
        if remote_candidate is None or len(self._remote_candidates) >= MAX_REMOTE:
            return
        if remote_candidate.transport.lower() != "udp" or remote_candidate.host.endswith(".local"):
            return
        await super().add_remote_candidate(remote_candidate)

    def data_received(self, data: bytes, component: int) -> None:
        """Hand what is not STUN to the sink, without a queue between once there is one."""
        if self.sink is not None:
            self.sink(data)
        else:
            super().data_received(data, component)

    def send_now(self, data: bytes) -> None:
        """Send on the nominated pair; lost when there is none."""
        pair = self._nominated.get(1)
        if pair is not None:
            pair.protocol.transport.sendto(data, pair.remote_addr)


class SharedGatherer(RTCIceGatherer):
    """aiortc's gatherer around a `SharedConnection`."""

    def __init__(self, ports: Ports, relay: Relay | None) -> None:
        super().__init__(iceServers=[])
        self._connection: SharedConnection = SharedConnection(ports, relay)

    @property
    def connection(self) -> SharedConnection:
        """The connection it gathers for."""
        return self._connection
