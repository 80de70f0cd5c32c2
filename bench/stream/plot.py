"""Draw a results file: `python bench/stream/plot.py RESULTS OUT.png`, with the Python that has matplotlib."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.stream.plan import LINKS
from bench.stream.tables import NAMES, Found, outcomes_of, subjects_in
from bench.stream.values import Outcome, value

PANELS: Final = (
    ("click to photon (flip), ms", "flip_p50", "flip_p95"),
    ("whole page (page), ms", "page_p50", "page_p95"),
    ("text readable, then sharp, ms", "sharp_readable", "sharp_sharp"),
    ("scroll, frames/s", "scroll_fps", None),
    ("film, frames/s", "film_fps", None),
)
"""A panel's words, what its bars show, and what their whiskers reach to."""


COLOURS: Final = ("#0b6e4f", "#5bb08f", "#a5d6c1", "#8d99ae", "#b56576", "#e56b6f", "#eaac8b")


def bars(outcomes: Sequence[Outcome], link: str, main: str, end: str | None) -> list[tuple[str, float, float]]:
    """Return (who, height, whisker's end or the height) of one panel."""
    out = []
    for subject in subjects_in([outcome for outcome in outcomes if outcome.link == link]):
        height = value(outcomes, link, subject, main)
        top = value(outcomes, link, subject, end) if end else height
        if height is not None:
            out.append((subject, height[0], top[0] if top else height[0]))
    return out


def draw(found: Found, out: Path) -> None:
    """Draw one row per link that was measured, one panel per scene."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    outcomes = outcomes_of(found)
    links = [link for link in LINKS if any(o.link == link.name and o.scenes for o in outcomes)]
    figure, rows = plt.subplots(
        len(links), len(PANELS), figsize=(3.4 * len(PANELS), 2.9 * len(links)), squeeze=False, layout="constrained"
    )
    colours = dict(
        zip(NAMES, ("#0b6e4f", "#5bb08f", "#a5d6c1", "#8d99ae", "#b56576", "#e56b6f", "#eaac8b"), strict=True)
    )
    for link, row in zip(links, rows, strict=True):
        for axes, (words, main, end) in zip(row, PANELS, strict=True):
            _panel(axes, bars(outcomes, link.name, main, end), colours)
            axes.set_title(f"{link.name}: {words}", fontsize=9)
    handles = [mpl.patches.Patch(color=colours[name], label=NAMES[name]) for name in subjects_in(outcomes)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False)
    figure.suptitle(f"Baton {found['commit']}, {found['date']}; bars: median, whiskers: p95 or sharp", fontsize=11)
    figure.savefig(out, dpi=110)


def _panel(axes: Any, drawn: Sequence[tuple[str, float, float]], colours: dict[str, str]) -> None:
    places = range(len(drawn))
    heights = [height for _, height, _ in drawn]
    axes.bar(places, heights, color=[colours[who] for who, _, _ in drawn])
    axes.vlines(places, heights, [end for _, _, end in drawn], color="#333", linewidth=1)
    axes.set_xticks([])
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    if heights and max(end for _, _, end in drawn) > 8 * min(heights) > 0:
        axes.set_yscale("log")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
