"""Datagrams on their way down: which came, which are lost, and when to say so."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from streaming.datagrams.outgoing import Block
from streaming.datagrams.wire import Feedback

TOLERANCE: Final = 0.005
"""How long a datagram may come after one that left later before it counts as lost; grows where it does."""
_MOST_TOLERANCE: Final = 0.08
_LATER: Final = 3
_LATE_KEPT: Final = 1024


class Sent:
    """A datagram that has left; `block` is None for a beat."""

    __slots__ = ("at", "block", "packet", "size", "suspect", "symbol", "train")

    def __init__(self, packet: int, at: float, size: int, block: Block | None, symbol: int, train: int) -> None:
        self.packet, self.at, self.size, self.block, self.symbol, self.train = packet, at, size, block, symbol, train
        self.suspect = 0.0


@dataclass(slots=True)
class News:
    """What a feedback changed: came (with microseconds before the feedback, if told), lost, and lost ones that came."""

    came: list[tuple[Sent, int | None]] = field(default_factory=list)
    lost: list[Sent] = field(default_factory=list)
    late: list[Sent] = field(default_factory=list)


class Flight:
    """All datagrams neither known to have come nor known lost, oldest first."""

    def __init__(self) -> None:
        self.bytes = 0
        self.check_at: float | None = None
        """When a suspect becomes lost."""
        self._tolerance = TOLERANCE
        self._flying: OrderedDict[int, Sent] = OrderedDict()
        self._late: OrderedDict[int, Sent] = OrderedDict()
        self._highest = 0

    def __contains__(self, sent: Sent) -> bool:
        return sent.packet in self._flying

    def __len__(self) -> int:
        return len(self._flying)

    def add(self, sent: Sent) -> None:
        """A datagram leaves."""
        self._flying[sent.packet] = sent
        self.bytes += sent.size

    def heard(self, feedback: Feedback, now: float) -> News:
        """What a feedback tells."""
        news = News()
        told: Mapping[int, int] = dict(feedback.arrivals)
        highest, seen = feedback.highest, feedback.seen
        self._highest = max(self._highest, highest)
        suspects: list[tuple[Sent, int]] = []
        for packet, sent in self._flying.items():
            if packet > highest:
                break
            if packet in told or packet == highest or seen >> (highest - 1 - packet) & 1:
                news.came.append((sent, told.get(packet)))
            else:
                suspects.append((sent, len(news.came)))
        for sent, _ in news.came:
            self._forget(sent)
        self._judge(news, suspects, now)
        for packet in told:
            if packet in self._late:
                self._came_late(self._late.pop(packet), news, now)
        return news

    def expire(self, now: float) -> list[Sent]:
        """The suspects whose time is over at `check_at`."""
        lost, self.check_at = [], None
        for packet, sent in self._flying.items():
            if packet > self._highest:
                break
            if not sent.suspect:
                continue
            if now >= sent.suspect + self._tolerance:
                lost.append(sent)
            else:
                self._check(sent.suspect + self._tolerance)
        for sent in lost:
            self._lose(sent)
        return lost

    def _judge(self, news: News, suspects: list[tuple[Sent, int]], now: float) -> None:
        self.check_at = None
        for sent, before in suspects:
            sent.suspect = sent.suspect or now
            passed = len(news.came) - before >= _LATER and self._tolerance <= TOLERANCE
            if passed or now >= sent.suspect + self._tolerance:
                self._lose(sent)
                news.lost.append(sent)
            else:
                self._check(sent.suspect + self._tolerance)

    def _check(self, at: float) -> None:
        self.check_at = at if self.check_at is None else min(self.check_at, at)

    def _forget(self, sent: Sent) -> None:
        del self._flying[sent.packet]
        self.bytes -= sent.size

    def _lose(self, sent: Sent) -> None:
        self._forget(sent)
        self._tolerance = max(TOLERANCE, self._tolerance * 0.98)
        self._late[sent.packet] = sent
        if len(self._late) > _LATE_KEPT:
            self._late.popitem(last=False)

    def _came_late(self, sent: Sent, news: News, now: float) -> None:
        news.late.append(sent)
        self._tolerance = min(_MOST_TOLERANCE, max(self._tolerance * 1.5, (now - sent.suspect) * 1.2))
