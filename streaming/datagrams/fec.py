"""Repair packets: from any k of the k + r packets of a block the k data packets come back.

Arithmetic is in GF(256) with the polynomial 0x11D (as in RFC 5510). Repair packet `row` is the sum over the data
packets of `coefficient(row, column)` times the packet; shorter packets count as filled with zeros. The coefficients
are a Cauchy matrix with its columns scaled so that row 0 is all ones: one repair packet is plain XOR, and every
square part of the matrix can be inverted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import comb
from typing import Final

MAX_BLOCK: Final = 64
"""Data packets in one block; a longer message is dealt out over several."""
MAX_REPAIR: Final = 32
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


def repair(row: int, parts: list[bytes], size: int) -> bytes:
    """Repair packet `row` of these data packets, `size` bytes long."""
    total = 0
    for column, part in enumerate(parts):
        factor = coefficient(row, column)
        # little-endian: a short packet is then filled with zeros at its end
        total ^= int.from_bytes(part if factor == 1 else part.translate(_times(factor)), "little")
    return total.to_bytes(size, "little")


def recover(count: int, have: Mapping[int, bytes], repairs: Mapping[int, bytes], size: int) -> dict[int, bytes]:
    """The missing ones of `count` data packets, each `size` bytes; empty if there are too few repair packets.

    Args:
        count: how many data packets the block has.
        have: data packets by column.
        repairs: repair packets by row.
        size: length of a repair packet.
    """
    missing = [column for column in range(count) if column not in have]
    if len(repairs) < len(missing):
        return {}
    rows = sorted(repairs)[: len(missing)]
    sums = []
    for row in rows:
        total = int.from_bytes(repairs[row], "little")
        for column, part in have.items():
            total ^= int.from_bytes(part.translate(_times(coefficient(row, column))), "little")
        sums.append(total)
    matrix = [[coefficient(row, column) for column in missing] for row in rows]
    return dict(zip(missing, _solve(matrix, [total.to_bytes(size, "little") for total in sums]), strict=True))


def _solve(matrix: list[list[int]], sums: list[bytes]) -> list[bytes]:
    count = len(sums)
    for at in range(count):
        pivot = next(row for row in range(at, count) if matrix[row][at])
        matrix[at], matrix[pivot] = matrix[pivot], matrix[at]
        sums[at], sums[pivot] = sums[pivot], sums[at]
        inverse = divide(1, matrix[at][at])
        matrix[at] = [multiply(inverse, value) for value in matrix[at]]
        sums[at] = sums[at].translate(_times(inverse))
        for row in range(count):
            factor = matrix[row][at]
            if row == at or not factor:
                continue
            matrix[row] = [a ^ multiply(factor, b) for a, b in zip(matrix[row], matrix[at], strict=True)]
            scaled = sums[at].translate(_times(factor))
            mixed = int.from_bytes(sums[row], "little") ^ int.from_bytes(scaled, "little")
            sums[row] = mixed.to_bytes(len(scaled), "little")
    return sums


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
