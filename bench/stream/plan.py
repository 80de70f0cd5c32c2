"""What is measured, in which order: pure, so that the order can be tested without measuring anything.

A pass is one block per link. In a block every subject runs once with all its scenes, Baton as its users meet it (the
lead) with the number of samples that a p95 needs; the rest of its three motion runs stand between the peers. What is
compared was thus measured within the same minutes, and who begins changes from block to block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LATENCIES: Final = ("flip", "page", "type", "sharp")
MOTIONS: Final = ("scroll", "film", "idle", "rest")
MOTION_RUNS: Final = 3
"""Scenes without samples of their own are run this often for each link, and their median counts."""
SOON_S: Final = 0.6
"""The rest scene looks after two seconds, and in a run of its own already so soon."""
LEAD: Final = "baton"


@dataclass(frozen=True, slots=True)
class Link:
    """A network as netlab.py makes it; `scenes` are those that the issue's table asks for on it."""

    name: str
    about: str
    netlab: tuple[str, ...]
    scenes: tuple[str, ...]


LINKS: Final = (
    Link("lan", "no impairment", (), (*LATENCIES, *MOTIONS)),
    Link(
        "wan", "100 ms round trip, 2 % loss, 4 Mbit/s",
        ("--delay-ms", "50", "--loss", "0.02", "--rate-mbit", "4"), (*LATENCIES, "scroll", "film", "idle"),
    ),
    Link(
        "slow", "100 ms round trip, 2 % loss, 1 Mbit/s",
        ("--delay-ms", "50", "--loss", "0.02", "--rate-mbit", "1"), ("flip", "type", "sharp", "scroll", "film"),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a subject and of the ruler: `n` samples of each latency scene."""

    link: str
    subject: str
    scenes: tuple[str, ...]
    n: int


def plan(links: Sequence[Link], subjects: Sequence[str], *, n: int, peer_n: int, passes: int = 1) -> list[Run]:
    """Return the runs of `passes` passes in order. `n` samples for the lead, `peer_n` for everybody else."""
    runs: list[Run] = []
    for number in range(passes):
        for link in rotated(links, number):
            runs += _block(link, subjects, n, peer_n, number + links.index(link))
    return runs


def _block(link: Link, subjects: Sequence[str], n: int, peer_n: int, turn: int) -> list[Run]:
    others = [Run(link.name, subject, link.scenes, peer_n) for subject in rotated(without_lead(subjects), turn)]
    if LEAD not in subjects:
        return others
    motion = tuple(scene for scene in link.scenes if scene in MOTIONS)
    own = [Run(link.name, LEAD, link.scenes, n), *(Run(link.name, LEAD, motion, n) for _ in range(MOTION_RUNS - 1))]
    return interleaved(rotated(own, turn), others)


def without_lead(subjects: Sequence[str]) -> list[str]:
    """Everybody but Baton as its users meet it."""
    return [subject for subject in subjects if subject != LEAD]


def rotated[T](items: Sequence[T], by: int) -> list[T]:
    """Return the items, beginning `by` places on: nobody is always first, when the machine is still cool."""
    if not items:
        return []
    by %= len(items)
    return [*items[by:], *items[:by]]


def interleaved[T](first: Sequence[T], second: Sequence[T]) -> list[T]:
    """Return both lists as one, each in its order and spread evenly over the whole."""
    places = [
        ((i + 0.5) / len(items), which, item)
        for which, items in enumerate((first, second))
        for i, item in enumerate(items)
    ]
    return [item for _, _, item in sorted(places, key=lambda place: place[:2])]
