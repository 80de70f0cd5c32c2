"""One way the picture is told: a coding of what moves, clear or masked, at the common pace or a slower one.

It exists while a viewer needs it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

import numpy as np

from sandbox.screen import Picture, Rect, Size
from streaming.composer import Composer, blank
from streaming.control import Decision, Mode, Scene, decide
from streaming.damage import Damage
from streaming.ops import Flag, Frame, Op, Video, pack_frame
from streaming.pacing import Pace, StreamSettings, Way
from streaming.protocol import Pictures

_JOIN_SPACING_S: Final = 0.1
_JPEG_FPS: Final = 12.0
"""A JPEG costs several times an H.264 picture, and the encoder thread is everybody's."""
_QUIET_BYTES: Final = 128
_MASK_GREY: Final = 0x80


@dataclass(frozen=True, slots=True)
class Variant:
    """What tells renditions apart. `slow` ones are for viewers that cannot follow the one that drives."""

    kind: Pictures
    masked: bool
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """One frame of a rendition on its way to the viewers. A `key` one is for those that begin, and only for them."""

    variant: Variant
    data: bytes = field(repr=False)
    frame: int
    key: bool
    quiet: bool
    mask_generation: int


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to compose. `joins`: somebody begins with it."""

    damage: tuple[Rect, ...]
    joins: bool
    masks: tuple[Rect, ...]
    decision: Decision


def cover(picture: Picture, masks: Sequence[Rect]) -> None:
    """Fill `masks` with grey, in place; what lies outside the picture is cut off."""
    height, width = picture.shape[:2]
    for mask in masks:
        rows = slice(max(mask.y, 0), max(min(mask.y + mask.height, height), 0))
        columns = slice(max(mask.x, 0), max(min(mask.x + mask.width, width), 0))
        picture[rows, columns] = _MASK_GREY


class Rendition:
    """The encoder's side of one variant. Not thread-safe: the hub's lock guards everything but `compose`."""

    def __init__(self, variant: Variant, size: Size, settings: StreamSettings) -> None:
        self.variant = variant
        self.open = True
        """Whether a viewer that sets the pace can take another picture."""
        self.mode, self.way = Mode.WATCH, Way()
        self.damage = Damage(size)
        """What was painted that is not told yet."""
        self._size = size
        self._settings = settings
        self._composer = Composer(variant.kind, size)
        self._join_wanted = True
        self._begun = False
        self._last_join = float("-inf")
        self._pace = Pace(settings.watch_fps)
        self._covered: Picture | None = None
        self._times: deque[float] = deque(maxlen=60)
        self._scene = Scene.STILL

    def __repr__(self) -> str:
        return f"<Rendition {self.variant} {self._composer}>"

    @property
    def encode_ms(self) -> float:
        """Median milliseconds of the last pictures' composing; 0 before the first."""
        return median(self._times) * 1000 if self._times else 0.0

    @property
    def decision(self) -> Decision:
        """What the controller says about the next picture."""
        return decide(self.mode, self._scene, self.way, self._settings)

    def want_join(self) -> None:
        """Ask for a beginning for a viewer; requests close together share one."""
        self._join_wanted = True

    def due_in(self, now: float) -> float | None:
        """Return how soon there is something to tell, in seconds; None when there is not."""
        if not self.open:
            return None
        times = [self._composer.rests_in(self.decision, now)]
        if self.damage:
            times.append(0.0)
        if self._join_wanted:
            times.append(max(0.0, self._last_join + _JOIN_SPACING_S - now))
        known = [time for time in times if time is not None]
        return max(min(known), self._pace.delay(now)) if known else None

    def begin(self, now: float, masks: tuple[Rect, ...]) -> Job:
        """Take what is to be told now; the caller composes it without the lock and then calls `done`."""
        joins = self._join_wanted and now >= self._last_join + _JOIN_SPACING_S
        if joins:
            self._join_wanted = False
            self._last_join = now
        decision = self.decision
        self._pace.set_rate(min(decision.fps, _JPEG_FPS) if self._moves_in_jpeg else decision.fps)
        self._pace.took(now)
        return Job(self.damage.take(), joins, masks if self.variant.masked else (), decision)

    @property
    def _moves_in_jpeg(self) -> bool:
        return self.variant.kind is Pictures.JPEG and self._scene is Scene.FILM

    def compose(self, job: Job, picture: Picture, now: float) -> list[tuple[bool, list[Op]]]:
        """Tell the newest picture (encoder thread, without the lock): for each frame whether it is a beginning."""
        if self.variant.masked:
            picture = self._cover(job, picture)
        told: list[tuple[bool, list[Op]]] = []
        if self._begun:
            told.append((False, self._composer.compose(picture, job.damage, job.decision, now)))
        else:
            self._composer.adopt(picture, now)
        if job.joins:
            self._begun = True
            told.append((True, self._composer.join(job.decision)))
        self._scene = self._composer.scene(now)
        return [(key, ops) for key, ops in told if ops]

    def _cover(self, job: Job, picture: Picture) -> Picture:
        if self._covered is None:
            self._covered = blank(self._size)
        if job.damage or not self._begun:
            np.copyto(self._covered, picture)
            cover(self._covered, job.masks)
        return self._covered

    def done(self, took: float) -> None:
        """Something was composed, in `took` seconds."""
        self._times.append(took)

    def cut(self, ops: Sequence[Op], *, key: bool, number: int, taken_us: int, generation: int) -> Cut:
        """Pack one frame."""
        flags = (Flag.KEY if key else Flag(0)) | (Flag.MASKED if self.variant.masked else Flag(0))
        frame = Frame(number, taken_us, tuple(ops), flags, self._size if key else None)
        data = pack_frame(frame)
        quiet = not key and len(data) <= _QUIET_BYTES and not any(isinstance(op, Video) for op in ops)
        if quiet:
            # the acknowledgement would cost more than it tells
            data = pack_frame(replace(frame, flags=flags | Flag.QUIET))
        return Cut(self.variant, data, number, key, quiet, generation)
