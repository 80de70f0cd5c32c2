"""Results as people read them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bench.stream.plan import LEAD, LINKS
from bench.stream.report import page
from bench.stream.tables import NAMES, aligned, further, markdown, number, prose, slow_day, table
from bench.stream.values import Outcome

GOALS: list[dict[str, Any]] = [
    {"name": "lan_flip_p50", "unit": "ms", "max": 22, "n": 20},
    {"name": "lan_scroll_fps", "unit": "frames/s", "min": 58, "n": 3},
    {"name": "slow_freeze", "unit": "ms", "max": 400, "n": 3},
]
OUTCOMES = [
    Outcome("lan", LEAD, {"flip": {"n": 60, "p50": 24.0, "p95": 31.0}}),
    Outcome("lan", "novnc", {"flip": {"n": 20, "p50": 48.0, "p95": 55.0}}),
    Outcome("lan", "screencast", {}, "exit status 1: no display"),
]
FOUND: dict[str, Any] = {
    "commit": "abc123", "date": "2030-01-01 00:00 UTC", "minutes": 41.2,
    "machine": {"cpu": "a processor", "cores": 2, "memory_gb": 8.0, "kernel": "6", "python": "3", "chromium": "C 1"},
    "outcomes": [dataclasses.asdict(one) for one in OUTCOMES],
    "extras": [
        {"measure": "cut", "link": "lan", "ms": [], "why": "no datagram way was opened"},
        {"measure": "opening", "link": "lan", "ms": [100.0, 120.0]},
        {"measure": "way", "link": "lan", "asked": "", "took": "socket"},
        {"measure": "soon", "link": "lan", "scene": "rest", "exact": 1.0},
        {"measure": "cold", "link": "lan", "n": 8, "readable_ms": 50, "sharp_ms": 60, "exact_ms": None,
         "never_exact": 8, "kilobytes": 90.2},
        {"measure": "cpu", "link": "lan", "scene": "film", "viewers": 10, "stream": 44.0, "xvfb": 2.0, "chromium": 30.0,
         "audio": 0.0},
    ],
}  # fmt: skip


def test_a_table_has_a_column_for_each_subject_and_one_for_the_goal() -> None:
    """What was not measured is a hyphen, and who gave nothing has no column."""
    rows = table(OUTCOMES, LINKS[0], {goal["name"]: goal for goal in GOALS})

    assert rows[0] == ["no impairment", "Baton", "TigerVNC + noVNC", "reach"]
    assert rows[1] == ["flip p50 / p95, ms", "24 / 31", "48 / 55", "≤ 22"]
    assert ["scroll, frames/s / kbit/s", "- / -", "- / -", "≥ 58"] in rows


@pytest.mark.parametrize(("given", "words"), [(58.0, "58"), (0.999, "0.999"), (10024.4, "10,024"), (22.15, "22.1")])
def test_numbers(given: float, words: str) -> None:
    """As many digits as mean something."""
    assert number(given) == words


def test_tables_are_written_for_terminals_and_for_markdown() -> None:
    """The same rows."""
    assert aligned([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc  d"
    assert markdown([["a", "b"], ["c", "d"]]) == "| a | b |\n|---|---|\n| c | d |"


def test_further_figures_are_sentences() -> None:
    """Also those that could not be taken, with the reason."""
    said = "\n".join(further(FOUND))

    assert "not measured, no datagram way was opened" in said
    assert "p50 100, p95 120, worst 120 ms (n=2)" in said
    assert "exact pixels 0.6 s after the last change: 1" in said
    assert "left to itself, Baton took the socket way" in said
    assert "50 / 60 / never ms at 90 kB a page (n=8, 8 of 8 never exact)" in said
    assert "keeper and server 44.0 % of a core" in said


def test_a_missed_figure_may_still_be_ahead_of_the_best_peer() -> None:
    """24 ms where the best peer took 48: the table's ratio asks for 40."""
    assert slow_day(OUTCOMES, GOALS) == [
        "lan_flip_p50 24: ahead of TigerVNC + noVNC in this run by the table's ratio (≤ 40)"
    ]


def test_prose_names_commit_failures_and_every_measured_link() -> None:
    """Links without results have no table."""
    said = prose(FOUND, GOALS)

    assert "abc123" in said
    assert "lan, DevTools screencast: exit status 1: no display" in said
    assert "wan:" not in said


def test_the_page_judges_every_goal() -> None:
    """Reached, missed, or not measured; with the method and the machine."""
    written = page(FOUND, GOALS)

    assert "| `lan_flip_p50` | 24 | 60 | ≤ 22 ms | **missed** |" in written
    assert "| `slow_freeze` |  |  | ≤ 400 ms | not measured |" in written
    assert "2 cores of a processor" in written
    assert "## Method" in written


def test_every_subject_has_a_name_and_the_lead_comes_first() -> None:
    """The plot's colours and the tables' columns follow this order."""
    assert next(iter(NAMES)) == LEAD
