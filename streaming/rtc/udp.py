"""UDP ports that many WebRTC connections share: who a datagram is for is read from what it is.

A connection is known by its ICE user name (RFC 8445, 7.3): a STUN request that carries it, and proves by its integrity
that it knows the connection's password, makes the sender's address the connection's. What is not STUN (RFC 7983) goes
to the connection that owns the address it comes from. So a stranger can neither speak to a connection nor take an
address from one; he is not even answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from aioice import stun

log = structlog.get_logger(__name__)

type Address = tuple[str, int]

MAX_ADDRESSES: Final = 8
"""How many addresses of one browser are remembered for one connection (its interfaces, and what NAT makes of them)."""
HOLD_S: Final = 10.0
"""How long an address stays with the connection that was last heard from there, whoever else claims it."""
MAX_ASKED: Final = 1024
_BUFFER: Final = 1024 * 1024
_TRIES: Final = 16
_STUN_HEADER: Final = struct.Struct("!HHI12s")
_CLASS: Final = 0x0110
_REQUEST: Final = 0x0000


@dataclass(frozen=True, slots=True)
class Key:
    """What a connection is known by: its own ICE user name, and the password that proves it."""

    username: str
    password: bytes


@dataclass(slots=True)
class _Owner:
    lane: Lane
    heard_at: float


class Lane(asyncio.DatagramTransport):
    """One connection's share of one socket; looks to aioice like a UDP transport of its own."""

    def __init__(self, shared: Socket, key: Key, protocol: asyncio.DatagramProtocol) -> None:
        super().__init__({"sockname": shared.address})
        self.key = key
        self.protocol = protocol
        self._shared = shared
        self._closing = False
        self.when_closed: Callable[[], None] | None = None
        protocol.connection_made(self)

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send one datagram at once; what the network refuses is lost, as any datagram may be."""
        if not self._closing:
            self._shared.send(self, data, addr)

    def deliver(self, data: bytes, addr: Address) -> None:
        """Hand over a datagram that was found to be this connection's."""
        self.protocol.datagram_received(data, addr)

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def close(self) -> None:
        """Leave the socket; the protocol's `connection_lost` follows, as with any transport."""
        if self._closing:
            return
        self._closing = True
        self._shared.forget(self)
        if self.when_closed is not None:
            self.when_closed()
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        """Do as `close` does: nothing is buffered."""
        self.close()


