"""What comes back from repair packets."""

import random

import pytest

from streaming.datagrams import fec
from streaming.datagrams.reference import solve


@pytest.mark.parametrize(("count", "lost"), [(1, 1), (2, 1), (6, 2), (64, 1), (64, 7), (32, 16)])
def test_as_many_repair_packets_as_were_lost_bring_them_back(count: int, lost: int) -> None:
    """Whichever they are."""
    dice = random.Random(count)
    parts = [dice.randbytes(200) for _ in range(count)]
    rows = dice.sample(range(fec.MAX_REPAIR), lost)
    gone = dice.sample(range(count), lost)
    sums = []
    for row in rows:
        whole = fec.repair([(fec.coefficient(row, column), part) for column, part in enumerate(parts)], 200)
        kept = [(fec.coefficient(row, column), part) for column, part in enumerate(parts) if column not in gone]
        sums.append(fec.repair([(1, whole), *kept], 200))
    matrix = [[fec.coefficient(row, column) for column in gone] for row in rows]

    assert solve(matrix, sums) == [parts[column] for column in gone]


def test_one_repair_packet_is_plain_exclusive_or() -> None:
    """All factors of row 0 are 1."""
    assert {fec.coefficient(0, column) for column in range(fec.MAX_BLOCK)} == {1}


@pytest.mark.parametrize(
    ("count", "loss", "expected"),
    [(6, 0.0, 0), (6, 0.001, 0), (6, 0.01, 1), (6, 0.02, 1), (6, 0.03, 1), (6, 0.07, 2), (1, 0.1, 1), (64, 0.02, 4)],
)
def test_loss_steers_how_many_are_sent(count: int, loss: float, expected: int) -> None:
    """None without loss, one for a picture at 1 to 3 %, more above."""
    assert fec.repairs_for(count, loss) == expected
