"""A benchmark cannot pass by leaving a figure out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import figures
from bench.figures import Figure, judge, percentile


@pytest.fixture(autouse=True)
def goals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figures file with one upper and one lower bound."""
    file = tmp_path / "figures.json"
    file.write_text(
        json.dumps(
            {
                "x": [
                    {"name": "slow", "unit": "ms", "max": 10, "n": 3},
                    {"name": "good", "unit": "share", "min": 0.5, "n": 1},
                ]
            }
        )
    )
    monkeypatch.setattr(figures, "GOALS", file)


@pytest.mark.parametrize(
    ("measured", "status"),
    [
        ([Figure("slow", 10, "ms", 3), Figure("good", 0.5, "share", 1)], 0),
        ([Figure("slow", 10.1, "ms", 3), Figure("good", 0.5, "share", 1)], 1),
        ([Figure("slow", 1, "ms", 2), Figure("good", 0.5, "share", 1)], 1),
        ([Figure("slow", 1, "ms", 3), Figure("good", 0.4, "share", 1)], 1),
        ([Figure("slow", 1, "ms", 3)], 1),
    ],
    ids=["reached", "too slow", "too few samples", "too little", "left out"],
)
def test_only_all_figures_with_enough_samples_pass(measured: list[Figure], status: int) -> None:
    """The exit status is 0 exactly when every named figure is reached with enough samples."""
    assert judge("x", measured) == status


def test_percentile_is_the_nearest_rank() -> None:
    """p95 of a hundred samples is the ninety-fifth."""
    assert percentile([float(i) for i in range(1, 101)], 0.95) == 95.0
    assert percentile([7.0], 0.95) == 7.0
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)
