"""What the way carries, from when each datagram left and when it came.

Rate: datagrams that left without a pause are a train. The bytes of a train over the time it took to come is what the
bottleneck carries if the train was stretched on its way (a *full* sample), and a lower bound of that if it was not.
Lower bounds only raise the estimate; full samples also lower it, sooner when a queue stands. Loss does not count, so
random loss cannot fool it, and a pause (nothing to send) changes nothing.

Queue: how much longer than the shortest journey of the last half minute the newest ones took. Only differences count,
so the two clocks need not agree; a drift of 0.01 % is 3 ms in that time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

HIGHEST: Final = 100e6
LOWEST: Final = 64e3
_FIRST_TRAIN_AT_MOST: Final = 20e6
_ENOUGH_PACKETS: Final = 6
_SPAN: Final = 0.025
_TOGETHER: Final = 0.001
_ONE_GO: Final = 0.016
"""What came in one go may have come over this long."""
_WINDOW: Final = 0.6
_BASE_WINDOW: Final = 15.0
_STANDING: Final = 0.025
_SOME: Final = 0.004
_NEW_PATH_AFTER: Final = 3.0
_PRIOR_LOSS: Final = 0.01
_PRIOR_WEIGHT: Final = 100
_LOSS_WEIGHT: Final = 400
_CONGESTED: Final = 0.06
_CALM: Final = 0.0015
_MOST_BLUR: Final = 0.03
_PROBE_EVERY: Final = 1.0
_PROBE_SELDOM: Final = 6.0
_BUSY: Final = 0.4


@dataclass(frozen=True, slots=True)
class Arrival:
    """One datagram: when it left (our clock), when it came (the browser's clock), bytes on the wire, its train."""

    sent: float
    came: float
    size: int
    train: int


@dataclass(slots=True)
class _Train:
    """What counts is what came after the first batch: what a busy browser takes in one go had been waiting."""

    name: int
    first_sent: float
    first_came: float
    last_sent: float
    last_came: float
    batch: float
    """When the first of those taken in one go with the last came."""
    batches: int = 1
    packets: int = 1
    size: int = 0
    together: int = 0
    """Bytes of the first batch, but for its first datagram."""

    def add(self, arrival: Arrival) -> None:
        self.packets += 1
        self.last_sent = arrival.sent
        self.last_came = max(self.last_came, arrival.came)
        if arrival.came - self.batch > _TOGETHER:
            self.batch, self.batches = arrival.came, self.batches + 1
        if self.batches > 1:
            self.size += arrival.size
        else:
            self.first_sent = arrival.sent
            self.together += arrival.size

    def next(self) -> _Train:
        """The train that begins where this one ends."""
        return _Train(self.name, self.last_sent, self.last_came, self.last_sent, self.last_came, self.batch)


class Estimate:
    """Rate (bits/s with everything below), round trip, loss and queue of one way."""

    def __init__(self, now: float, rate: float = 2e6) -> None:
        self.rate = rate
        self.queue = 0.0
        """Seconds that a datagram waited when last heard of."""
        self.rtt = 0.1
        self.spread = 0.05
        """How much round trips vary."""
        self.loss = _PRIOR_LOSS
        self.searching = True
        """The rate is still a lower bound: bursts may begin at twice of it."""
        self.measured = False
        self._resolved = 0
        self._rtts = 0
        self._jitter = 0.0
        self._train: _Train | None = None
        self._samples: deque[tuple[float, float, bool]] = deque(maxlen=64)
        self._bases = [(now, float("inf")), (now, float("inf"))]
        self._standing_since: float | None = None
        self._lowered_at = self._heard_at = now
        self._probed_at, self._probed_rate, self._probe_every = now, self.rate, _PROBE_EVERY
        self._recent: deque[tuple[float, float]] = deque(maxlen=128)

    def queue_at(self, now: float) -> float:
        """Seconds that a datagram sent now would wait: the queue when last heard of, less the time since."""
        return max(0.0, self.queue - max(0.0, now - self._heard_at))

    def damping(self, now: float) -> float:
        """How much slower than the rate to send while a queue stands."""
        queue = self.queue_at(now)
        if queue < 0.015:  # noqa: PLR2004 - below: what a burst of our own makes
            return 1.0
        return 0.98 if queue < _STANDING else 0.85 if queue < 4 * _STANDING else 0.6

    @property
    def _blur(self) -> float:
        """By how much jitter may mislead."""
        return min(2 * self._jitter, _MOST_BLUR) if self._jitter > _CALM else 0.0

    def wants_probe(self, now: float, used: float) -> bool:
        """Whether padding should make a train of what leaves now.

        Only when the way is busy (`used` bits/s of it) with trains too short to measure, and less and less often
        while that finds nothing.
        """
        sampled = self._samples[-1][0] if self._samples else 0.0
        if used < _BUSY * self.rate or self.queue > _STANDING / 2 or min(now - sampled, now - self._probed_at) < 0.3:  # noqa: PLR2004
            return False
        if self.rate > 1.1 * self._probed_rate:
            self._probe_every = _PROBE_EVERY / 2
        elif now - self._probed_at < self._probe_every:
            return False
        else:
            self._probe_every = min(self._probe_every * 1.5, _PROBE_SELDOM)
        self._probed_at, self._probed_rate = now, self.rate
        return True

    def round_trip(self, seconds: float) -> None:
        """A round trip was measured."""
        seconds = min(max(seconds, 0.0005), 5.0)
        if not self._rtts:
            self.rtt, self.spread = seconds, seconds / 4
        self._rtts += 1
        self.spread += (abs(seconds - self.rtt) - self.spread) / 8
        self.rtt += (seconds - self.rtt) / 8

    def resolved(self, packets: int, lost: int) -> None:
        """So many datagrams came or were lost; losses of a full queue say nothing of the loss between bursts."""
        if not packets or (lost and self.queue > _CONGESTED):
            return
        self._resolved += packets
        weight = packets / min(self._resolved + _PRIOR_WEIGHT, _LOSS_WEIGHT)
        self.loss = max(0.0, self.loss + (lost / packets - self.loss) * min(weight, 1.0))

    def was_only_late(self) -> None:
        """A datagram that was called lost was only late."""
        self.loss = max(0.0, self.loss - 1 / min(self._resolved + _PRIOR_WEIGHT, _LOSS_WEIGHT))

    def arrived(self, now: float, arrivals: Iterable[Arrival]) -> None:
        """Datagrams came, given in the order they left."""
        shortest = float("inf")
        for arrival in arrivals:
            shortest = min(shortest, arrival.came - arrival.sent)
            self._ride(now, arrival)
        if shortest == float("inf"):
            return
        self._heard_at = now
        self._look_at_queue(now, shortest)
        if self._train is not None and self._train.packets >= _ENOUGH_PACKETS and not self._blur:
            self._close(now, self._train)

    def _ride(self, now: float, arrival: Arrival) -> None:
        train = self._train
        if train is None or train.name != arrival.train:
            if train is not None and train.packets >= _ENOUGH_PACKETS - 1:
                self._close(now, train)
            sent, came = arrival.sent, arrival.came
            self._train = _Train(arrival.train, sent, came, sent, came, came)
            return
        sooner = (train.last_came - train.last_sent) - (arrival.came - arrival.sent)
        # a queue that fills makes every journey longer than the one before; only jitter makes it shorter
        self._jitter += (max(0.0, sooner) - self._jitter) / 64
        train.add(arrival)
        if train.packets >= _ENOUGH_PACKETS and train.last_came - train.first_came >= _SPAN + 8 * self._blur:
            self._close(now, train)

    def _close(self, now: float, train: _Train) -> None:
        self._train = train.next()
        sending, coming = train.last_sent - train.first_sent, train.batch - train.first_came
        size, blur = train.size, self._blur
        if train.batches == 1:
            size, sending, coming = train.together, 0.0, _ONE_GO
        full = train.batches > 1 and coming > sending * 1.08 + 0.0015 + blur
        rate = size * 8 / max(coming if full else max(sending, coming - blur), 0.002)
        if full or sending >= 2 * blur:
            self._sample(now, min(max(rate, LOWEST), HIGHEST), full)

    def _sample(self, now: float, rate: float, full: bool) -> None:
        samples = self._samples
        samples.append((now, rate, full))
        while len(samples) > 3 and now - samples[0][0] > _WINDOW:  # noqa: PLR2004 - few, but enough to compare
            samples.popleft()
        if not self.measured:
            self.measured = True
            self.rate = min(rate, _FIRST_TRAIN_AT_MOST) if full or rate > self.rate else self.rate
            self.searching = not full
            return
        if full:
            self.searching = False
        elif rate > 1.1 * self.rate:
            self.searching = True
        best = max(sample[1] for sample in samples)
        if rate > self.rate:
            self.rate = min(rate, self.rate * 1.5)
        elif best < self.rate and self.queue > _SOME and sum(sample[2] for sample in samples) >= 3:  # noqa: PLR2004 - one may be jitter
            self.rate = best
        self._lower_for_queue(now)

    def _lower_for_queue(self, now: float) -> None:
        if self.queue < _STANDING or self._standing_since is None or now - self._lowered_at < 0.1:  # noqa: PLR2004
            return
        last = [sample for sample in self._samples if sample[2]][-2:]
        if len(last) == 2 and max(sample[1] for sample in last) < 0.8 * self.rate:  # noqa: PLR2004 - the last two
            self.rate = max(sample[1] for sample in last)
            self._lowered_at = now
            self._samples.clear()
            self._samples.extend(last)
        elif now - self._standing_since > 0.15:  # noqa: PLR2004 - longer than a burst's own queue
            full = [sample[1] for sample in self._samples if sample[2]]
            if full:
                self.rate = min(self.rate, median(full))
                self._lowered_at = now

    def _look_at_queue(self, now: float, shortest: float) -> None:
        (_, older), (begun, newer) = self._bases
        if now - begun > _BASE_WINDOW:
            self._bases = [(begun, newer), (now, shortest)]
            older, newer = newer, shortest
        newer = min(newer, shortest)
        self._bases[1] = (self._bases[1][0], newer)
        self.queue += (max(0.0, shortest - min(older, newer) - self._blur) - self.queue) / 2
        self._recent.append((now, shortest))
        if self.queue < _STANDING:
            self._standing_since = None
        elif self._standing_since is None:
            self._standing_since = now
        elif now - self._standing_since > _NEW_PATH_AFTER:
            # it was being drained all the while: what is left is a longer path, not a queue
            base = min(delay for at, delay in self._recent if now - at < _NEW_PATH_AFTER / 3)
            self._bases = [(now, base), (now, base)]
            self._standing_since, self.queue = None, 0.0
