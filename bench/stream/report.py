"""docs/stream-results.md and its plot from a results file: `python -m bench.stream.report var/bench-stream.json`.

The page needs nothing but this file; the plot needs matplotlib (`make bench-peers`), and is left as it is without.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import figures as goals_file
from bench.figures import reached
from bench.stream.extras import figures_of
from bench.stream.lab import ROOT
from bench.stream.plan import LINKS
from bench.stream.tables import Found, failures, further, markdown, number, outcomes_of, slow_day, table
from bench.stream.values import figures

PAGE: Final = ROOT / "docs" / "stream-results.md"
PLOT: Final = ROOT / "docs" / "stream-results.png"
PYTHON: Final = ROOT / ".venv-peers" / "bin" / "python"

ABOUT: Final = (
    "Written by `make bench-stream-report` from one run of `make bench-stream`. What was tried, what did not help and\n"
    "where the milliseconds go stands in [streaming.md](streaming.md)."
)
METHOD: Final = Path(__file__).with_name("method.md")


def page(found: Found, goals: Sequence[Mapping[str, Any]]) -> str:
    """Return the docs page of a results file."""
    outcomes = outcomes_of(found)
    by_name = {goal["name"]: goal for goal in goals}
    parts = [
        "# The stream's figures",
        ABOUT,
        _measured_on(found),
        "![Latencies and frame rates of Baton and its peers](stream-results.png)",
        "## Results",
    ]
    there = {outcome.link for outcome in outcomes if outcome.scenes}
    for link in LINKS:
        if link.name in there:
            parts += [f"### {link.name}: {link.about}", markdown(table(outcomes, link, by_name))]
    for title, lines in (
        ("Further figures", further(found)),
        ("Runs that gave less than they should", failures(outcomes)),
    ):
        if lines:
            parts += [f"### {title}", "\n".join(f"- {line}" for line in lines)]
    parts += ["## Against the goals", markdown(judged(found, goals))]
    late = slow_day(outcomes, goals)
    if late:
        parts.append("\n".join(f"- {line}" for line in late))
    return "\n\n".join([*parts, "## Method", METHOD.read_text()])


def _measured_on(found: Found) -> str:
    machine = found["machine"]
    return (
        f"Commit `{found['commit']}`, {found['date']}, {found['minutes']} minutes; {machine['cores']} cores of "
        f"{machine['cpu']}, {machine['memory_gb']} GB, Linux {machine['kernel']}, Python {machine['python']}, "
        f"{machine['chromium']}."
    )


def judged(found: Found, goals: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return every goal as a row: name, value, samples, goal, verdict."""
    measured = {f.name: f for f in figures(outcomes_of(found), goals, figures_of(found["extras"]))}
    rows = [["figure", "value", "n", "goal", ""]]
    for goal in goals:
        bound = f"≤ {number(goal['max'])}" if "max" in goal else f"≥ {number(goal['min'])}"
        figure = measured.get(goal["name"])
        if figure is None:
            rows.append([f"`{goal['name']}`", "", "", f"{bound} {goal['unit']}", "not measured"])
        else:
            verdict = "reached" if reached(figure, goal) else "**missed**"
            rows.append([f"`{goal['name']}`", number(figure.value), str(figure.n), f"{bound} {goal['unit']}", verdict])
    return rows


def main() -> int:
    """Write page and plot. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    told = parser.parse_args()
    found = json.loads(told.results.read_text())
    goals = json.loads(goals_file.GOALS.read_text())["stream"]
    PAGE.write_text(page(found, goals))
    print(f"wrote {PAGE.relative_to(ROOT)}")
    if not PYTHON.exists():
        print("no plot: matplotlib is in .venv-peers, which `make bench-peers` makes")
        return 1
    plot = Path(__file__).with_name("plot.py")
    return subprocess.run(
        [PYTHON, plot, told.results, PLOT], check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
