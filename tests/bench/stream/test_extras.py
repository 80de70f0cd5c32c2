"""Our own instruments' lines become figures; a measure that could not be taken becomes none."""

from __future__ import annotations

from typing import Any

from bench.figures import Figure
from bench.stream.extras import Extras, figures_of, said_of


def cpu(scene: str, viewers: int, stream: float, **more: Any) -> dict[str, Any]:
    """One reading."""
    return {"measure": "cpu", "link": "lan", "scene": scene, "viewers": viewers, "stream": stream, **more}


def test_lines_are_found_among_everything_printed() -> None:
    """The lab's totals and warnings are no measures."""
    assert said_of('noise\n{"measure": "way", "took": "socket"}\n{"down": 1}\n[1]\n') == [
        {"measure": "way", "took": "socket"}
    ]


def test_the_unimpaired_link_alone_makes_figures() -> None:
    """What was measured elsewhere is told in prose."""
    lines: list[dict[str, Any]] = [
        {"measure": "opening", "link": "lan", "ms": [100.0] * 19 + [250.0]},
        {"measure": "opening", "link": "wan", "ms": [900.0]},
        {"measure": "cut", "link": "lan", "ms": []},
    ]

    assert figures_of(lines) == [Figure("first_picture_lan_p95", 100.0, "ms", 20)]


def test_processors_are_compared_pair_by_pair() -> None:
    """The median of the ratios, not the ratio of the medians."""
    lines = [
        cpu("idle", 1, 2.0), cpu("film", 1, 40.0), cpu("film", 10, 44.0, pictures=400),
        cpu("idle", 1, 3.0), cpu("film", 1, 50.0), cpu("film", 10, 70.0, pictures=400),
        cpu("idle", 1, 1.0), cpu("film", 1, 20.0), cpu("film", 10, 30.0, pictures=400),
    ]  # fmt: skip

    assert figures_of(lines) == [
        Figure("idle_cpu", 2.0, "% of a core", 3),
        Figure("motion_cpu", 40.0, "% of a core", 3),
        Figure("ten_viewers_cpu_ratio", 1.4, "ratio", 3),
    ]


def test_viewers_that_saw_nothing_make_no_ratio() -> None:
    """Nine sockets without pictures would cost nothing."""
    lines = [cpu("film", 1, 40.0), cpu("film", 10, 40.0, pictures=0)]

    assert [figure.name for figure in figures_of(lines)] == ["motion_cpu"]


def test_the_way_is_known_by_link_and_by_what_was_asked() -> None:
    """The plan leaves out the way that Baton chooses anyway."""
    extras = Extras([{"measure": "way", "link": "wan", "asked": "", "took": "datagrams"}])

    assert extras.ways == {("wan", ""): "datagrams"}
