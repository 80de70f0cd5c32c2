"""The controller: how pictures are made, decided from who drives, what moves and what the network bears.

Pure. The hub asks it before each picture; what it decided stands in the statistics panel and in the metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streaming.lossless import QUICK, SMALL
from streaming.pacing import StreamSettings, Way

FAR_RTT_S: Final = 0.03
THIN_RATE: Final = 2e6
NEAR_RATE: Final = 15e6
UNKNOWN_FAR_RATE: Final = 3e6
"""What a long way is taken to bear before it has been measured."""

_VIDEO_SHARE: Final = 0.72
"""Of the measured rate: repair packets, headers and exact pixels need the rest."""
_THIN_BURST: Final = THIN_RATE / 8 * 0.4
"""Where a thin way ends: a better one takes no less at once."""
_REFINE_S: Final = 0.12
_QUEUE_S: Final = 0.05
"""How much of the network's own queue may be filled, so that the next picture never waits long behind the last."""


class Mode(StrEnum):
    """Whom the pictures are for."""

    DRIVE = "drive"
    WATCH = "watch"


class Scene(StrEnum):
    """What the page does."""

    STILL = "still"
    TEXT = "text"
    SCROLL = "scroll"
    FILM = "film"


class Network(StrEnum):
    """What the way to the viewer is like."""

    NEAR = "near"
    FAR = "far"
    THIN = "thin"


@dataclass(frozen=True, slots=True)
class Decision:
    """How the next pictures are made."""

    mode: Mode
    scene: Scene
    network: Network
    way: Way
    fps: float
    """Pictures a second at most."""
    quality: float
    """x264's constant rate factor for what moves."""
    rate: float | None
    """Bits a second that video may take; None is no bound."""
    level: int
    """Deflate level of exact pixels."""
    burst: int
    """Bytes of exact pixels at once; what is larger is shown coarser first and made exact afterwards."""
    refill: float
    """Bytes of exact pixels a second, on average."""
    refine_after_s: float
    """How long a part must rest before it is made exact."""
    refine_bytes: int
    """How much of that goes into one message, so that the effect of an input never waits long behind it."""
    in_flight: int
    """Bytes that may be under way to the viewer that sets the pace."""
    frames: int
    """Pictures that may be under way to it."""

    def to_wire(self) -> dict[str, str | float]:
        """Return what the statistics panel shows."""
        return {
            "mode": self.mode.value, "scene": self.scene.value, "network": self.network.value, "fps": self.fps,
            "quality": self.quality, "rate_kbps": round(self.way.rate / 1000), "way": self.way.kind,
        }  # fmt: skip


def network_of(way: Way) -> Network:
    """Return what a way is like: an unknown rate is judged by the round trip alone."""
    if way.rate and way.rate < THIN_RATE:
        return Network.THIN
    if way.rtt < FAR_RTT_S and (not way.rate or way.rate >= NEAR_RATE):
        return Network.NEAR
    return Network.FAR


def decide(mode: Mode, scene: Scene, way: Way, settings: StreamSettings) -> Decision:
    """Return how to make the next pictures."""
    network = network_of(way)
    if network is Network.NEAR:
        return Decision(
            mode, scene, network, way, fps=_fps(mode, network, scene, settings), quality=settings.quality, rate=None,
            level=QUICK, burst=settings.burst, refill=settings.burst * 2.0, refine_after_s=_REFINE_S,
            refine_bytes=settings.burst, in_flight=4 * settings.burst, frames=settings.window,
        )  # fmt: skip
    rate = way.rate or UNKNOWN_FAR_RATE
    a_second = rate / 8
    return Decision(
        mode, scene, network, way, fps=_fps(mode, network, scene, settings),
        quality=settings.quality + (8 if network is Network.THIN else 4), rate=rate * _VIDEO_SHARE,
        level=SMALL, burst=int(min(settings.burst, max(a_second * 0.25, min(a_second * 0.4, _THIN_BURST)))),
        refill=a_second * 0.8, refine_after_s=_REFINE_S, refine_bytes=int(max(3000.0, a_second * 0.05)),
        in_flight=int(max(12_000.0, a_second * (way.rtt + _QUEUE_S))),
        frames=settings.window + int((way.rtt + _QUEUE_S) * settings.fps),
    )  # fmt: skip


def _fps(mode: Mode, network: Network, scene: Scene, settings: StreamSettings) -> float:
    if mode is not Mode.DRIVE:
        return settings.watch_fps / (2 if network is Network.THIN else 1)
    # thirty whole pictures a second look better than sixty starved ones
    return settings.fps / 2 if network is Network.THIN and scene in {Scene.FILM, Scene.SCROLL} else settings.fps
