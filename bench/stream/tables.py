"""Results as prose and tables, for the terminal and for the docs page: pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.figures import percentile
from bench.stream.plan import LEAD, LINKS, SOON_S, Link
from bench.stream.values import Outcome, on_a_slow_day, value

type Found = Mapping[str, Any]
"""What a results file holds."""

NAMES: Final = {
    LEAD: "Baton", "baton-socket": "Baton, WebSocket", "baton-datagrams": "Baton, datagrams",
    "novnc": "TigerVNC + noVNC", "selkies-ws": "Selkies WebSocket", "selkies-rtc": "Selkies WebRTC",
    "screencast": "DevTools screencast",
}  # fmt: skip

ROWS: Final[Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "lan": (
        ("flip p50 / p95, ms", ("flip_p50", "flip_p95")), ("page p50 / p95, ms", ("page_p50", "page_p95")),
        ("page, kbit/s", ("page_down",)), ("sharp readable / sharp, ms", ("sharp_readable", "sharp_sharp")),
        ("pages never sharp", ("never_sharp",)), ("type p50 / p95, ms", ("type_p50", "type_p95")),
        ("type, kbit/s", ("type_down",)), ("scroll, frames/s / kbit/s", ("scroll_fps", "scroll_down")),
        ("film, frames/s / kbit/s", ("film_fps", "film_down")), ("film, dB", ("film_psnr",)),
        ("idle, kbit/s", ("idle_down",)), ("rest, share exact", ("rest_exact",)),
    ),
    "wan": (
        ("flip p50 / p95, ms", ("flip_p50", "flip_p95")), ("page p50 / p95, ms", ("page_p50", "page_p95")),
        ("sharp readable / sharp, ms", ("sharp_readable", "sharp_sharp")), ("pages never sharp", ("never_sharp",)),
        ("type p50 / p95, ms", ("type_p50", "type_p95")),
        ("scroll, frames/s / longest freeze, ms", ("scroll_fps", "scroll_freeze")),
        ("film, frames/s / longest freeze, ms", ("film_fps", "film_freeze")), ("film, dB", ("film_psnr",)),
        ("idle, kbit/s", ("idle_down",)),
    ),
    "slow": (
        ("flip p50 / p95, ms", ("flip_p50", "flip_p95")), ("type p50 / p95, ms", ("type_p50", "type_p95")),
        ("sharp readable / sharp, ms", ("sharp_readable", "sharp_sharp")), ("pages never sharp", ("never_sharp",)),
        ("scroll, frames/s", ("scroll_fps",)), ("film, frames/s", ("film_fps",)),
        ("longest freeze, ms", ("freeze",)),
    ),
}  # fmt: skip
"""A link to the rows of its table: words, and the figures in them."""


ALSO: Final[Mapping[str, Mapping[str, Any]]] = {
    "wan_idle_down": {"max": 6}, "slow_type_p50": {"max": 130}, "slow_type_p95": {"max": 200},
    "slow_never_sharp": {"max": 0},
}  # fmt: skip
"""What is to be reached without being among the goals that are judged."""


def outcomes_of(found: Found) -> list[Outcome]:
    """Return the outcomes of a results file."""
    return [Outcome(**outcome) for outcome in found["outcomes"]]


def subjects_in(outcomes: Sequence[Outcome]) -> list[str]:
    """Return who was measured, in the table's order."""
    there = {outcome.subject for outcome in outcomes if outcome.scenes}
    return [name for name in NAMES if name in there]


def number(given: float) -> str:
    """Write a number with as many digits as mean something."""
    if given == int(given):
        return f"{int(given):,}"
    return f"{given:,.0f}" if given >= 1000 else f"{given:.3f}" if given < 1 else f"{given:.1f}"


def reach(goals: Mapping[str, Mapping[str, Any]], link: str, names: Sequence[str]) -> str:
    """Return the goals of one row, or nothing."""
    words = []
    for name in names:
        goal = goals.get(f"{link}_{name}", ALSO.get(f"{link}_{name}"))
        if goal is not None:
            words.append(f"≤ {number(goal['max'])}" if "max" in goal else f"≥ {number(goal['min'])}")
    return " / ".join(words)


def table(outcomes: Sequence[Outcome], link: Link, goals: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return one link's table as rows of cells, its head first. A hyphen stands for what was not measured."""
    subjects = subjects_in([outcome for outcome in outcomes if outcome.link == link.name])
    rows = [[link.about, *(NAMES[name] for name in subjects), "reach"]]
    for words, names in ROWS[link.name]:
        cells = [_cell(outcomes, link.name, subject, names) for subject in subjects]
        rows.append([words, *cells, reach(goals, link.name, names)])
    return rows


def _cell(outcomes: Sequence[Outcome], link: str, subject: str, names: Sequence[str]) -> str:
    found = [value(outcomes, link, subject, name) for name in names]
    return " / ".join("-" if one is None else number(one[0]) for one in found)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Write rows for a terminal."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Write rows as a Markdown table."""
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *rest])


