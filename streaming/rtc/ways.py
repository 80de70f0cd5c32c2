"""One viewer's two ways, without I/O: which message goes where, and that each arrives once and in order.

Every message down has a number, counted from 1, and so has every message up except those of `LOOSE`, of which only
the newest counts. On the socket the count is the number; datagrams carry theirs. A side that leaves the datagrams says
on the socket `{"t": "way", "kind": "socket", "from": n, "had": m}`: my messages follow here from number n on, and of
yours I have had all to m; what the other has had already it drops by number. Datagrams begin at the browser's word:
`{"t": "way", "kind": "datagrams", "try": t, "from": n}`, its next number; the server answers the same with its own and
is silent on the socket from then on. These messages, and `rtc`, carry no number and never reach the keeper.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any, Final

from streaming.datagrams import Loose, Message, ServerEnd, Shown, Up

LOOSE: Final = frozenset({"move", "ping", "ack"})
SILENT_S: Final = 1.3
"""How long the browser may say nothing by datagrams (it speaks each 500 ms) before the socket takes over."""
REPORT_S: Final = 0.1
STEADY_S: Final = 1.0
MAX_BACKLOG: Final = 4 * 1024 * 1024
_LONGEST_OWN: Final = 64 * 1024
"""Longer than any `way` or `rtc` message; what is longer is not looked into."""
_STEADY: Final = 0.05


class Ways:
    """The server's side. Take what gathers in `to_socket` and `to_keeper` after each call, and send it in order.

    `now` is in seconds of any steady clock. `offer` is what the browser asked for last: "" for the servers, an SDP
    offer, or None; whoever takes it sets it to None.
    """

    def __init__(self, *, allowed: bool) -> None:
        self.to_socket: deque[Message] = deque()
        self.to_keeper: deque[Message] = deque()
        self.offer: str | None = None
        self.left = False
        """Whether the datagrams were left: the channel is of no more use, a new try makes a new one."""
        self._allowed = allowed
        self._end: ServerEnd | None = None
        self._open = False
        self._go: tuple[int, int] | None = None
        self._down = 0
        self._up = 0
        self._had = 0
        self._reported: dict[str, Any] = {}
        self._reported_at = 0.0

    @property
    def datagrams(self) -> bool:
        """Whether messages down go by datagrams."""
        return self._end is not None

    @property
    def crowded(self) -> bool:
        """Whether so much waits for its first sending that the keeper should not be read."""
        return self._end is not None and self._end.backlog > MAX_BACKLOG

    def down(self, message: Message, now: float) -> None:
        """Send a message of the keeper."""
        self._down += 1
        if self._end is None:
            self.to_socket.append(message)
        else:
            self._end.push(message, now)

    def hear_socket(self, message: Message, now: float) -> None:
        """Take what came on the browser's socket."""
        own = _own(message)
        kind = own.get("t")
        if kind == "rtc":
            offer = own.get("offer", "")
            self.offer = offer if isinstance(offer, str) else None
        elif kind == "way":
            self._turn(own, now)
        elif kind in LOOSE:
            self.to_keeper.append(message)
        else:
            self._up += 1
            self._take(self._up, message)

    def opened(self, now: float) -> None:
        """Datagrams can be sent from now on."""
        self._open = True
        if self._go is not None:
            self._begin(*self._go, now)

    def closed(self) -> None:
        """Datagrams can no longer be sent."""
        self._open = False
        self._go = None
        if self._end is not None:
            self._leave(self._end, None)

    def hear_datagram(self, datagram: bytes, now: float) -> None:
        """Take a datagram of the browser."""
        if self._end is None:
            return
        for heard in self._end.hear(datagram, now):
            if isinstance(heard, Up):
                self._take(heard.number, heard.message)
            elif isinstance(heard, Shown):
                self.to_keeper.append(f'{{"t":"ack","f":{heard.frame},"d":{heard.decode_ms:g}}}')
            elif isinstance(heard, Loose) and _own(heard.text).get("t") in LOOSE:
                self.to_keeper.append(heard.text)

    def due(self, now: float) -> list[bytes]:
        """Return the datagrams to send now; turns to the socket when the browser is silent or the way has failed."""
        end = self._end
        if end is None:
            return []
        datagrams = end.due(now)
        if end.failed is not None or end.silent_for(now) > SILENT_S:
            self._leave(end, None)
            return []
        self._report(end, now)
        return datagrams

    def next_at(self) -> float | None:
        """When to call `due` next; None while there are no datagrams."""
        return self._end.next_at() if self._end is not None else None

    def _turn(self, own: dict[str, Any], now: float) -> None:
        first, attempt, had = (own.get(name, 0) for name in ("from", "try", "had"))
        if not all(type(number) is int for number in (first, attempt, had)):
            return
        if own.get("kind") == "datagrams":
            if self._allowed and self._end is None and first == self._up + 1:
                self._go = (first, attempt)
                if self._open:
                    self._begin(first, attempt, now)
        elif own.get("kind") == "socket" and 1 <= first <= self._had + 1:
            self._go = None
            self._up = first - 1
            if self._end is not None:
                self._leave(self._end, had)

    def _begin(self, first: int, attempt: int, now: float) -> None:
        self._go = None
        self._end = ServerEnd(now, first_down=self._down + 1, first_up=first)
        self.to_socket.append(_way("datagrams", **{"from": self._down + 1, "try": attempt}))
        self._report(self._end, now)

    def _leave(self, end: ServerEnd, had: int | None) -> None:
        known = end.delivered if had is None else max(end.delivered, min(had, self._down))
        self._end = None
        self.left = True
        self.to_socket.append(_way("socket", **{"from": known + 1, "had": self._had}))
        self.to_socket.extend(message for _, message in end.undelivered(known))
        self._tell({"kind": "socket", "rate": 0, "rtt": 0, "loss": 0, "queue": 0})

    def _take(self, number: int, message: Message) -> None:
        """Hand on a message of the browser when it is the next; drop it when it was. Neither way leaves a gap."""
        if number != self._had + 1:
            return
        self._had = number
        if _own(message).get("t") not in {"way", "rtc"}:
            self.to_keeper.append(message)

    def _report(self, end: ServerEnd, now: float) -> None:
        if self._reported and now - self._reported_at < REPORT_S:
            return
        way = end.way(now)
        said = {
            "kind": "datagrams", "rate": round(way.rate), "rtt": round(way.rtt, 1), "loss": round(way.loss, 4),
            "queue": round(way.queue, 1),
        }  # fmt: skip
        if now - self._reported_at >= STEADY_S or _differs(said, self._reported):
            self._reported_at = now
            self._tell(said)

    def _tell(self, way: dict[str, Any]) -> None:
        self._reported = way
        self.to_keeper.append(json.dumps({"t": "way", **way}, separators=(",", ":")))


def say_servers(servers: list[dict[str, Any]] | None) -> str:
    """Tell the browser which relays it may use (as in RTCConfiguration), or None: there are no datagrams here."""
    return json.dumps({"t": "rtc", "servers": servers}, separators=(",", ":"))


def say_answer(answer: str | None) -> str:
    """Answer an offer; None when it cannot be."""
    return json.dumps({"t": "rtc", "answer": answer}, separators=(",", ":"))


def _way(kind: str, **fields: int) -> str:
    return json.dumps({"t": "way", "kind": kind, **fields}, separators=(",", ":"))


def _own(message: Message) -> dict[str, Any]:
    """Return a short message as what it says; nothing for what is long, binary or malformed."""
    if isinstance(message, bytes) or len(message) > _LONGEST_OWN:
        return {}
    try:
        own = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return own if isinstance(own, dict) and isinstance(own.get("t"), str) else {}


def _differs(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two reports differ by more than a twentieth anywhere."""
    return one.keys() != other.keys() or any(
        value != other[name] if isinstance(value, str) else abs(value - other[name]) > _STEADY * abs(other[name])
        for name, value in one.items()
    )
