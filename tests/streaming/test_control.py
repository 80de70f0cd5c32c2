"""How pictures are made, decided from who drives, what moves and what the network bears."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streaming.control import NEAR_RATE, THIN_RATE, Decision, Mode, Network, Scene, decide
from streaming.lossless import QUICK, SMALL
from streaming.pacing import StreamSettings, Way

SETTINGS = StreamSettings()

RATES = st.floats(1e4, 1e9)
RTTS = st.floats(0, 2)


def way(rate: float, rtt: float) -> Way:
    """Bits a second, milliseconds."""
    return Way("datagrams", rate, rtt / 1000)


SITUATIONS = [
    # way, mode, scene, network, pictures a second, whether video is bounded
    (way(0, 0), Mode.DRIVE, Scene.TEXT, Network.NEAR, 60, False),
    (way(0, 29), Mode.DRIVE, Scene.FILM, Network.NEAR, 60, False),
    (way(0, 31), Mode.DRIVE, Scene.TEXT, Network.FAR, 60, True),
    (way(0, 300), Mode.WATCH, Scene.TEXT, Network.FAR, 15, True),
    (way(100e6, 1), Mode.DRIVE, Scene.FILM, Network.NEAR, 60, False),
    (way(100e6, 1), Mode.WATCH, Scene.FILM, Network.NEAR, 15, False),
    (way(100e6, 150), Mode.DRIVE, Scene.FILM, Network.FAR, 60, True),
    (way(10e6, 5), Mode.DRIVE, Scene.SCROLL, Network.FAR, 60, True),
    (way(1e6, 5), Mode.DRIVE, Scene.TEXT, Network.THIN, 60, True),
    (way(1e6, 5), Mode.DRIVE, Scene.FILM, Network.THIN, 30, True),
    (way(1e6, 200), Mode.DRIVE, Scene.SCROLL, Network.THIN, 30, True),
    (way(1e6, 200), Mode.WATCH, Scene.FILM, Network.THIN, 7.5, True),
]


@pytest.mark.parametrize(("at", "mode", "scene", "network", "fps", "bounded"), SITUATIONS)
def test_situations(at: Way, mode: Mode, scene: Scene, network: Network, fps: float, bounded: bool) -> None:
    """Near ways are unbounded; far and thin ones get no more than they bear; watchers get fewer pictures."""
    made = decide(mode, scene, at, SETTINGS)

    assert (made.mode, made.scene, made.network, made.way, made.fps) == (mode, scene, network, at, fps)
    assert (made.rate is not None) == bounded
    assert made.level == (SMALL if bounded else QUICK)
    assert made.quality == SETTINGS.quality + {Network.NEAR: 0, Network.FAR: 4, Network.THIN: 8}[network]
    if made.rate is not None and at.rate:
        assert made.rate < at.rate
        assert made.refill * 8 < at.rate
        assert made.in_flight * 8 / at.rate <= max(at.rtt + 0.05, 12_000 * 8 / at.rate) + 0.001


def _bounds(made: Decision) -> tuple[float, float, float, float, float]:
    return made.burst, made.rate or float("inf"), made.in_flight, made.refine_bytes, made.fps


@given(st.sampled_from(list(Mode)), st.sampled_from(list(Scene)), RTTS, RATES, RATES)
@example(Mode.DRIVE, Scene.TEXT, 0.1, THIN_RATE - 1, THIN_RATE)
@example(Mode.DRIVE, Scene.TEXT, 0.001, NEAR_RATE - 1, NEAR_RATE)
def test_a_lower_rate_never_allows_more(mode: Mode, scene: Scene, rtt: float, one: float, other: float) -> None:
    """Burst, video rate, bytes under way, refinement and pictures a second only fall when the rate falls."""
    low, high = sorted((one, other))
    less, more = (decide(mode, scene, Way("socket", rate, rtt), SETTINGS) for rate in (low, high))

    assert all(a <= b for a, b in zip(_bounds(less), _bounds(more), strict=True)), (less, more)


@given(st.sampled_from(list(Mode)), st.sampled_from(list(Scene)), RTTS, st.one_of(st.just(0.0), RATES))
def test_every_decision_can_be_followed(mode: Mode, scene: Scene, rtt: float, rate: float) -> None:
    """No bound is nothing, whatever was measured, and the panel can show it."""
    made = decide(mode, scene, Way("socket", rate, rtt), SETTINGS)

    assert min(_bounds(made)) > 0
    assert made.refill > 0
    assert made.frames >= SETTINGS.window
    assert made.refine_after_s > 0
    shown = json.loads(json.dumps(made.to_wire()))
    assert shown.keys() == {"mode", "scene", "network", "fps", "quality", "rate_kbps", "way"}
    assert shown["rate_kbps"] == round(rate / 1000)