def further(found: Found) -> list[str]:
    """Return sentences about what the ruler did not measure."""
    lines: Sequence[Mapping[str, Any]] = found["extras"]
    words = {
        "opening": "first picture, from the opening of the console's socket",
        "link": "first picture, from opening a new link in a browser that was never here",
        "cut": "UDP cut, until the next change is painted",
    }
    out = []
    for line in lines:
        if line["measure"] in words and line["ms"]:
            taken = line["ms"]
            never = f", {line['missed']} never" if line.get("missed") else ""
            spread = f"p50 {percentile(taken, 0.5):.0f}, p95 {percentile(taken, 0.95):.0f}, worst {max(taken):.0f} ms"
            out.append(f"{line['link']}: {words[line['measure']]}: {spread} (n={len(taken)}{never})")
        elif line["measure"] in words:
            out.append(f"{line['link']}: {words[line['measure']]}: not measured, {line.get('why', 'no samples')}")
        elif line["measure"] == "way":
            asked = f"asked for {line['asked']}" if line["asked"] else "left to itself"
            out.append(f"{line['link']}: {asked}, Baton took the {line['took']} way")
        elif line["measure"] == "cold":
            out.append(_cold(line))
        elif line["measure"] == "soon":
            out.append(f"{line['link']}: exact pixels {SOON_S} s after the last change: {number(line['exact'])}")
    return out + _processors(lines)


def _cold(line: Mapping[str, Any]) -> str:
    times = " / ".join(
        "never" if line[key] is None else f"{line[key]:.0f}" for key in ("readable_ms", "sharp_ms", "exact_ms")
    )
    never = f", {line['never_exact']} of {line['n']} never exact" if line["never_exact"] else ""
    return (f"{line['link']}: pages never seen before, readable / sharp / exact: {times} ms at "
            f"{line['kilobytes']:.0f} kB a page (n={line['n']}{never})")  # fmt: skip


def _processors(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    out = []
    for scene, viewers in (("idle", 1), ("film", 1), ("film", 10)):
        taken = [
            line for line in lines if line["measure"] == "cpu" and (line["scene"], line["viewers"]) == (scene, viewers)
        ]
        if taken:
            mean = {
                key: statistics.median(line[key] for line in taken) for key in ("stream", "xvfb", "chromium", "audio")
            }
            out.append(f"processor, {scene}, {viewers} viewer{'s' if viewers > 1 else ''}: keeper and server "
                       f"{mean['stream']:.1f} % of a core; apart from them Xvfb {mean['xvfb']:.1f} %, sound server "
                       f"{mean['audio']:.1f} %, Chromium {mean['chromium']:.1f} %")  # fmt: skip
    return out


def slow_day(outcomes: Sequence[Outcome], goals: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say of every figure that was missed whether it is still ahead of this run's best peer by the table's ratio."""
    peers = [name for name in NAMES if not name.startswith(LEAD)]
    out = []
    for goal in goals:
        link, _, rest = goal["name"].partition("_")
        bound = on_a_slow_day(outcomes, peers, goal)
        ours = value(outcomes, link, LEAD, rest) if bound else None
        if bound is None or ours is None:
            continue
        least = "min" in goal
        missed = ours[0] < goal["min"] if least else ours[0] > goal["max"]
        if missed:
            ahead = ours[0] >= bound[1] if least else ours[0] <= bound[1]
            sign = "≥" if least else "≤"
            out.append(f"{goal['name']} {number(ours[0])}: {'ahead' if ahead else 'NOT ahead'} of {NAMES[bound[0]]} in "
                       f"this run by the table's ratio ({sign} {number(round(bound[1], 1))})")  # fmt: skip
    return out


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """Say which runs gave less than they should."""
    return [f"{o.link}, {NAMES[o.subject]}: {o.error}" for o in outcomes if o.error]


def prose(found: Found, goals: Sequence[Mapping[str, Any]]) -> str:
    """Return everything for people to read in a terminal."""
    outcomes = outcomes_of(found)
    by_name = {goal["name"]: goal for goal in goals}
    parts = [f"\nBaton {found['commit']}, {found['date']}, {found['minutes']} minutes, medians of the runs"]
    there = {outcome.link for outcome in outcomes if outcome.scenes}
    parts += [f"{link.name}: {aligned(table(outcomes, link, by_name))}" for link in LINKS if link.name in there]
    notes = {
        "further": further(found), "missed, on a slow day": slow_day(outcomes, goals), "failed": failures(outcomes),
    }  # fmt: skip
    parts += ["\n".join([f"{title}:", *(f"  {line}" for line in lines)]) for title, lines in notes.items() if lines]
    return "\n\n".join(parts) + "\n"
