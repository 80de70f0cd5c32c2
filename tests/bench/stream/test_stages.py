"""A click is split where its stamps are, and only when all are there."""

from __future__ import annotations

from typing import Any

import pytest

from bench.stream.stages import stages, table

STAMPS: dict[str, Any] = {
    "pressed": 100.0, "sent": 102.0, "down": 105.0, "drawn": 110.0, "flip": 121.0,
    "heard": [101.0, 109.0, 113.0, 120.0],
}  # fmt: skip


def test_the_stages_add_up_to_the_whole() -> None:
    """The first pictures after the paint are those that carry it; later ones do not count."""
    got = stages(STAMPS)

    assert got == {"input": 2, "inject": 3, "paint": 5, "carry": 3, "show": 8}
    assert sum(got.values()) == STAMPS["flip"] - STAMPS["pressed"]


@pytest.mark.parametrize("missing", ["sent", "down", "drawn", "flip"])
def test_a_click_without_a_stamp_is_no_sample(missing: str) -> None:
    """Zero is what an unset stamp is."""
    assert stages({**STAMPS, missing: 0}) is None


def test_a_click_that_nothing_was_heard_after_is_no_sample() -> None:
    """All messages came before the paint."""
    assert stages({**STAMPS, "heard": [101.0]}) is None


def test_the_table_has_a_line_for_each_stage_and_the_whole() -> None:
    """Median and 95th percentile."""
    split = stages(STAMPS)
    assert split is not None

    said = table([split, split])

    assert "2 clicks" in said
    assert "together   p50   21.0   p95   21.0" in said
