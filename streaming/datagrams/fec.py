"""Repair packets: from any k of the k + r packets of a block the k data packets come back.

Arithmetic is in GF(256) with the polynomial 0x11D (as in RFC 5510). Repair packet `row` is the sum over the data
packets of `coefficient(row, column)` times the packet; shorter packets count as filled with zeros. The coefficients
are a Cauchy matrix with its columns scaled so that row 0 is all ones: one repair packet is plain XOR, and every
square part of the matrix can be inverted.

A short message's repair also covers the message before it (*linked*), with the factors of other rows: two losses in
one picture of a film then come back with the repair of the next one, sooner than any retransmission and for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import comb
from typing import Final

MAX_BLOCK: Final = 64
"""Data packets in one block; a longer message is dealt out over several."""
MAX_REPAIR: Final = 16
MAX_LINKED: Final = 32
"""Data packets that a message may have to be linked with its neighbour."""
LINKED_ROW: Final = 16
"""The cuts of the message before have the factors of this row and up."""
_ENOUGH: Final = 0.02
_NOTHING: Final = 0.005


def _tables() -> tuple[list[int], list[int]]:
    powers, logs, value = [0] * 510, [0] * 256, 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logs[value] = exponent
        value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return powers, logs


_POWERS, _LOGS = _tables()


def multiply(a: int, b: int) -> int:
    """The product in GF(256)."""
    return _POWERS[_LOGS[a] + _LOGS[b]] if a and b else 0


def divide(a: int, b: int) -> int:
    """The quotient in GF(256); `b` is not 0."""
    return _POWERS[_LOGS[a] + 255 - _LOGS[b]] if a else 0


@cache
def _times(factor: int) -> bytes:
    return bytes(multiply(factor, value) for value in range(256))


@cache
def coefficient(row: int, column: int) -> int:
    """What data packet `column` (0..63) is multiplied by in repair packet `row` (0..31)."""
    return divide(128 ^ column, (128 + row) ^ column)


def repair(terms: Iterable[tuple[int, bytes]], size: int) -> bytes:
    """The sum over (factor, packet), `size` bytes long; a shorter packet counts as filled with zeros."""
    total = 0
    for factor, part in terms:
        # little-endian: a short packet is then filled with zeros at its end
        total ^= int.from_bytes(scaled(factor, part), "little")
    return total.to_bytes(size, "little")


def scaled(factor: int, part: bytes) -> bytes:
    """Each byte of the packet times `factor`."""
    return part if factor == 1 else part.translate(_times(factor))


def repairs_for(count: int, loss: float) -> int:
    """How many repair packets `count` data packets need so that all come back at once in 98 of 100 cases.

    None where next to nothing is lost, otherwise at least one.
    """
    return _repairs_for(count, min(round(loss * 250), 75)) if loss >= _NOTHING else 0


@cache
def _repairs_for(count: int, loss_250: int) -> int:
    loss = max(loss_250 / 250, _NOTHING)
    most = min(MAX_REPAIR, count)
    for extra in range(1, most):
        total = count + extra
        fine = sum(comb(total, lost) * loss**lost * (1 - loss) ** (total - lost) for lost in range(extra + 1))
        if 1 - fine <= _ENOUGH:
            return extra
    return most
