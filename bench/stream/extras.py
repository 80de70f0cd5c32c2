"""The measures that are not the ruler's: which exist, on which links, and the figures that come of them."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.figures import Figure, percentile
from bench.stream.lab import HERE, Lab
from bench.stream.plan import SOON_S, Link
from bench.stream.values import parse

EXTRAS: Final[Mapping[str, Mapping[str, int]]] = {
    "opening": {"lan": 20, "wan": 3, "slow": 3},
    "link": {"wan": 5},
    "cut": {"lan": 10, "wan": 5},
    "cpu": {"lan": 3},
    "soon": {"lan": 1},
    "cold": {"lan": 8, "wan": 8, "slow": 8},
}
"""A measure to the links it is taken on, and how many samples."""
URL: Final = "URL"
SCREEN: Final = "[data-screen]"
FEWEST_PICTURES: Final = 60
"""A lean viewer that had fewer pictures of eight seconds of film was no viewer: there is no ratio to speak of."""


@dataclass(slots=True)
class Extras:
    """What was measured: `lines` as the instruments said them, each with its `link`."""

    lines: list[dict[str, Any]] = field(default_factory=list)

    def measure(self, lab: Lab, links: Sequence[Link], wanted: Sequence[str]) -> None:
        """Take the wanted measures on the links; what fails is said and leaves its figure out."""
        for name in wanted:
            for link in links:
                if link.name in EXTRAS[name]:
                    self._one(lab, link, name, EXTRAS[name][link.name])

    def _one(self, lab: Lab, link: Link, name: str, n: int) -> None:
        page = HERE.parent / "pages" / "cold.html" if name == "cold" else lab.rulers / "scenes.html"
        command = {
            "cold": [sys.executable, "-m", "bench.stream.cold", URL, SCREEN, "-n", str(n)],
            "soon": [sys.executable, str(lab.rulers / "ruler.py"), URL, SCREEN, "--scenes", "rest",
                     "--rest-s", str(SOON_S)],
        }.get(name, [sys.executable, "-m", "bench.stream.chair", name, URL, "-n", str(n)])  # fmt: skip
        client = lambda url: [url if word == URL else word for word in command]  # noqa: E731
        printed, error = lab.before_baton(link, page, client, limit_s=120 + n * 25)
        self.lines += [{**line, "link": link.name} for line in said_of(printed)]
        if name == "soon":
            self.lines += [{**rest, "measure": name, "link": link.name} for rest in parse(printed).values()]
        print(f"{link.name} {name}: {error or 'done'}", flush=True)

    @property
    def ways(self) -> dict[tuple[str, str], str]:
        """(link, asked for) to the way that Baton took there."""
        return {(line["link"], line["asked"]): line["took"] for line in self.lines if line["measure"] == "way"}

    def figures(self) -> list[Figure]:
        """Return the figures of these measures, as far as they were taken."""
        return figures_of(self.lines)


def said_of(printed: str) -> list[dict[str, Any]]:
    """Return the JSON lines of our own instruments among everything printed."""
    lines = []
    for line in printed.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and "measure" in said:
            lines.append(said)
    return lines


def figures_of(lines: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """Make figures of the lines of our own instruments (see `chair`)."""
    out = []
    for name, measure in (("first_picture_lan_p95", "opening"), ("udp_cut_to_picture_p95", "cut")):
        taken = [ms for line in lines if (line["measure"], line["link"]) == (measure, "lan") for ms in line["ms"]]
        if taken:
            out.append(Figure(name, percentile(taken, 0.95), "ms", len(taken)))
    for name, scene in (("idle_cpu", "idle"), ("motion_cpu", "film")):
        used = processors(lines, scene, 1)
        if used:
            out.append(Figure(name, statistics.median(used), "% of a core", len(used)))
    ratios = [ten / one for one, ten in zip(processors(lines, "film", 1), processors(lines, "film", 10), strict=False)]
    if ratios:
        out.append(Figure("ten_viewers_cpu_ratio", statistics.median(ratios), "ratio", len(ratios)))
    return out


def processors(lines: Sequence[Mapping[str, Any]], scene: str, viewers: int) -> list[float]:
    """Return the stream's percent of a core in every measure of a scene before so many viewers."""
    return [
        float(line["stream"]) for line in lines
        if line["measure"] == "cpu" and (line["scene"], line["viewers"]) == (scene, viewers)
        and line.get("pictures", FEWEST_PICTURES) >= FEWEST_PICTURES
    ]  # fmt: skip