class Socket(asyncio.DatagramProtocol):
    """One bound UDP socket and the connections that share it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._owners: dict[Address, _Owner] = {}
        self._asked: OrderedDict[bytes, Lane] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None
        self.address: Address = ("", 0)
        self.dropped = 0

    @property
    def idle(self) -> bool:
        """Whether no connection uses it."""
        return not self._lanes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin on the bound socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = tuple(transport.get_extra_info("sockname")[:2])
        bound = transport.get_extra_info("socket")
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            with contextlib.suppress(OSError):
                bound.setsockopt(socket.SOL_SOCKET, option, _BUFFER)

    def error_received(self, exc: Exception) -> None:
        """Ignore what ICMP says of one viewer: the others share this socket, and ICE finds out by itself."""

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Give a datagram to its connection, or to nobody."""
        source = (addr[0], addr[1])
        lane = self._owner_of(data, source)
        if lane is None:
            self.dropped += 1
        else:
            lane.deliver(data, source)

    def join(self, key: Key, protocol: asyncio.DatagramProtocol) -> Lane:
        """Open a lane for the connection with that key."""
        lane = Lane(self, key, protocol)
        self._lanes[key.username] = lane
        return lane

    def forget(self, lane: Lane) -> None:
        """Take a lane out of every table."""
        if self._lanes.get(lane.key.username) is lane:
            del self._lanes[lane.key.username]
        self._owners = {addr: owner for addr, owner in self._owners.items() if owner.lane is not lane}
        self._asked = OrderedDict((asked, by) for asked, by in self._asked.items() if by is not lane)

    def send(self, lane: Lane, data: bytes, addr: Address) -> None:
        """Send for a lane; its STUN requests are remembered, so that the answers find it from any address."""
        if self._transport is None or self._transport.is_closing():
            return
        if data[0] < 4 and len(data) >= _STUN_HEADER.size:  # noqa: PLR2004 - RFC 7983: 0 to 3 is STUN
            kind, _, _, transaction = _STUN_HEADER.unpack_from(data)
            if kind & _CLASS == _REQUEST:
                self._asked[transaction] = lane
                if len(self._asked) > MAX_ASKED:
                    self._asked.popitem(last=False)
        with contextlib.suppress(OSError, ValueError):
            self._transport.sendto(data, addr)

    def close(self) -> None:
        """Close the socket and every lane."""
        for lane in list(self._lanes.values()):
            lane.close()
        if self._transport is not None:
            self._transport.close()

    def _owner_of(self, data: bytes, source: Address) -> Lane | None:
        if not data:
            return None
        owner = self._owners.get(source)
        if data[0] < 4:  # noqa: PLR2004 - RFC 7983
            return self._owner_of_stun(data, source, owner)
        if owner is None:
            return None
        owner.heard_at = self._clock()
        return owner.lane

    def _owner_of_stun(self, data: bytes, source: Address, owner: _Owner | None) -> Lane | None:
        try:
            message = stun.parse_message(data)
        except (ValueError, struct.error):
            return None
        if message.message_class in {stun.Class.RESPONSE, stun.Class.ERROR}:
            return self._asked.pop(message.transaction_id, None)
        if message.message_class is not stun.Class.REQUEST:
            return None
        lane = self._lanes.get(str(message.attributes.get("USERNAME", "")).partition(":")[0])
        if lane is None or not message.check_message_integrity(lane.key.password):
            return None
        return lane if self._claim(lane, source, owner) else None

    def _claim(self, lane: Lane, source: Address, owner: _Owner | None) -> bool:
        now = self._clock()
        if owner is not None and owner.lane is not lane and now - owner.heard_at < HOLD_S:
            return False
        self._owners[source] = _Owner(lane, now)
        mine = [(owned.heard_at, addr) for addr, owned in self._owners.items() if owned.lane is lane]
        if len(mine) > MAX_ADDRESSES:
            del self._owners[min(mine)[1]]
        return True


class Port:
    """One UDP port number on several addresses of this machine."""

    def __init__(self, sockets: dict[str, Socket], number: int, clock: Callable[[], float]) -> None:
        self.number = number
        self._sockets = sockets
        self._clock = clock

    @classmethod
    async def open(
        cls, numbers: Iterable[int], addresses: Iterable[str], *, clock: Callable[[], float] = time.monotonic
    ) -> Port:
        """Bind the first of these numbers that is free; 0 takes any. Raises `OSError` when none is."""
        addresses = list(addresses)
        last: OSError | None = None
        for number in numbers:
            for _ in range(1 if number else _TRIES):
                port = cls({}, number, clock)
                try:
                    await port._bind(addresses)
                except OSError as error:
                    last = error
                    port.close()
                else:
                    return port
        raise last or OSError("no UDP port to bind, or no address to bind it to")

    async def _bind(self, addresses: list[str]) -> None:
        failed: OSError | None = None
        for address in addresses:
            try:
                bound = await _bind(address, self.number, self._clock)
            except OSError as error:
                failed = error
                continue
            self._sockets[address] = bound
            self.number = bound.address[1]
        if failed is not None and (not self._sockets or failed.errno == errno.EADDRINUSE):
            raise failed

    async def join(
        self, key: Key, addresses: Iterable[str], protocol: Callable[[], asyncio.DatagramProtocol]
    ) -> list[Lane]:
        """Open a lane on each of these addresses; one that is new to the machine is bound first."""
        lanes = []
        for address in addresses:
            if address not in self._sockets:
                try:
                    self._sockets[address] = await _bind(address, self.number, self._clock)
                except OSError as error:
                    log.info("stream.udp.unbound", address=address, port=self.number, error=str(error))
                    continue
            lanes.append(self._sockets[address].join(key, protocol()))
        return lanes

    @property
    def dropped(self) -> int:
        """Datagrams that were nobody's."""
        return sum(bound.dropped for bound in self._sockets.values())

    def close(self) -> None:
        """Close every socket; lanes on them are lost."""
        for bound in self._sockets.values():
            bound.close()
        self._sockets.clear()


async def _bind(address: str, number: int, clock: Callable[[], float]) -> Socket:
    _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Socket(clock), local_addr=(address, number)
    )
    return protocol
