"""The server's end of the datagram way: messages down, input up, one state for one viewer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streaming.datagrams import wire
from streaming.datagrams.estimate import Estimate
from streaming.datagrams.sender import Message, Sender, Way
from streaming.datagrams.upward import Loose, Up, UpReceiver

BEAT_EVERY: Final = 0.5
_ANSWER_AFTER: Final = 0.008


@dataclass(frozen=True, slots=True)
class Shown:
    """The newest frame on the browser's canvas and how long it took to decode; stands for the `ack` message."""

    frame: int
    decode_ms: float


type Heard = Up | Loose | Shown


class ServerEnd:
    """Everything the server knows of one browser's datagram way; times are seconds of any steady clock."""

    def __init__(
        self, now: float, *, first_down: int = 1, first_up: int = 1, mtu: int = 1150, repair: bool = True
    ) -> None:
        """Begin with the numbers that the first message down and the first message up on this way will have.

        `repair=False` leaves every loss to retransmission, for comparison.
        """
        self._down = Sender(now, first=first_down, mtu=mtu, repair=repair)
        self._up = UpReceiver(first_up)
        self._heard_at = now
        self._sent_at = now - BEAT_EVERY
        self._answer_at: float | None = None
        self._shown: int | None = None
        self._errors = 0

    def push(self, message: Message, now: float) -> int:
        """Queue a message for the browser; its number. Call `due` afterwards. Never raises, never drops."""
        return self._down.push(message, now)

    def hear(self, datagram: bytes, now: float) -> list[Heard]:
        """Take one datagram from the network. Nonsense is counted in `errors` and dropped; never raises."""
        try:
            up = wire.parse_up(datagram)
            if up.feedback is not None:
                self._down.hear(up.feedback, now)
        except wire.Nonsense:
            self._errors += 1
            return []
        self._heard_at = now
        heard: list[Heard] = []
        if up.shown is not None and up.shown[0] != self._shown:
            self._shown = up.shown[0]
            heard.append(Shown(up.shown[0], up.shown[1] / 10))
        heard.extend(self._up.hear(up.pieces, up.loose))
        self._down.pieces = self._up.pieces
        if up.pieces and self._answer_at is None:
            self._answer_at = now + _ANSWER_AFTER
        return heard

    def due(self, now: float) -> list[bytes]:
        """The datagrams to send now, in this order (paced: the rest becomes due at `next_at`)."""
        self._down.look(now)
        datagrams = self._down.due(now)
        answer = self._answer_at is not None and now >= self._answer_at
        if not datagrams and (answer or now >= self._sent_at + BEAT_EVERY):
            datagrams.append(self._down.beat(now))
        if datagrams:
            self._sent_at, self._answer_at = now, None
        return datagrams

    def next_at(self) -> float:
        """When to call `due` next; in the past: at once."""
        times = (self._sent_at + BEAT_EVERY, self._answer_at, self._down.next_at())
        return min(at for at in times if at is not None)

    def silent_for(self, now: float) -> float:
        """Seconds since the last valid datagram of the browser (which speaks each 500 ms at least)."""
        return now - self._heard_at

    def way(self, now: float) -> Way:
        """What the way is like."""
        return self._down.way(now)

    def undelivered(self, after: int | None = None) -> list[tuple[int, Message]]:
        """Numbers and messages not known delivered, or, when the browser says what it has had, those after it."""
        return self._down.undelivered(self._down.delivered if after is None else after)

    @property
    def delivered(self) -> int:
        """The last message down that the browser is known to have had, with all before it."""
        return self._down.delivered

    @property
    def received(self) -> int:
        """The last message up that `hear` returned; say it to the browser when the way changes."""
        return self._up.received

    @property
    def backlog(self) -> int:
        """Bytes of messages pushed and not yet sent for the first time."""
        return self._down.backlog

    @property
    def estimate(self) -> Estimate:
        """What is known of the way, in its own units."""
        return self._down.estimate

    @property
    def kept_up(self) -> int:
        """Pieces of messages up that wait for one before them."""
        return self._up.waiting

    @property
    def failed(self) -> str | None:
        """Why the way cannot go on (too much kept unacknowledged, a message too long), or None."""
        return self._down.failed

    @property
    def errors(self) -> int:
        """Datagrams and messages dropped because they broke the format."""
        return self._errors + self._up.errors
