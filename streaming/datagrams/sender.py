"""Messages down: cut, repaired ahead of time, sent again where that was not enough, until the browser has them."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streaming.datagrams import fec, wire
from streaming.datagrams.estimate import Arrival, Estimate
from streaming.datagrams.flight import Flight, Sent
from streaming.datagrams.outgoing import REPAIR, Block, Outgoing
from streaming.datagrams.pacer import Pacer

type Message = bytes | str

OVERHEAD: Final = 90
"""Bytes that IP, UDP, DTLS and SCTP add to a datagram."""
KEPT_AT_MOST: Final = 16 * 1024 * 1024
STALLED_AFTER: Final = 10.0
_IN_FLIGHT_AT_MOST: Final = 16_384
_COPY_AFTER: Final = 0.007
_TAIL_AFTER: Final = 0.02
_LOSSY: Final = 0.005
_FEEDBACK_EVERY: Final = 0.025
_LONGEST_PROBE: Final = 0.5
_TRAINS: Final = (8, 16, 32)
"""Datagrams of padding at the beginning; the longer ones only where the way did not stretch those before."""
_USE_FADES: Final = 0.7


@dataclass(frozen=True, slots=True)
class Way:
    """What the way down can do: message bits/s it carries beside its own overhead, ms, share lost, ms of queue."""

    rate: float
    rtt: float
    loss: float
    queue: float


class Sender:
    """The down half: `push` messages, `hear` what came, send what is `due`."""

    def __init__(self, now: float, *, first: int = 1, mtu: int = 1150, repair: bool = True) -> None:
        """Begin with message `first`; `repair=False` leaves everything to retransmission, for comparison."""
        self.estimate = Estimate(now)
        self.pieces = 0
        """The last piece up that was taken; every datagram says it."""
        self.delivered = first - 1
        """The last message that the browser has had, with all before it."""
        self.backlog = 0
        """Bytes of messages not yet sent for the first time."""
        self.failed: str | None = None
        self._mtu, self._repair, self._number = mtu, repair, first
        self._pacer = Pacer(now)
        self._packet = self._train = self._kept = 0
        self._idle = True
        self._messages: OrderedDict[int, Outgoing] = OrderedDict()
        self._fresh: deque[Outgoing] = deque()
        self._cursor: deque[tuple[Block, int]] = deque()
        self._urgent: deque[tuple[Block, int]] = deque()
        self._copies: list[tuple[float, int, Block, int]] = []
        self._before: Outgoing | None = None
        self._flight = Flight()
        self._tail: Sent | None = None
        self._tail_at: float | None = None
        self._probes = 0
        self._clock: tuple[int, float] | None = None
        self._trains = deque(_TRAINS)
        self._used_bytes, self._used_at = 0.0, now

    def push(self, message: Message, now: float) -> int:
        """Queue a message; its number."""
        outgoing = Outgoing(self._number, message, now, self._mtu - wire.PART_HEADER)
        self._number += 1
        self._messages[outgoing.number] = outgoing
        self._fresh.append(outgoing)
        self._kept += len(outgoing.data)
        self.backlog += len(outgoing.data)
        if len(outgoing.data) > wire.MAX_MESSAGE:
            self.failed = "a message is too long for datagrams"
        elif self._kept > KEPT_AT_MOST:
            self.failed = "too much is unacknowledged"
        return outgoing.number

    def undelivered(self, after: int) -> list[tuple[int, Message]]:
        """What came after message `after` and is not known delivered, in order."""
        return [(number, outgoing.message) for number, outgoing in self._messages.items() if number > after]

    def way(self, now: float) -> Way:
        """What the way is like; the rate is what is left for messages beside headers and repair."""
        estimate = self.estimate
        body = (self._mtu - wire.PART_HEADER) / (self._mtu + OVERHEAD)
        spent = (1 + (fec.repairs_for(8, estimate.loss) if self._repair else 0) / 8) * (1 + estimate.loss)
        rate = estimate.rate * estimate.damping(now) * body / spent
        return Way(rate, estimate.rtt * 1000, estimate.loss, estimate.queue_at(now) * 1000)

    def due(self, now: float) -> list[bytes]:
        """The datagrams that may leave now."""
        self._timers(now)
        datagrams: list[bytes] = []
        while self._pacer.ready_at <= now and (turn := self._turn(now)):
            datagrams.append(self._send(*turn, now))
        if not (self._urgent or self._cursor or self._fresh):
            datagrams.extend(self._pad(now, len(datagrams)))
            self._idle = True
        return datagrams

    def _pad(self, now: float, sent: int) -> list[bytes]:
        """What makes a train of the little that leaves now, where there is something to find out."""
        if self._clock is None:
            return []
        estimate = self.estimate
        if estimate.measured and not estimate.searching:
            self._trains.clear()
        if self._trains and not sent and not self._flight.bytes:
            return [self.beat(now, self._mtu - 9) for _ in range(self._trains.popleft())]
        if sent and estimate.wants_probe(now, self._used(now)):
            return [self.beat(now, self._mtu - 9) for _ in range(_TRAINS[0] - sent)]
        return []

    def _used(self, now: float) -> float:
        """Bits/s that left in the last while."""
        self._used_bytes *= math.exp((self._used_at - now) / _USE_FADES)
        self._used_at = now
        return self._used_bytes * 8 / _USE_FADES

    def next_at(self) -> float | None:
        """When `due` may have something."""
        times = [at for at in (self._flight.check_at, self._tail_at) if at is not None]
        if self._copies:
            times.append(self._copies[0][0])
        if self._urgent or ((self._cursor or self._fresh) and self._room()):
            times.append(self._pacer.ready_at)
        return min(times, default=None)

    def beat(self, now: float, padding: int = 0) -> bytes:
        """A datagram that carries no message."""
        packet = self._note(None, 0, 9 + padding, now)
        return wire.pack_beat(packet, self.pieces, padding)

    def hear(self, feedback: wire.Feedback, now: float) -> None:
        """Take a feedback; raises `Nonsense` if it speaks of what was never sent."""
        if feedback.highest > self._packet or feedback.delivered >= self._number:
            raise wire.Nonsense("a feedback of what was never sent")
        clock = self._unwrap(feedback.clock)
        news = self._flight.heard(feedback, now)
        self._deliver(feedback.delivered)
        estimate = self.estimate
        estimate.resolved(len(news.came) + len(news.lost), len(news.lost))
        if news.came:
            self._probes = 0
            newest, before = news.came[-1]
            if before is not None:
                estimate.round_trip(now - newest.at - before / 1e6)
        for sent, _ in news.came:
            if sent.block is not None:
                sent.block.came(sent.symbol)
        for sent in news.late:
            estimate.was_only_late()
            if sent.block is not None:
                sent.block.came(sent.symbol)
        estimate.arrived(
            now,
            [Arrival(at.at, clock - ago / 1e6, at.size, at.train) for at, ago in news.came if ago is not None],
        )
        self._again(news.lost, now)
        if self._tail is not None and self._tail not in self._flight:
            self._tail = self._tail_at = None

    def look(self, now: float) -> None:
        """Give up on a way that hears but no longer delivers."""
        oldest = next(iter(self._messages.values()), None)
        if oldest is not None and now - oldest.pushed > STALLED_AFTER:
            self.failed = self.failed or "messages are no longer delivered"

    def _unwrap(self, clock: int) -> float:
        if self._clock is None:
            self._clock = (clock, 0.0)
        last, seconds = self._clock
        step = (clock - last + (1 << 31)) % (1 << 32) - (1 << 31)
        seconds += step / 1e6
        if step > 0:
            self._clock = (clock, seconds)
        return seconds

    def _deliver(self, number: int) -> None:
        while self._messages and (first := next(iter(self._messages))) <= number:
            outgoing = self._messages.pop(first)
            self._kept -= len(outgoing.data)
            for block in outgoing.blocks:
                block.done = True
        self.delivered = max(self.delivered, number)

    def _again(self, lost: Iterable[Sent], now: float) -> None:
        blocks: dict[Block, None] = {}
        for sent in lost:
            if sent.block is not None:
                sent.block.landed(sent.symbol)
                blocks[sent.block] = None
        for block in blocks:
            for symbol in block.wanting():
                block.take_off(symbol)
                self._urgent.append((block, symbol))
                if self.estimate.loss >= _LOSSY:
                    self._copy(block, symbol, now)

    def _copy(self, block: Block, symbol: int, now: float) -> None:
        block.take_off(symbol)
        heapq.heappush(self._copies, (now + _COPY_AFTER, self._packet * 64 + len(self._copies), block, symbol))

    def _timers(self, now: float) -> None:
        if self._flight.check_at is not None and now >= self._flight.check_at:
            lost = self._flight.expire(now)
            self.estimate.resolved(len(lost), len(lost))
            self._again(lost, now)
        while self._copies and self._copies[0][0] <= now:
            _, _, block, symbol = heapq.heappop(self._copies)
            self._urgent.append((block, symbol))
        if self._tail_at is not None and now >= self._tail_at:
            tail, self._tail, self._tail_at = self._tail, None, None
            if tail is not None and tail.block is not None and not tail.block.done:
                self._probes += 1
                tail.block.take_off(tail.symbol)
                self._urgent.append((tail.block, tail.symbol))

    def _turn(self, now: float) -> tuple[Block, int, bool] | None:
        while self._urgent:
            block, symbol = self._urgent.popleft()
            if not block.done and symbol not in block.got:
                return block, symbol, True
            block.landed(symbol)
        if not self._room():
            return None
        if not self._cursor and self._fresh:
            outgoing = self._fresh.popleft()
            self.backlog -= len(outgoing.data)
            self._cursor.extend(outgoing.begin(self.estimate.loss, self._repair, self._before))
            self._before = outgoing
            if self._repair and len(self._cursor) == 1 and self.estimate.loss >= _LOSSY:
                self._copy(*self._cursor[0], now)
        return (*self._cursor.popleft(), False) if self._cursor else None

    def _room(self) -> bool:
        estimate = self.estimate
        most = estimate.rate / 8 * (estimate.rtt + 4 * estimate.spread + 2 * _FEEDBACK_EVERY + 0.05)
        return self._flight.bytes < most + 12 * self._mtu

    def _send(self, block: Block, symbol: int, again: bool, now: float) -> bytes:
        size = block.message.size if symbol >= REPAIR else min(block.message.size, len(block.message.data))
        packet = self._note(block, symbol, wire.PART_HEADER + size, now)
        lossy = self._repair and self.estimate.loss >= _LOSSY
        wait = self._timeout() if again or not lossy else min(_TAIL_AFTER, self._timeout())
        self._tail_at = now + wait
        return block.message.part(block, symbol, packet, self.pieces)

    def _timeout(self) -> float:
        estimate = self.estimate
        once = estimate.rtt + max(4 * estimate.spread, 0.01) + _FEEDBACK_EVERY
        return max(once, min(once * 1.5 ** min(self._probes, 16), _LONGEST_PROBE))

    def _note(self, block: Block | None, symbol: int, size: int, now: float) -> int:
        if self._idle:
            self._idle = False
            self._train += 1
        self._packet += 1
        sent = Sent(self._packet, now, size + OVERHEAD, block, symbol, self._train)
        self._flight.add(sent)
        self._used_bytes += sent.size
        if len(self._flight) > _IN_FLIGHT_AT_MOST:
            self.failed = "nothing is acknowledged"
        estimate = self.estimate
        eager = 2.0 if estimate.searching and estimate.measured else 1.25
        self._pacer.sent(now, sent.size * 8, estimate.rate, eager, estimate.damping(now))
        if block is not None:
            self._tail = sent
        return self._packet
