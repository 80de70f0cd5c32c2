"""The order of a pass: everybody meets every link, nobody always first, Baton between its peers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bench.stream.plan import LEAD, LINKS, MOTIONS, Run, interleaved, plan, rotated

SUBJECTS = [LEAD, "novnc", "selkies-ws", "screencast"]


def block(runs: list[Run], link: str) -> list[Run]:
    """The runs on one link."""
    return [run for run in runs if run.link == link]


def test_every_subject_meets_every_link_with_all_its_scenes() -> None:
    """Peers once in a block, with fewer samples."""
    runs = plan(LINKS, SUBJECTS, n=60, peer_n=20)

    for link in LINKS:
        for subject in SUBJECTS[1:]:
            assert [r for r in block(runs, link.name) if r.subject == subject] == [
                Run(link.name, subject, link.scenes, 20)
            ]


def test_the_lead_takes_its_latencies_once_and_three_runs_of_each_motion() -> None:
    """Sixty samples in one run make a p95; motion has a median of three."""
    runs = [run for run in plan(LINKS, SUBJECTS, n=60, peer_n=20) if run.subject == LEAD]

    for link in LINKS:
        scenes = [scene for run in block(runs, link.name) for scene in run.scenes]
        assert {scene: scenes.count(scene) for scene in link.scenes} == {
            scene: 3 if scene in MOTIONS else 1 for scene in link.scenes
        }
    assert {run.n for run in runs} == {60}


def test_baton_stands_between_its_peers() -> None:
    """No two of its runs follow each other while there is a peer for each gap."""
    for link in LINKS:
        order = [run.subject == LEAD for run in block(plan(LINKS, SUBJECTS, n=60, peer_n=20), link.name)]
        assert not any(a and b for a, b in pairwise(order))


def test_who_comes_first_changes_from_block_to_block_and_from_pass_to_pass() -> None:
    """A cool machine and a quiet moment are nobody's privilege."""
    runs = plan(LINKS, SUBJECTS, n=60, peer_n=20, passes=3)
    firsts = [next(run for run in block(runs[i * 18 : i * 18 + 18], link.name) if run.subject != LEAD).subject
              for i in range(3) for link in LINKS]  # fmt: skip

    assert len(runs) == 54
    assert set(firsts) == set(SUBJECTS[1:])
    assert [runs[0].link, runs[18].link, runs[36].link] == ["lan", "wan", "slow"]


def test_without_the_lead_peers_are_measured_all_the_same() -> None:
    """`SUBJECTS=novnc`."""
    assert plan(LINKS[:1], ["novnc"], n=60, peer_n=20) == [Run("lan", "novnc", LINKS[0].scenes, 20)]


@pytest.mark.parametrize(
    ("by", "got"), [(0, "abc"), (1, "bca"), (4, "bca"), (-1, "cab")], ids=["not", "once", "round", "back"]
)
def test_rotation(by: int, got: str) -> None:
    """It wraps around, and nothing stays nothing."""
    assert "".join(rotated("abc", by)) == got
    assert rotated([], by) == []


def test_interleaving_keeps_each_order() -> None:
    """Both lists are spread evenly."""
    assert interleaved("abc", "xy") == list("axbyc")
    assert interleaved("a", "") == ["a"]
