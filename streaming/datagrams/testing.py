"""For tests: the browser's end in Python (the reference for datagrams.js), and a link that exists only in time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from streaming.datagrams import fec, wire
from streaming.datagrams.end import Heard, ServerEnd
from streaming.datagrams.sender import OVERHEAD, Message

FEEDBACK_EVERY: Final = 0.022
BEAT_EVERY: Final = 0.5
MAX_BUFFERED: Final = 32 * 1024 * 1024
_SETTLE: Final = 0.003
_GAP_EVERY: Final = 0.004
_SMALL: Final = 300
_QUICK_COPIES: Final = (0.008, 0.03, 0.08)
_SLOW_COPY: Final = 0.1
_WINDOW: Final = 64
_LOOSE_COPIES: Final = (0.02, 0.08)


@dataclass(slots=True)
class _Incoming:
    """A message coming in: cuts and, by block, repair packets."""

    length: int
    size: int
    text: bool
    cuts: dict[int, bytes] = field(default_factory=dict)
    repairs: dict[int, dict[int, bytes]] = field(default_factory=dict)
    whole: bytes | None = None

    def add(self, part: wire.Part) -> None:
        if self.whole is not None or (part.length, part.size, part.text) != (self.length, self.size, self.text):
            return
        count = wire.cuts(self.length, self.size)
        number = wire.blocks(count, fec.MAX_BLOCK)
        if part.repair:
            index = part.index >> 8
            self.repairs.setdefault(index, {})[part.index & 0xFF] = part.body
        else:
            self.cuts[part.index] = part.body
            index = part.index % number
        self._recover(index, number, count)
        if len(self.cuts) == count:
            self.whole = b"".join(self.cuts[cut] for cut in range(count))[: self.length]
            self.cuts, self.repairs = {}, {}

    def _recover(self, index: int, number: int, count: int) -> None:
        columns = range(index, count, number)
        missing = sum(cut not in self.cuts for cut in columns)
        repairs = self.repairs.get(index, {})
        if not missing or len(repairs) < missing:
            return
        have = {column: self.cuts[cut] for column, cut in enumerate(columns) if cut in self.cuts}
        for column, body in fec.recover(len(columns), have, repairs, self.size).items():
            cut = columns[column]
            self.cuts[cut] = body[: min(self.size, self.length - cut * self.size)]


class Receiver:
    """The down half of the browser: puts messages together and says what came."""

    def __init__(self, first: int = 1) -> None:
        self.delivered = first - 1
        self.pieces = 0
        """The last piece up that the server has taken."""
        self.errors = 0
        self.feedback_at: float | None = None
        self._messages: dict[int, _Incoming] = {}
        self._buffered = 0
        self._highest = 0
        self._seen = 0
        self._news: list[tuple[int, float]] = []
        self._told_at = float("-inf")
        self._span = 64

    def hear(self, datagram: bytes, now: float) -> list[tuple[int, Message]]:
        """Take a datagram; the messages that are next in order."""
        try:
            part = wire.parse_down(datagram)
        except wire.Nonsense:
            self.errors += 1
            return []
        self._note(part.packet, now)
        self.pieces = max(self.pieces, part.pieces)
        if isinstance(part, wire.Beat) or part.number <= self.delivered:
            return []
        incoming = self._messages.get(part.number)
        if incoming is None:
            if self._buffered + part.length > MAX_BUFFERED:
                return []
            incoming = self._messages[part.number] = _Incoming(part.length, part.size, part.text)
            self._buffered += part.length
        incoming.add(part)
        return self._ready()

    def advance(self, number: int) -> list[tuple[int, Message]]:
        """Messages up to `number` came by the other way; those that are next now."""
        for old in [old for old in self._messages if old <= number]:
            self._buffered -= self._messages.pop(old).length
        self.delivered = max(self.delivered, number)
        return self._ready()

    def feedback(self, now: float) -> wire.Feedback | None:
        """What to tell the server, once something has come."""
        if not self._highest:
            return None
        arrivals = [(packet, max(0, round((now - at) * 1e6))) for packet, at in sorted(self._news, reverse=True)]
        span, self._span = self._span, min(max(64, 3 * len(arrivals)), 8 * wire.MAX_MAP)
        seen = self._seen & (1 << max(span, self._span)) - 1
        self._news, self._told_at, self.feedback_at = [], now, None
        return wire.Feedback(self.delivered, self._highest, round(now * 1e6) % (1 << 32), arrivals, seen)

    def _ready(self) -> list[tuple[int, Message]]:
        ready: list[tuple[int, Message]] = []
        while (incoming := self._messages.get(self.delivered + 1)) is not None and incoming.whole is not None:
            self.delivered += 1
            self._buffered -= self._messages.pop(self.delivered).length
            ready.append((self.delivered, incoming.whole.decode() if incoming.text else incoming.whole))
        return ready

    def _note(self, packet: int, now: float) -> None:
        gap = packet > self._highest + 1 and self._highest > 0
        if packet > self._highest:
            # bit i of _seen stands for highest - 1 - i
            step = min(packet - self._highest, 8 * wire.MAX_MAP + 1)
            self._seen = (self._seen << step | (1 << step - 1 if self._highest else 0)) & (1 << 8 * wire.MAX_MAP) - 1
            self._highest = packet
        elif packet < self._highest:
            self._seen |= 1 << self._highest - 1 - packet & (1 << 8 * wire.MAX_MAP) - 1
        if len(self._news) < wire.MAX_ARRIVALS:
            self._news.append((packet, now))
        due = self._told_at + _GAP_EVERY if gap else max(self._told_at + FEEDBACK_EVERY, now + _SETTLE)
        self.feedback_at = due if self.feedback_at is None else min(due, self.feedback_at)


@dataclass(slots=True)
class _OutPiece:
    piece: wire.Piece
    due: float
    copies: int = 0


class UpSender:
    """The up half of the browser: every numbered message until it is acknowledged, moves as they come."""

    def __init__(self, first: int = 1, mtu: int = 1150) -> None:
        self.next = first
        self._mtu = mtu
        self._piece = 0
        self._waiting: deque[_OutPiece] = deque()
        self._messages: dict[int, tuple[int, Message]] = {}
        self._sequence = 0
        self._loose: dict[int, tuple[wire.LooseText, list[float]]] = {}

    def send(self, message: Message, now: float) -> int:
        """Queue a numbered message; its number."""
        data = message.encode() if isinstance(message, str) else message
        number, self.next = self.next, self.next + 1
        room = self._mtu - 200
        count = wire.cuts(len(data), room)
        for cut in range(count):
            self._piece += 1
            flags = (wire.FIRST if cut == 0 else 0) | (wire.LAST if cut == count - 1 else 0)
            flags |= 0 if isinstance(message, str) else wire.BYTES
            piece = wire.Piece(self._piece, flags, data[cut * room : (cut + 1) * room])
            self._waiting.append(_OutPiece(piece, now))
        self._messages[number] = (self._piece, message)
        return number

    def loose(self, kind: int, text: str, now: float) -> None:
        """Send the newest of its kind."""
        self._sequence = (self._sequence + 1) % (1 << 16)
        copies = [now, *(now + after for after in _LOOSE_COPIES)]
        self._loose[kind] = (wire.LooseText(kind, self._sequence, self._piece, text.encode()), copies)

    def taken(self, piece: int) -> None:
        """The server has taken all pieces up to this one."""
        while self._waiting and self._waiting[0].piece.number <= piece:
            self._waiting.popleft()
        for number in [number for number, (last, _) in self._messages.items() if last <= piece]:
            del self._messages[number]

    def undelivered(self) -> list[tuple[int, Message]]:
        """What the server is not known to have taken."""
        return [(number, message) for number, (_, message) in self._messages.items()]

    def due_at(self) -> float | None:
        """When something must be sent."""
        times = [one.due for one in itertools.islice(self._waiting, _WINDOW)]
        times += [copies[0] for _, copies in self._loose.values()]
        return min(times, default=None)

    def take(self, now: float, room: int) -> tuple[list[wire.Piece], list[wire.LooseText]]:
        """What goes into the next datagram of `room` bytes: if a piece is due, all that fit, those due first."""
        loose = self._take_loose(now)
        room -= sum(len(one.body) + 9 for one in loose) + 2
        window = list(itertools.islice(self._waiting, _WINDOW))
        if not any(one.due <= now for one in window):
            return [], loose
        chosen = []
        for one in sorted(window, key=lambda one: (one.due > now, one.piece.number)):
            if len(one.piece.body) + 7 <= room and len(chosen) < 255:  # noqa: PLR2004 - a byte counts them
                room -= len(one.piece.body) + 7
                chosen.append(one)
                quick = len(one.piece.body) <= _SMALL
                steps = _QUICK_COPIES if quick else ()
                last = steps[one.copies - 1] if 0 < one.copies <= len(steps) else 0.0
                one.due = now + (steps[one.copies] - last if one.copies < len(steps) else _SLOW_COPY)
                one.copies += 1
        return sorted((one.piece for one in chosen), key=lambda piece: piece.number), loose

    def _take_loose(self, now: float) -> list[wire.LooseText]:
        due = []
        for kind, (one, copies) in list(self._loose.items()):
            if copies[0] <= now:
                due.append(one)
                copies.pop(0)
                if not copies:
                    del self._loose[kind]
        return due


class BrowserEnd:
    """What the browser holds, in Python and in seconds."""

    def __init__(self, now: float, *, first_down: int = 1, first_up: int = 1, mtu: int = 1150) -> None:
        self.down = Receiver(first_down)
        self.up = UpSender(first_up, mtu)
        self._mtu = mtu
        self._sent_at = now - BEAT_EVERY
        self._shown: tuple[int, int] | None = None

    def send(self, message: Message, now: float) -> int:
        """Queue a numbered message."""
        return self.up.send(message, now)

    def loose(self, kind: int, text: str, now: float) -> None:
        """Send the newest of its kind."""
        self.up.loose(kind, text, now)

    def shown(self, frame: int, decode_ms: float, now: float) -> None:
        """A frame is on the canvas."""
        self._shown = (frame, min(round(decode_ms * 10), 0xFFFF))
        due = max(self.down._told_at + FEEDBACK_EVERY, now)  # noqa: SLF001 - the two halves share a datagram
        self.down.feedback_at = due if self.down.feedback_at is None else min(due, self.down.feedback_at)

    def hear(self, datagram: bytes, now: float) -> list[tuple[int, Message]]:
        """Take a datagram; the messages that are next in order."""
        messages = self.down.hear(datagram, now)
        self.up.taken(self.down.pieces)
        return messages

    def due(self, now: float) -> list[bytes]:
        """The datagrams to send now."""
        datagrams = []
        for _ in range(8):
            beat = now >= self._sent_at + BEAT_EVERY
            tell = beat or (self.down.feedback_at is not None and now >= self.down.feedback_at)
            up_at = self.up.due_at()
            if not tell and (up_at is None or up_at > now):
                break
            feedback = self.down.feedback(now)
            head = 2 + (15 + 4 * len(feedback.arrivals) + wire.MAX_MAP if feedback else 0) + 6
            pieces, loose = self.up.take(now, self._mtu - head)
            datagrams.append(wire.pack_up(wire.UpDatagram(feedback, self._shown, pieces, loose)))
            self._sent_at = now
        return datagrams

    def next_at(self) -> float:
        """When to call `due` next."""
        times = (self._sent_at + BEAT_EVERY, self.down.feedback_at, self.up.due_at())
        return min(at for at in times if at is not None)


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


class Simulation:
    """A server's end and a browser's end with a link each way, in virtual time."""

    def __init__(self, down: Link, up: Link, server: ServerEnd | None = None) -> None:
        self.now = 0.0
        self.down, self.up = down, up
        self.server = server or ServerEnd(0.0)
        self.browser = BrowserEnd(0.0)
        self.painted: list[tuple[float, int, Message]] = []
        """(when, number, message) as the browser delivered them."""
        self.heard: list[tuple[float, Heard]] = []
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (when, next(self._order), what))

    def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            upcoming = min(self.server.next_at(), self.browser.next_at())
            if self._events:
                upcoming = min(upcoming, self._events[0][0])
            # a step of at least 0.1 ms: no timer of a real end is finer
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
                self.at(at, lambda datagram=datagram: self._to_browser(datagram))  # type: ignore[misc]
        for datagram in self.browser.due(self.now):
            if (at := self.up.carry(datagram, self.now)) is not None:
                self.at(at, lambda datagram=datagram: self._to_server(datagram))  # type: ignore[misc]

    def _to_browser(self, datagram: bytes) -> None:
        for number, message in self.browser.hear(datagram, self.now):
            self.painted.append((self.now, number, message))
            if isinstance(message, bytes):
                self.browser.shown(number, 1.0, self.now)

    def _to_server(self, datagram: bytes) -> None:
        self.heard.extend((self.now, heard) for heard in self.server.hear(datagram, self.now))
