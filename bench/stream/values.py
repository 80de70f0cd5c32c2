"""From what the ruler printed to the figures that count: pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.figures import Figure
from bench.stream.plan import LEAD

LATENCY: Final = ("flip", "page", "type")
PATIENCE_MS: Final = 4000.0
"""How long the ruler waits for an effect; a sample that was missed took at least about as long."""

FIELDS: Final = {
    ("flip", "p50"): "p50", ("flip", "p95"): "p95", ("page", "p50"): "p50", ("page", "p95"): "p95",
    ("type", "p50"): "p50", ("type", "p95"): "p95", ("page", "down"): "down_kbit_s", ("type", "down"): "down_kbit_s",
    ("sharp", "readable"): "readable_ms", ("sharp", "sharp"): "sharp_ms", ("never", "sharp"): "never_sharp",
    ("scroll", "fps"): "fps", ("scroll", "down"): "down_kbit_s", ("scroll", "freeze"): "freeze_ms",
    ("film", "fps"): "fps", ("film", "down"): "down_kbit_s", ("film", "freeze"): "freeze_ms", ("film", "psnr"): "db",
    ("idle", "down"): "down_kbit_s", ("rest", "exact"): "exact",
}  # fmt: skip
"""A figure's name without its link, to the ruler's field."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the ruler gave: `scenes` by name, or why there is nothing."""

    link: str
    subject: str
    scenes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    error: str = ""
    way: str = ""
    seconds: float = 0.0


def parse(printed: str) -> dict[str, dict[str, Any]]:
    """Return the ruler's JSON lines by scene; whatever else was printed (netlab's totals) is passed over."""
    scenes: dict[str, dict[str, Any]] = {}
    for line in printed.splitlines():
        if not line.startswith("{"):
            continue
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and isinstance(said.get("scene"), str):
            scenes[said["scene"]] = said
    return scenes


def median(values: Iterable[float | None]) -> float | None:
    """Return the median of those that are numbers, or None."""
    numbers = [value for value in values if value is not None]
    return statistics.median(numbers) if numbers else None


def runs_of(outcomes: Iterable[Outcome], link: str, subject: str, scene: str) -> list[Mapping[str, Any]]:
    """Return every result of one scene."""
    return [o.scenes[scene] for o in outcomes if (o.link, o.subject) == (link, subject) and scene in o.scenes]


def value(outcomes: Sequence[Outcome], link: str, subject: str, name: str) -> tuple[float, int] | None:
    """Return a figure's value (`flip_p50` on a link, for a subject) and the samples behind it, or None.

    The median of the runs; for what must never happen the worst. A run in which an input had no effect, or a page
    never became sharp, counts with the ruler's patience. `slow_freeze` is the worse median of scroll and film.
    """
    if name == "freeze":
        parts = [v for scene in ("scroll", "film") if (v := value(outcomes, link, subject, f"{scene}_freeze"))]
        return (max(part[0] for part in parts), min(part[1] for part in parts)) if len(parts) == 2 else None
    first, _, second = name.partition("_")
    scene = "sharp" if first == "never" else first
    wanted = FIELDS[first, second]
    runs = runs_of(outcomes, link, subject, scene)
    got = [(_number(scene, run, wanted), samples(scene, run)) for run in runs]
    numbers = [(number, n) for number, n in got if number is not None]
    if not numbers:
        return None
    middle = max(n for n, _ in numbers) if first == "never" else statistics.median(n for n, _ in numbers)
    n = sum(n for _, n in numbers)
    return (middle, 8 * len(numbers) if name == "film_psnr" else n)


def _number(scene: str, run: Mapping[str, Any], wanted: str) -> float | None:
    if scene in LATENCY and wanted == "p95" and run.get("missed"):
        return PATIENCE_MS
    if scene == "sharp" and wanted in {"readable_ms", "sharp_ms"} and run.get(wanted) is None:
        return PATIENCE_MS
    number = run.get(wanted)
    return float(number) if isinstance(number, int | float) else None


def samples(scene: str, run: Mapping[str, Any]) -> int:
    """Return how many samples one run of a scene stands on: motion and rest count as one."""
    return int(run.get("n", 1)) if scene in (*LATENCY, "sharp") else 1


def figures(outcomes: Sequence[Outcome], goals: Sequence[Mapping[str, Any]], further: Sequence[Figure]) -> list[Figure]:
    """Return what was measured of what the goals name, in their order: the lead's runs, and the `further` figures."""
    others = {figure.name: figure for figure in further}
    out = []
    for goal in goals:
        name = goal["name"]
        if name in others:
            out.append(others[name])
            continue
        link, _, rest = name.partition("_")
        known = rest == "freeze" or tuple(rest.split("_", 1)) in FIELDS
        found = value(outcomes, link, LEAD, rest) if known else None
        if found is not None:
            out.append(Figure(name, found[0], goal["unit"], found[1]))
    return out


REACH: Final[Mapping[str, tuple[float, float]]] = {
    "lan_flip_p50": (22, 26.4), "lan_flip_p95": (30, 33.8), "lan_page_p50": (30, 48.2), "lan_page_p95": (42, 64.5),
    "lan_page_down": (2500, 2683), "lan_sharp_readable": (45, 62), "lan_sharp_sharp": (150, 219),
    "lan_type_p50": (25, 27.6), "lan_type_p95": (33, 34.9), "lan_type_down": (10, 7), "lan_scroll_fps": (58, 58.9),
    "lan_scroll_down": (1200, 4965), "lan_film_fps": (58, 58.4), "lan_film_down": (3000, 5039),
    "lan_film_psnr": (36, 43.3), "lan_idle_down": (5, 2.1), "lan_rest_exact": (0.999, 0.970),
    "wan_flip_p50": (122, 125), "wan_flip_p95": (140, 148), "wan_page_p50": (180, 246), "wan_page_p95": (250, 348),
    "wan_sharp_readable": (260, 506), "wan_sharp_sharp": (550, 945), "wan_type_p50": (124, 127),
    "wan_type_p95": (134, 135), "wan_scroll_fps": (48, 33), "wan_scroll_freeze": (200, 567), "wan_film_fps": (53, 50),
    "wan_film_freeze": (200, 267), "slow_flip_p50": (130, 144), "slow_flip_p95": (200, 309),
    "slow_sharp_readable": (450, 1396), "slow_scroll_fps": (20, 27), "slow_film_fps": (20, 25),
    "slow_freeze": (400, 1600),
}  # fmt: skip
"""A figure to (what is to be reached, the best peer of the afternoon that set it): their ratio holds on a slow day."""


def on_a_slow_day(
    outcomes: Sequence[Outcome], peers: Sequence[str], goal: Mapping[str, Any]
) -> tuple[str, float] | None:
    """Return the best peer of this run and the bound that the table's ratio makes of its figure, or None."""
    name = goal["name"]
    if name not in REACH:
        return None
    link, _, rest = name.partition("_")
    best = max if "min" in goal else min
    found = [(got[0], peer) for peer in peers if (got := value(outcomes, link, peer, rest))]
    if not found:
        return None
    theirs, peer = best(found)
    reach, then = REACH[name]
    return peer, theirs * reach / then
