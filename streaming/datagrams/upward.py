"""Messages up: each numbered one once and in order, of the loose ones the newest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streaming.datagrams import wire

type Message = bytes | str

_AHEAD: Final = 512
"""Pieces that may come before the one that is missing; the browser sends at most 64 ahead."""
MOVE: Final = 0


@dataclass(frozen=True, slots=True)
class Up:
    """A numbered message of the browser: each number once, in order."""

    number: int
    message: Message


@dataclass(frozen=True, slots=True)
class Loose:
    """An unnumbered message (`move`, `ping`): the newest of its kind (0..7), never older than what was heard before."""

    kind: int
    text: str


class UpReceiver:
    """Puts pieces in order and messages together; holds a move until the button it came after has been taken."""

    def __init__(self, first: int = 1) -> None:
        """Begin with message `first`."""
        self.pieces = 0
        """The last piece taken, with all before it."""
        self.received = first - 1
        """The last message taken."""
        self.errors = 0
        self._waiting: dict[int, wire.Piece] = {}
        self._parts: list[bytes] = []
        self._length = 0
        self._sequences: dict[int, int] = {}
        self._held: wire.LooseText | None = None

    @property
    def waiting(self) -> int:
        """Pieces that wait for one before them."""
        return len(self._waiting)

    def hear(self, pieces: Iterable[wire.Piece], loose: Iterable[wire.LooseText]) -> list[Up | Loose]:
        """What can be told now."""
        heard: list[Up | Loose] = []
        for piece in pieces:
            if self.pieces < piece.number <= self.pieces + _AHEAD:
                self._waiting.setdefault(piece.number, piece)
        for one in loose:
            self._take_loose(one, heard)
        while self.pieces + 1 in self._waiting:
            self.pieces += 1
            self._take(self._waiting.pop(self.pieces), heard)
            self._release(heard)
        return heard

    def _take(self, piece: wire.Piece, heard: list[Up | Loose]) -> None:
        if piece.flags & wire.FIRST:
            self._parts, self._length = [], 0
        self._length += len(piece.body)
        if self._length <= wire.MAX_UP:
            self._parts.append(piece.body)
        if not piece.flags & wire.LAST:
            return
        self.received += 1
        data, self._parts = b"".join(self._parts), []
        if self._length > wire.MAX_UP:
            self.errors += 1
        elif piece.flags & wire.BYTES:
            heard.append(Up(self.received, data))
        elif (text := self._text(data)) is not None:
            heard.append(Up(self.received, text))

    def _take_loose(self, one: wire.LooseText, heard: list[Up | Loose]) -> None:
        last = self._sequences.get(one.kind)
        if last is not None and not 0 < (one.sequence - last) % (1 << 16) < 1 << 15:
            return
        if one.kind == MOVE and one.after < self.pieces:
            return
        if one.kind == MOVE and one.after > self.pieces + _AHEAD:
            return
        self._sequences[one.kind] = one.sequence
        if one.kind == MOVE:
            self._held = one
            self._release(heard)
        elif (text := self._text(one.body)) is not None:
            heard.append(Loose(one.kind, text))

    def _release(self, heard: list[Up | Loose]) -> None:
        held = self._held
        if held is None or held.after > self.pieces:
            return
        self._held = None
        if held.after == self.pieces and (text := self._text(held.body)) is not None:
            heard.append(Loose(MOVE, text))

    def _text(self, data: bytes) -> str | None:
        try:
            return data.decode()
        except UnicodeDecodeError:
            self.errors += 1
            return None
