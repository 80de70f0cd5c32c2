"""Judging measured figures by the file that names the goals, and printing them for people and for programs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

GOALS = Path(os.environ.get("BATON_FIGURES", Path(__file__).resolve().parents[2] / "shared" / "figures.json"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure: `n` is the number of samples behind `value`."""

    name: str
    value: float
    unit: str
    n: int


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of `samples` (`share` in 0..1). Raises `ValueError` when there are none."""
    if not samples:
        raise ValueError("no samples were taken")
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _wanted(goal: dict[str, Any] | None) -> str:
    if goal is None:
        return ""
    sign, bound = ("≤", goal["max"]) if "max" in goal else ("≥", goal["min"])
    return f"  (goal {sign} {bound}, n ≥ {goal['n']})"


def reached(figure: Figure, goal: Mapping[str, Any]) -> bool:
    """Whether a figure is within its goal, with as many samples as the goal wants."""
    low, high = goal.get("min", float("-inf")), goal.get("max", float("inf"))
    return bool(low <= figure.value <= high and figure.n >= goal["n"])


def judge(bench: str, figures: Sequence[Figure]) -> int:
    """Print each figure with its goal, then one JSON line each. Returns 0 when all that the file names are reached."""
    goals = {goal["name"]: goal for goal in json.loads(GOALS.read_text())[bench]}
    by_name = {figure.name: figure for figure in figures}
    failed = [name for name in goals if name not in by_name]
    for figure in figures:
        goal = goals.get(figure.name)
        good = goal is None or reached(figure, goal)
        if not good:
            failed.append(figure.name)
        word = "reached" if good else "MISSED "
        digits = 3 if figure.value < 1 else 1
        print(f"{word}  {figure.name:28} {figure.value:10.{digits}f} {figure.unit:6} n={figure.n}{_wanted(goal)}")
    for name in (n for n in failed if n not in by_name):
        print(f"MISSED   {name:28} was not measured")
    for figure in figures:
        print(json.dumps({**asdict(figure), "value": round(figure.value, 4)}))
    return 1 if failed else 0
