"""A network that can be spoilt: UDP through a forwarder that loses, delays and cuts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

type Address = tuple[str, int]


class Forwarder(asyncio.DatagramProtocol):
    """Stands at one port and passes what comes on to another; each sender gets a port of its own there."""

    def __init__(self, *, loss: float = 0.0, delay: float = 0.0, seed: int = 1) -> None:
        self.loss = loss
        self.delay = delay
        self.cut = False
        self.target: Address = ("127.0.0.1", 0)
        self.passed = 0
        self.lost = 0
        self._random = random.Random(seed)
        self._out: asyncio.DatagramTransport | None = None
        self._ways: dict[Address, asyncio.DatagramTransport] = {}
        self._early: dict[Address, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._out = transport

    @property
    def port(self) -> int:
        """Where it stands."""
        assert self._out is not None
        return int(self._out.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Pass on what a browser sent."""
        if addr in self._ways:
            self.spoil(self._ways[addr], data, self.target)
        elif addr in self._early:
            self._early[addr].append(data)
        else:
            self._early[addr] = [data]
            task = asyncio.ensure_future(self._open(addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, addr: Address) -> None:
        back = Back(self, addr)
        host = self.target[0]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: back, local_addr=(host, 0))
        self._ways[addr] = transport
        for data in self._early.pop(addr):
            self.spoil(transport, data, self.target)

    def spoil(self, transport: asyncio.DatagramTransport, data: bytes, addr: Address) -> None:
        """Lose it, delay it, or pass it."""
        if self.cut or self._random.random() < self.loss:
            self.lost += 1
            return
        self.passed += 1
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._send, transport, data, addr)
        else:
            self._send(transport, data, addr)

    def back(self, data: bytes, addr: Address) -> None:
        """Pass an answer back."""
        if self._out is not None:
            self.spoil(self._out, data, addr)

    @staticmethod
    def _send(transport: asyncio.DatagramTransport, data: bytes, addr: Address) -> None:
        if not transport.is_closing():
            transport.sendto(data, addr)

    def close(self) -> None:
        """Close every port."""
        for transport in [*self._ways.values(), *([self._out] if self._out else [])]:
            transport.close()


class Back(asyncio.DatagramProtocol):
    """One browser's port on the far side of a forwarder."""

    def __init__(self, forwarder: Forwarder, addr: Address) -> None:
        self._forwarder = forwarder
        self._addr = addr

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Pass it back to the browser."""
        self._forwarder.back(data, self._addr)


@asynccontextmanager
async def forwarder(host: str = "127.0.0.1", **spoilt: float) -> AsyncIterator[Forwarder]:
    """A forwarder on a free port; set its `target` before use."""
    passing = Forwarder(**spoilt)  # type: ignore[arg-type]
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: passing, local_addr=(host, 0))
    try:
        yield passing
    finally:
        passing.close()


async def until(met: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(seconds):
        while not met():  # noqa: ASYNC110 - what is waited for says nothing by itself
            await asyncio.sleep(0.01)
