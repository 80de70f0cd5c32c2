"""What the way is like, found out from when datagrams came."""

import pytest

from streaming.datagrams.estimate import Arrival, Estimate
from streaming.datagrams.testing import Link, Simulation


class Encoder:
    """Makes pictures as large as the way allows, and none while the last is not out, as the keeper does."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def start(self, seconds: int) -> None:
        """60 a second from now on."""
        for picture in range(seconds * 60):
            self.simulation.at(self.simulation.now + picture / 60, self._picture)

    def _picture(self) -> None:
        server, now = self.simulation.server, self.simulation.now
        if server.backlog < 3000:
            server.push(bytes(int(server.way(now).rate * 0.9 / 8 / 60)), now)


def path(rate: float, seed: int = 1, loss: float = 0.02) -> Simulation:
    """100 ms."""
    return Simulation(Link(0.05, loss, rate, seed=seed), Link(0.05, loss, seed=seed + 50))


@pytest.mark.parametrize("rate", [1e6, 4e6, 16e6])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_burst_finds_the_rate_within_a_second(rate: float, seed: int) -> None:
    """Neither 2 % of loss nor the first guess matters."""
    simulation = path(rate, seed)
    simulation.at(1.0, lambda: simulation.server.push(bytes(90_000), 1.0))

    simulation.run(2.0)

    assert simulation.server.estimate.rate == pytest.approx(rate, rel=0.25)


def test_a_long_burst_makes_no_long_queue() -> None:
    """300 KB at 4 Mbit/s leave no more than 40 ms waiting in the network."""
    simulation = path(4e6)
    simulation.at(1.0, lambda: simulation.server.push(bytes(300_000), 1.0))

    simulation.run(3.0)

    assert len(simulation.painted) == 1
    assert simulation.down.worst_queue < 0.045


def test_random_loss_does_not_lower_the_rate() -> None:
    """10 % of loss is measured as loss, and the rate stays what it is."""
    simulation = path(4e6, loss=0.1)
    Encoder(simulation).start(10)

    simulation.run(10)

    way = simulation.server.way(simulation.now)
    assert simulation.server.estimate.rate == pytest.approx(4e6, rel=0.2)
    assert way.loss == pytest.approx(0.1, abs=0.04)
    assert way.rtt == pytest.approx(105, abs=20)


def test_a_narrower_bottleneck_is_noticed_within_half_a_second() -> None:
    """From 4 to 1 Mbit/s: the rate follows, and the queue that stood by then is drained and stays away."""
    simulation = path(4e6)
    Encoder(simulation).start(12)
    simulation.run(5.0)
    simulation.down.rate = 1e6

    simulation.run(5.5)
    assert simulation.server.estimate.rate < 1.3e6

    queues = []
    for step in range(100):
        simulation.run(6.5 + step / 20)
        queues.append(simulation.down.waiting(simulation.now))
    assert sum(queues) / len(queues) < 0.04
    assert max(queues) < 0.08


def test_a_wider_bottleneck_is_found() -> None:
    """From 1 to 4 Mbit/s in two and a half seconds, with pictures too small to measure by themselves."""
    simulation = path(1e6)
    Encoder(simulation).start(12)
    simulation.run(5.0)
    simulation.down.rate = 4e6

    simulation.run(7.5)

    assert simulation.server.estimate.rate == pytest.approx(4e6, rel=0.2)


def test_a_pause_changes_nothing_and_costs_little() -> None:
    """After 200 s of nothing a burst leaves at the rate known before; the pause cost under 1.5 kbit/s of datagrams."""
    simulation = path(4e6)
    simulation.at(1.0, lambda: simulation.server.push(bytes(90_000), 1.0))
    simulation.run(3.0)
    before, datagrams = simulation.down.carried, simulation.down.datagrams
    simulation.run(203.0)
    spent = simulation.down.carried - before - 90 * (simulation.down.datagrams - datagrams)

    assert spent * 8 / 200 < 1500
    simulation.at(203.0, lambda: simulation.server.push(bytes(90_000), 203.0))
    simulation.run(204.0)
    assert simulation.painted[-1][0] - 203.0 < 0.27


def test_a_clock_that_drifts_looks_like_no_queue() -> None:
    """200 parts in a million, for ten minutes."""
    estimate = Estimate(0.0)
    for tick in range(12_000):
        sent = tick * 0.05
        estimate.arrived(sent + 0.1, [Arrival(sent, 1000 + (sent + 0.05) * 1.0002, 1000, tick)])

    assert estimate.queue < 0.008


def test_a_longer_path_is_not_taken_for_a_queue_for_ever() -> None:
    """A path that becomes 100 ms longer is believed after some seconds of draining."""
    simulation = path(4e6, loss=0.0)
    Encoder(simulation).start(16)
    simulation.run(5.0)
    simulation.down.delay = 0.15

    simulation.run(14.0)

    assert simulation.server.way(simulation.now).queue < 20
    assert simulation.server.estimate.rate == pytest.approx(4e6, rel=0.3)
