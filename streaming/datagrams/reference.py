"""The browser's end in Python: what datagrams.js does, said once more, for tests."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from streaming.datagrams import fec, wire
from streaming.datagrams.sender import Message

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
    """A message coming in."""

    length: int
    size: int
    text: bool
    cuts: dict[int, bytes] = field(default_factory=dict)
    sums: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """Repair packets by (block, row), as the wire says them."""

    @property
    def count(self) -> int:
        return wire.cuts(self.length, self.size)

    @property
    def whole(self) -> bool:
        return len(self.cuts) == self.count

    def put(self, cut: int, body: bytes) -> None:
        self.cuts[cut] = body[: min(self.size, self.length - cut * self.size)]

    def message(self) -> Message:
        data = b"".join(self.cuts[cut] for cut in range(self.count))
        return data.decode() if self.text else data


type _Unknown = tuple[int, int]
"""Message number, cut."""


class Assembly:
    """Messages coming in, and the sums that bring back what was lost of them."""

    def __init__(self) -> None:
        self.messages: dict[int, _Incoming] = {}
        self.buffered = 0

    def take(self, part: wire.Part) -> None:
        """Put a cut or a sum where it belongs, and bring back what can be."""
        incoming = self.messages.get(part.number)
        if incoming is None:
            if self.buffered + part.length > MAX_BUFFERED:
                return
            incoming = self.messages[part.number] = _Incoming(part.length, part.size, part.text)
            self.buffered += part.length
        if (part.length, part.size, part.text) != (incoming.length, incoming.size, incoming.text):
            return
        if part.repair:
            incoming.sums[part.index >> 8, part.index & 0xFF] = part.body
        else:
            incoming.cuts.setdefault(part.index, part.body)
        while self._recover(part.number):
            pass

    def drop(self, number: int) -> None:
        """Forget a message."""
        incoming = self.messages.pop(number, None)
        if incoming is not None:
            self.buffered -= incoming.length

    def _recover(self, number: int) -> bool:
        """One round: a sum with one unknown, or else all linked sums together; whether something came back."""
        equations = self._equations(number)
        single = next((one for one in equations if len(one[1]) == 1), None)
        if single is not None:
            return self._put([next(iter(single[1]))], [single])
        unknowns = sorted({unknown for _, terms, _ in equations for unknown in terms})
        if not unknowns or len(equations) < len(unknowns):
            return False
        return self._put(unknowns, equations)

    def _equations(self, number: int) -> list[tuple[bytes, dict[_Unknown, int], list[tuple[int, bytes]]]]:
        first = last = number
        while self._linked(first):
            first -= 1
        while self._linked(last + 1):
            last += 1
        found = []
        for one in range(first, last + 1):
            for (block, row), body in self.messages[one].sums.items() if one in self.messages else ():
                terms = self._terms(one, block, row)
                if terms is not None and terms[0]:
                    found.append((body, *terms))
        return found

    def _linked(self, number: int) -> bool:
        incoming = self.messages.get(number)
        return (
            incoming is not None
            and number - 1 in self.messages
            and incoming.count <= fec.MAX_BLOCK
            and any(block == 1 for block, _ in incoming.sums)
        )

    def _terms(self, number: int, block: int, row: int) -> tuple[dict[_Unknown, int], list[tuple[int, bytes]]] | None:
        """What a sum has of unknown cuts (with factors), and of known ones; None if it cannot be told."""
        incoming = self.messages[number]
        blocks = wire.blocks(incoming.count, fec.MAX_BLOCK)
        linked = blocks == 1 and block == 1
        columns = range(0 if linked else block, incoming.count, blocks)
        everything = [(number, cut, fec.coefficient(row, column)) for column, cut in enumerate(columns)]
        if linked:
            before = self.messages.get(number - 1)
            if before is None:
                return None
            shifted = fec.LINKED_ROW + row
            everything += [(number - 1, cut, fec.coefficient(shifted, cut)) for cut in range(before.count)]
        unknown: dict[_Unknown, int] = {}
        known: list[tuple[int, bytes]] = []
        for one, cut, factor in everything:
            body = self.messages[one].cuts.get(cut)
            if body is None:
                unknown[one, cut] = factor
            else:
                known.append((factor, body))
        return unknown, known

    def _put(
        self, unknowns: list[_Unknown], equations: list[tuple[bytes, dict[_Unknown, int], list[tuple[int, bytes]]]]
    ) -> bool:
        size = max(len(body) for body, _, _ in equations)
        sums = [fec.repair([(1, body), *known], size) for body, _, known in equations]
        matrix = [[terms.get(unknown, 0) for unknown in unknowns] for _, terms, _ in equations]
        solved = solve(matrix, sums)
        if solved is None:
            return False
        for (number, cut), body in zip(unknowns, solved, strict=False):
            self.messages[number].put(cut, body)
        return True


def solve(matrix: list[list[int]], sums: list[bytes]) -> list[bytes] | None:
    """The unknowns of linear equations over GF(256), at least as many as unknowns; None if they do not say."""
    size, width = len(sums[0]), len(matrix[0])
    for at in range(width):
        pivot = next((row for row in range(at, len(sums)) if matrix[row][at]), None)
        if pivot is None:
            return None
        matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        sums[at], sums[pivot] = sums[pivot], sums[at]
        inverse = fec.divide(1, matrix[at][at])
        matrix[at] = [fec.multiply(inverse, value) for value in matrix[at]]
        sums[at] = fec.scaled(inverse, sums[at])
        for row in range(len(sums)):
            factor = matrix[row][at]
            if row != at and factor:
                matrix[row] = [a ^ fec.multiply(factor, b) for a, b in zip(matrix[row], matrix[at], strict=True)]
                sums[row] = fec.repair([(1, sums[row]), (factor, sums[at])], size)
    return sums[:width]


class Receiver:
    """The down half of the browser: puts messages together and says what came."""

    def __init__(self, first: int = 1) -> None:
        self.delivered = first - 1
        self.pieces = 0
        """The last piece up that the server has taken."""
        self.errors = 0
        self.feedback_at: float | None = None
        self.told_at = float("-inf")
        self._assembly = Assembly()
        self._highest = 0
        self._seen = 0
        self._news: list[tuple[int, float]] = []
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
        self._assembly.take(part)
        return self._ready()

    def advance(self, number: int) -> list[tuple[int, Message]]:
        """Messages up to `number` came by the other way; those that are next now."""
        for old in [old for old in self._assembly.messages if old <= number]:
            self._assembly.drop(old)
        self.delivered = max(self.delivered, number)
        return self._ready()

    def feedback(self, now: float) -> wire.Feedback | None:
        """What to tell the server, once something has come."""
        if not self._highest:
            return None
        arrivals = [(packet, max(0, round((now - at) * 1e6))) for packet, at in sorted(self._news, reverse=True)]
        span, self._span = self._span, min(max(64, 3 * len(arrivals)), 8 * wire.MAX_MAP)
        seen = self._seen & (1 << max(span, self._span)) - 1
        self._news, self.told_at, self.feedback_at = [], now, None
        return wire.Feedback(self.delivered, self._highest, round(now * 1e6) % (1 << 32), arrivals, seen)

    def _ready(self) -> list[tuple[int, Message]]:
        ready: list[tuple[int, Message]] = []
        while (incoming := self._assembly.messages.get(self.delivered + 1)) is not None and incoming.whole:
            # the one before stays: sums of this one may need its cuts
            self._assembly.drop(self.delivered)
            self.delivered += 1
            ready.append((self.delivered, incoming.message()))
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
        due = self.told_at + _GAP_EVERY if gap else max(self.told_at + FEEDBACK_EVERY, now + _SETTLE)
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
        chosen: list[_OutPiece] = []
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
        due = max(self.down.told_at + FEEDBACK_EVERY, now)
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
