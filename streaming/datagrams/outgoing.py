"""A message down, cut into blocks of symbols."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streaming.datagrams import fec, wire

REPAIR: Final = fec.MAX_BLOCK
"""Symbols from here on are repair packets, below are cuts."""
_LINKED_WITHIN: Final = 0.1
_LINKED_LONGER: Final = 1.3


class Block:
    """Up to 64 cuts of a message and their repair packets.

    `flying` counts for each symbol how often it is on its way or waiting for its turn, `got` has those that came.
    """

    __slots__ = ("count", "done", "flying", "got", "index", "message", "repairs")

    def __init__(self, message: Outgoing, index: int, count: int) -> None:
        self.message, self.index, self.count = message, index, count
        self.flying = dict.fromkeys(range(count), 1)
        self.repairs: list[bytes] = []
        self.got: set[int] = set()
        self.done = False

    def came(self, symbol: int) -> None:
        """A symbol came."""
        self.landed(symbol)
        self.got.add(symbol)
        self.done = self.done or len(self.got) >= self.count

    def landed(self, symbol: int) -> None:
        """One copy of a symbol is no longer on its way."""
        left = self.flying.get(symbol, 0) - 1
        if left > 0:
            self.flying[symbol] = left
        else:
            self.flying.pop(symbol, None)

    def take_off(self, symbol: int) -> None:
        """One more copy of a symbol will be on its way."""
        self.flying[symbol] = self.flying.get(symbol, 0) + 1

    def wanting(self) -> list[int]:
        """The cuts that must be sent again even if everything on its way comes."""
        if self.done:
            return []
        need = self.count - len(self.got | self.flying.keys())
        if need <= 0:
            return []
        return [cut for cut in range(self.count) if cut not in self.got and cut not in self.flying][:need]


class Outgoing:
    """A numbered message; it has blocks once its turn has come."""

    __slots__ = ("blocks", "data", "linked", "number", "pushed", "size", "text")

    def __init__(self, number: int, message: bytes | str, pushed: float, room: int) -> None:
        self.number, self.pushed, self.text = number, pushed, isinstance(message, str)
        self.data = message.encode() if isinstance(message, str) else bytes(message)
        self.size = max(1, -(-len(self.data) // wire.cuts(len(self.data), room)))
        self.blocks: list[Block] = []
        self.linked = False

    @property
    def message(self) -> bytes | str:
        """The message as it was pushed."""
        return self.data.decode() if self.text else self.data

    def cut(self, index: int) -> bytes:
        """Cut number `index`."""
        return self.data[index * self.size : (index + 1) * self.size]

    def begin(self, loss: float, repair: bool, before: Outgoing | None) -> Iterator[tuple[Block, int]]:
        """Cut it, with as much repair as the loss asks for; all its symbols in the order they should leave.

        `before` is the message numbered one less, if it was sent on this way.
        """
        count = wire.cuts(len(self.data), self.size)
        number = wire.blocks(count, fec.MAX_BLOCK)
        self.blocks = [Block(self, index, len(range(index, count, number))) for index in range(number)]
        yield from [(self.blocks[index % number], index // number) for index in range(count)]
        if count == 1 or not repair:
            return
        self.linked = before is not None and self._may_link(before)
        for block in self.blocks:
            rows = fec.repairs_for(block.count, loss)
            parts = [self.cut(column * number + block.index) for column in range(block.count)] if rows else []
            for row in range(rows):
                terms = [(fec.coefficient(row, column), part) for column, part in enumerate(parts)]
                size = self.size
                if self.linked and before is not None:
                    size = max(size, before.size)
                    linked = range(wire.cuts(len(before.data), before.size))
                    terms += [(fec.coefficient(fec.LINKED_ROW + row, cut), before.cut(cut)) for cut in linked]
                block.repairs.append(fec.repair(terms, size))
                block.flying[REPAIR + row] = 1
                yield block, REPAIR + row

    def _may_link(self, before: Outgoing) -> bool:
        return (
            self.pushed - before.pushed < _LINKED_WITHIN
            and before.size <= self.size * _LINKED_LONGER
            and max(len(self.data), 1) <= self.size * fec.MAX_LINKED
            and 0 < len(before.data) <= before.size * fec.MAX_LINKED
        )

    def part(self, block: Block, symbol: int, packet: int, pieces: int) -> bytes:
        """The datagram of a symbol."""
        repair = symbol >= REPAIR
        if repair:
            index, body = (1 if self.linked else block.index) << 8 | symbol - REPAIR, block.repairs[symbol - REPAIR]
        else:
            index = symbol * len(self.blocks) + block.index
            body = self.cut(index)
        part = wire.Part(packet, pieces, repair, self.number, len(self.data), self.text, index, self.size, body)
        return wire.pack_part(part)
