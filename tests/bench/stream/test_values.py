"""What the ruler prints becomes figures: medians, patience for what never came, nothing for what was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from bench.figures import Figure
from bench.stream.plan import LEAD
from bench.stream.values import Outcome, figures, on_a_slow_day, parse, value

PRINTED = """{"label": "baton", "scene": "flip", "n": 60, "missed": 0, "p50": 20.5, "p95": 29.0, "max": 40}
chatter
{"not json
{"label": "baton", "scene": "film", "fps": 59.1, "freeze_ms": 33.0, "db": 41.5, "down_kbit_s": 2500.5}
{"down": {"bytes": 1}, "up": {"bytes": 2}}
"""


def outcome(link: str = "lan", subject: str = LEAD, **scenes: Any) -> Outcome:
    """One run's results."""
    return Outcome(link, subject, scenes)


def test_only_the_ruler_is_heard() -> None:
    """netlab.py's totals and other chatter are passed over."""
    scenes = parse(PRINTED)

    assert set(scenes) == {"flip", "film"}
    assert scenes["film"]["db"] == 41.5


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("flip_p50", (20.5, 60)), ("flip_p95", (29.0, 60)), ("film_fps", (59.1, 1)), ("film_down", (2500.5, 1)),
        ("film_psnr", (41.5, 8)), ("scroll_fps", None), ("freeze", None),
    ],
)  # fmt: skip
def test_values_of_one_run(name: str, got: tuple[float, int] | None) -> None:
    """Eight pictures of a film are judged in each run."""
    assert value([Outcome("lan", LEAD, parse(PRINTED))], "lan", LEAD, name) == got


def test_runs_are_joined_by_their_median() -> None:
    """And their samples add up; other links and subjects do not count."""
    runs = [outcome(scroll={"fps": fps, "freeze_ms": 50}) for fps in (58.0, 31.0, 59.5)]
    runs += [outcome("wan", scroll={"fps": 1.0}), outcome(subject="novnc", scroll={"fps": 2.0})]

    assert value(runs, "lan", LEAD, "scroll_fps") == (58.0, 3)


def test_the_worse_of_two_medians_is_the_freeze() -> None:
    """`slow_freeze` covers scroll and film."""
    runs = [
        outcome("slow", scroll={"freeze_ms": s}, film={"freeze_ms": f}) for s, f in ((100, 300), (500, 350), (90, 320))
    ]

    assert value(runs, "slow", LEAD, "freeze") == (320, 3)


def test_what_never_came_counts_with_the_rulers_patience() -> None:
    """A missed click spoils the p95, a page that never became sharp its time, and one such page is one too many."""
    runs = [
        outcome(
            flip={"n": 59, "missed": 1, "p50": 20, "p95": 29},
            sharp={"n": 20, "readable_ms": 40.0, "sharp_ms": None, "never_sharp": 20},
        ),
        outcome(sharp={"n": 20, "readable_ms": 40.0, "sharp_ms": 90.0, "never_sharp": 0}),
    ]

    assert value(runs, "lan", LEAD, "flip_p95") == (4000, 59)
    assert value(runs, "lan", LEAD, "flip_p50") == (20, 59)
    assert value(runs[:1], "lan", LEAD, "sharp_sharp") == (4000, 20)
    assert value(runs, "lan", LEAD, "never_sharp") == (20, 40)


def test_a_scene_without_any_effect_has_no_figure() -> None:
    """All inputs were missed: there is no percentile to print."""
    assert value([outcome(flip={"n": 0, "missed": 60})], "lan", LEAD, "flip_p50") is None


def test_figures_follow_the_goals_and_leave_out_what_was_not_measured() -> None:
    """Partial runs print what they have."""
    goals = [
        {"name": "idle_cpu", "unit": "% of a core", "max": 3, "n": 3},
        {"name": "lan_flip_p50", "unit": "ms", "max": 22, "n": 60},
        {"name": "wan_flip_p50", "unit": "ms", "max": 122, "n": 60},
        {"name": "motion_cpu", "unit": "% of a core", "max": 60, "n": 3},
    ]

    got = figures([Outcome("lan", LEAD, parse(PRINTED))], goals, [Figure("idle_cpu", 2.0, "% of a core", 3)])

    assert got == [Figure("idle_cpu", 2.0, "% of a core", 3), Figure("lan_flip_p50", 20.5, "ms", 60)]


def test_a_slow_day_is_measured_by_the_best_peer() -> None:
    """The table's ratio of the goal to its best peer, times the best peer of this run."""
    runs = [
        outcome(subject="novnc", flip={"n": 20, "p50": 52.8}),
        outcome(subject="selkies-ws", flip={"n": 20, "p50": 60}),
    ]
    goal = {"name": "lan_flip_p50", "max": 22}

    peer, bound = on_a_slow_day(runs, ["novnc", "selkies-ws"], goal) or ("", 0.0)
    assert (peer, round(bound, 3)) == ("novnc", 44.0)
    assert on_a_slow_day(runs, [], goal) is None
    assert on_a_slow_day(runs, ["novnc"], {"name": "idle_cpu", "max": 3}) is None
