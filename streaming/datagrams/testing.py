"""For tests: the browser's end in Python, and a link that exists only in time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from streaming.datagrams.end import Heard, ServerEnd
from streaming.datagrams.reference import BrowserEnd, Receiver, UpSender
from streaming.datagrams.sender import OVERHEAD, Message

__all__ = ["BrowserEnd", "BrowserSide", "Link", "Receiver", "Simulation", "UpSender"]


@dataclass(slots=True)
class Link:
    """One direction of a path: random loss, a bottleneck with a first-in first-out queue, delay, jitter.

    Attributes:
        delay: seconds one way.
        loss: share lost at random, before the queue.
        rate: bits/s of the bottleneck, 0: none; every datagram counts `OVERHEAD` bytes more than its length.
        queue: seconds that the queue holds; more is dropped.
        jitter: seconds added at random; datagrams may overtake each other.
        cut: nothing gets through while true.
    """

    delay: float
    loss: float = 0.0
    rate: float = 0.0
    queue: float = 0.3
    jitter: float = 0.0
    cut: bool = False
    seed: int = 1
    worst_queue: float = 0.0
    carried: int = 0
    datagrams: int = 0
    _free: float = 0.0
    _dice: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 - the same every time, on purpose

    def waiting(self, now: float) -> float:
        """Seconds of queue."""
        return max(0.0, self._free - now)

    def carry(self, datagram: bytes, now: float) -> float | None:
        """When it comes out at the other end; None if never."""
        lost = self._dice.random() < self.loss
        jitter = self._dice.random() * self.jitter
        if self.cut or lost:
            return None
        at = now
        if self.rate:
            if self.waiting(now) > self.queue:
                return None
            self._free = at = max(self._free, now) + (len(datagram) + OVERHEAD) * 8 / self.rate
            self.worst_queue = max(self.worst_queue, at - now)
        self.carried += len(datagram) + OVERHEAD
        self.datagrams += 1
        return at + self.delay + jitter


class BrowserSide(Protocol):
    """What a simulation needs of a browser's end."""

    def hear(self, datagram: bytes, now: float) -> list[tuple[int, Message]]:
        """Take a datagram; the messages that are next in order."""

    def due(self, now: float) -> list[bytes]:
        """The datagrams to send now."""

    def next_at(self) -> float:
        """When to call `due` next."""

    def send(self, message: Message, now: float) -> int:
        """Queue a numbered message."""

    def loose(self, kind: int, text: str, now: float) -> None:
        """Send the newest of its kind."""

    def shown(self, frame: int, decode_ms: float, now: float) -> None:
        """A frame is on the canvas."""


class Simulation:
    """A server's end and a browser's end with a link each way, in virtual time."""

    def __init__(
        self, down: Link, up: Link, server: ServerEnd | None = None, browser: BrowserSide | None = None
    ) -> None:
        self.now = 0.0
        self.down, self.up = down, up
        self.server = server or ServerEnd(0.0)
        self.browser: BrowserSide = browser or BrowserEnd(0.0)
        self.painted: list[tuple[float, int, Message]] = []
        """(when, number, message) as the browser delivered them."""
        self.heard: list[tuple[float, Heard]] = []
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], object]]] = []

    def at[**P](self, when: float, what: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do something at a time."""
        then: Callable[[], object] = partial(what, *args, **kwargs)
        heapq.heappush(self._events, (when, next(self._order), then))

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            # a microsecond late, as rounding between two clocks' units must not ask for the same moment for ever
            upcoming = min(self.server.next_at(), self.browser.next_at()) + 1e-6
            if self._events:
                upcoming = min(upcoming, self._events[0][0])
            if upcoming > until:
                self.now = until
                return
            self.now = max(self.now, upcoming)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            self._send()

    def _send(self) -> None:
        for datagram in self.server.due(self.now):
            if (at := self.down.carry(datagram, self.now)) is not None:
                self.at(at, self._to_browser, datagram)
        for datagram in self.browser.due(self.now):
            if (at := self.up.carry(datagram, self.now)) is not None:
                self.at(at, self._to_server, datagram)

    def _to_browser(self, datagram: bytes) -> None:
        for number, message in self.browser.hear(datagram, self.now):
            self.painted.append((self.now, number, message))
            if isinstance(message, bytes):
                self.browser.shown(number, 1.0, self.now)

    def _to_server(self, datagram: bytes) -> None:
        self.heard.extend((self.now, heard) for heard in self.server.hear(datagram, self.now))
