"""Where WebRTC connections live: the UDP ports they take, and the addresses that browsers are told to look at."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, cast

from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, get_host_addresses

from streaming.rtc.settings import Places
from streaming.rtc.udp import Address, Key, Lane, Port

LOOPBACK: Final = ("127.0.0.1", "::1")
MAX_HOSTS: Final = 12


def addresses_of(places: Places) -> list[str]:
    """Return the addresses of this machine to bind, loopback where there is no other."""
    if places.loopback:
        return list(LOOPBACK)
    return get_host_addresses(use_ipv4=True, use_ipv6=True)[:MAX_HOSTS] or list(LOOPBACK)


class Ports:
    """The UDP ports of this process; give `join` a connection and get its protocols and what to advertise."""

    def __init__(self, places: Places, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._clock = clock
        self._shared: Port | None = None
        self._opening = asyncio.Lock()

    async def join(self, key: Key, protocol: Callable[[], StunProtocol]) -> list[tuple[StunProtocol, list[Candidate]]]:
        """Open the connection's lanes: each with its protocol and the host candidates (RFC 8445, 5.1.1) it is told by.

        Raises `OSError` when no port can be had. Closing the protocols gives everything back.
        """
        addresses = addresses_of(self._places)
        if self._places.ports is None:
            port = await self._one(addresses)
        else:
            order = list(self._places.ports)
            start = random.randrange(len(order))  # noqa: S311 - spreads, hides nothing
            port = await Port.open(order[start:] + order[:start], addresses, clock=self._clock)
        lanes = await port.join(key, addresses, protocol)
        if self._places.ports is not None:
            _close_with(port, lanes)
        joined = []
        for lane in lanes:
            outer = self._outer(lane.get_extra_info("sockname"), first=lane is lanes[0])
            joined.append((cast("StunProtocol", lane.protocol), [host_candidate(address) for address in outer]))
        return joined

    async def bind(self) -> None:
        """Bind the shared port now instead of with the first viewer. Raises `OSError`."""
        if self._places.ports is None:
            await self._one(addresses_of(self._places))

    async def _one(self, addresses: list[str]) -> Port:
        async with self._opening:
            if self._shared is None:
                self._shared = await Port.open([self._places.port], addresses, clock=self._clock)
            return self._shared

    def _outer(self, inner: Address, *, first: bool) -> list[Address]:
        if not self._places.advertised:
            return [inner]
        return [(host, port or inner[1]) for host, port in self._places.advertised] if first else []

    @property
    def number(self) -> int | None:
        """The shared port's number once it is bound."""
        return self._shared.number if self._shared is not None else None

    def close(self) -> None:
        """Give the shared port back."""
        if self._shared is not None:
            self._shared.close()
            self._shared = None


def _close_with(port: Port, lanes: list[Lane]) -> None:
    """Close a connection's own port when the last of its lanes closes."""
    if not lanes:
        port.close()
    left = set(lanes)
    for lane in lanes:

        def gone(lane: Lane = lane) -> None:
            left.discard(lane)
            if not left:
                port.close()

        lane.when_closed = gone


def host_candidate(address: Address) -> Candidate:
    """Return the candidate by which an address of this machine is told."""
    return Candidate(
        foundation=candidate_foundation("host", "udp", address[0]),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host"),
        host=address[0],
        port=address[1],
        type="host",
    )
