"""A film over a bad path: what is painted, and when."""

import itertools

import pytest

from streaming.datagrams import ServerEnd
from streaming.datagrams.testing import Link, Simulation

START = 1.0


def film(seconds: int, size: int, down: Link, up: Link, *, repair: bool = True) -> Simulation:
    """60 pictures a second of `size` bytes."""
    simulation = Simulation(down, up, ServerEnd(0.0, repair=repair))
    for picture in range(seconds * 60):
        simulation.at(START + picture / 60, lambda: simulation.server.push(bytes(size), simulation.now))
    simulation.run(START + seconds + 2)
    return simulation


def painted_a_second(simulation: Simulation, seconds: int) -> float:
    """Screen refreshes that showed something new; messages that come together are one."""
    return len({int(at * 60) for at, _, _ in simulation.painted}) / seconds


def longest_freeze(simulation: Simulation) -> float:
    """Seconds without anything new."""
    return max(after - before for (before, *_), (after, *_) in itertools.pairwise(simulation.painted))


def bad_path(seed: int) -> tuple[Link, Link]:
    """100 ms, 2 % each way, 4 Mbit/s."""
    return Link(0.05, 0.02, 4e6, seed=seed), Link(0.05, 0.02, seed=seed + 100)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_film_keeps_its_pace_at_two_percent_loss(seed: int) -> None:
    """Of 60 pictures of 6 KB a second at least 57 are painted, in order, with no freeze over 200 ms."""
    down, up = bad_path(seed)

    simulation = film(60, 6000, down, up)

    assert [number for _, number, _ in simulation.painted] == list(range(1, 3601))
    assert painted_a_second(simulation, 60) >= 57
    assert longest_freeze(simulation) < 0.2
    assert down.worst_queue < 0.06


def test_retransmission_alone_is_far_worse() -> None:
    """The same film without repair packets loses the pace: each lost datagram costs a round trip."""
    with_repair, without = film(20, 6000, *bad_path(1)), film(20, 6000, *bad_path(1), repair=False)

    assert len(without.painted) == 1200
    assert painted_a_second(without, 20) < painted_a_second(with_repair, 20) - 15


def test_a_far_and_lossy_path_keeps_its_pace() -> None:
    """300 ms and 10 % loss: more repair, the same pace."""
    simulation = film(20, 4000, Link(0.15, 0.1, 4e6, seed=1), Link(0.15, 0.1, seed=2))

    assert painted_a_second(simulation, 20) >= 57
    assert longest_freeze(simulation) < 0.4


def test_a_near_path_costs_no_repair() -> None:
    """5 ms without loss: every picture at once, and nothing sent twice."""
    down = Link(0.0025)

    simulation = film(10, 6000, down, Link(0.0025))

    assert painted_a_second(simulation, 10) == 60
    assert down.datagrams < 600 * 6 * 1.02 + 60


def test_a_thin_path_carries_what_fits() -> None:
    """1 Mbit/s: small pictures keep their pace."""
    simulation = film(20, 1200, Link(0.05, 0.02, 1e6, seed=1), Link(0.05, 0.02, seed=2))

    assert painted_a_second(simulation, 20) >= 55
    assert longest_freeze(simulation) < 0.2


def test_datagrams_that_overtake_each_other_are_put_in_order() -> None:
    """10 ms of jitter, each datagram its own: nothing lost, nothing doubled, no long freeze."""
    simulation = film(10, 5000, Link(0.05, 0.02, 4e6, jitter=0.01), Link(0.05, 0.02, jitter=0.01, seed=2))

    assert [number for _, number, _ in simulation.painted] == list(range(1, 601))
    assert longest_freeze(simulation) < 0.25
