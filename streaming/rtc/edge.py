"""One viewer at the server: its socket, its datagrams when it has any, and the keeper, joined by `Ways`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog

from sandbox.words import BadRequest
from streaming.datagrams import Message
from streaming.rtc.peer import Peer
from streaming.rtc.places import Ports
from streaming.rtc.settings import DatagramSettings, servers
from streaming.rtc.ways import Ways, say_answer, say_servers

log = structlog.get_logger(__name__)

OFFER_S: Final = 2.0
"""At most one offer in this time; a browser that tries more often is not answered."""

type Send = Callable[[Message], Awaitable[None]]


class Datagrams:
    """What all viewers of one process share; one for the server's life."""

    def __init__(self, settings: DatagramSettings) -> None:
        self.ports = Ports(settings.places)
        self.turn = settings.turn

    def close(self) -> None:
        """Give the port back."""
        self.ports.close()


class Edge:
    """Joins one viewer's ways. `to_browser` and `to_keeper` send on the sockets; they may raise when those close.

    Without `datagrams` (or with None) everything goes by the socket. What a send raises comes out of `hear` and `say`,
    or of `failed` when nobody was waiting.
    """

    def __init__(
        self,
        to_browser: Send,
        to_keeper: Send,
        datagrams: Datagrams | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ways = Ways(allowed=datagrams is not None)
        self._datagrams = datagrams
        self._clock = clock
        self._browser = _Outlet(self._ways.to_socket, to_browser)
        self._keeper = _Outlet(self._ways.to_keeper, to_keeper)
        self._room = asyncio.Event()
        self._room.set()
        self._peer: Peer | None = None
        self._offered_at = -OFFER_S
        self._logged = "socket"
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def way(self) -> str:
        """Which way messages down take: "socket" or "datagrams"."""
        return "datagrams" if self._ways.datagrams else "socket"

    async def hear(self, message: Message) -> None:
        """Take a message from the browser's socket."""
        self._ways.hear_socket(message, self._clock())
        if self._ways.offer is not None:
            offer, self._ways.offer = self._ways.offer, None
            self._offered(offer)
        self._turn(self._keeper)
        await self._keeper.flush()

    async def say(self, message: Message) -> None:
        """Take a message from the keeper; returns when there is room for the next."""
        self._ways.down(message, self._clock())
        self._turn(self._browser)
        await self._browser.flush()
        await self._room.wait()

    async def close(self) -> None:
        """End the datagrams; the sockets are their owner's."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        peer, self._peer = self._peer, None
        if peer is not None:
            await peer.close()
        if self.failed.done() and not self.failed.cancelled():
            self.failed.exception()

    # -- datagrams ---------------------------------------------------------------------------------------------------

    def _offered(self, offer: str) -> None:
        if self._datagrams is None:
            self._ways.to_socket.append(say_servers(None))
            return
        if not offer:
            relay = self._datagrams.turn.relay(time.time()) if self._datagrams.turn else None
            self._ways.to_socket.append(say_servers(servers(relay)))
            return
        now = self._clock()
        if now - self._offered_at < OFFER_S:
            self._ways.to_socket.append(say_answer(None))
            return
        self._offered_at = now
        self._run(self._answer(self._datagrams, offer))

    async def _answer(self, shared: Datagrams, offer: str) -> None:
        before, self._peer = self._peer, None
        self._ways.closed()
        self._ways.left = False
        if before is not None:
            await before.close()
        relay = shared.turn.relay(time.time()) if shared.turn else None
        peer = Peer(
            shared.ports,
            relay,
            heard=lambda datagram: self._heard(peer, datagram),
            opened=lambda: self._opened(peer),
            closed=lambda: self._closed(peer),
        )
        self._peer = peer
        try:
            answer = await peer.answer(offer)
        except (BadRequest, OSError) as error:
            log.info("stream.rtc.unanswered", reason=str(error))
            await peer.close()
            self._ways.to_socket.append(say_answer(None))
        else:
            self._ways.to_socket.append(say_answer(answer))
        await self._browser.flush()

    def _heard(self, peer: Peer, datagram: bytes) -> None:
        if peer is self._peer:
            self._ways.hear_datagram(datagram, self._clock())
            self._turn()

    def _opened(self, peer: Peer) -> None:
        if peer is self._peer:
            self._ways.opened(self._clock())
            self._turn()

    def _closed(self, peer: Peer) -> None:
        if peer is self._peer:
            self._peer = None
            self._ways.closed()
            self._turn()

    def _turn(self, flushed: _Outlet | None = None) -> None:
        """Send what is due, hand on what was heard (`flushed` is seen to by the caller), come back when it is time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock()
        peer = self._peer
        if peer is not None:
            for datagram in self._ways.due(now):
                peer.send(datagram)
            at = self._ways.next_at()
            if at is not None:
                self._timer = asyncio.get_running_loop().call_later(max(0.0, at - now), self._turn)
            elif self._ways.left:
                self._peer = None
                self._run(peer.close())
        if self.way != self._logged:
            self._logged = self.way
            log.info("stream.way", way=self.way)
        if self._ways.crowded:
            self._room.clear()
        else:
            self._room.set()
        for outlet in (self._keeper, self._browser):
            if outlet.waiting and outlet is not flushed:
                self._run(outlet.flush())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)


class _Outlet:
    """Sends what gathers in a queue, in order, one at a time, whoever asks for it."""

    def __init__(self, waiting: deque[Message], send: Send) -> None:
        self.waiting = waiting
        self._send = send
        self._lock = asyncio.Lock()

    async def flush(self) -> None:
        """Return when nothing waits. Raises what `send` raises."""
        async with self._lock:
            while self.waiting:
                await self._send(self.waiting.popleft())
