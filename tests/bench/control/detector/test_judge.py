"""Counting what the detector found."""

from __future__ import annotations

import pytest

from bench.control.detector.judge import Score, scored


def test_scores_count_pairs() -> None:
    """Each page is found or not, and there or not."""
    score = scored([(True, True), (True, True), (True, False), (False, True), (False, False)])

    assert score == Score(right=2, false=1, missed=1, n=5)
    assert score.precision == pytest.approx(2 / 3)
    assert score.recall == pytest.approx(2 / 3)
    assert score.f1 == pytest.approx(2 / 3)


def test_nothing_there_and_nothing_found_is_right() -> None:
    """Without cases nothing is wrong."""
    assert (scored([]).f1, scored([]).precision, scored([]).recall) == (1.0, 1.0, 1.0)
