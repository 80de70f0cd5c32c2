"""One way the picture is encoded: a kind of coding, clear or masked. It exists while a viewer needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import numpy as np

from sandbox.screen import Picture, Rect, Size
from streaming.encode import Encoded, Encoder, Rows, cover
from streaming.pacing import Settling
from streaming.protocol import Pictures

_KEY_SPACING_S: Final = 0.1
_JPEG_SPACING_S: Final = 0.08
"""A JPEG costs several times an H.264 picture, and the encoder thread is everybody's."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What tells renditions apart."""

    kind: Pictures
    masked: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """One encoded picture of a rendition on its way to the viewers."""

    variant: Variant
    encoded: Encoded = field(repr=False)
    frame: int
    taken_us: int
    mask_generation: int


class Rendition:
    """The encoder's side of one variant. Not thread-safe: the hub's lock guards everything but `encode`."""

    def __init__(self, variant: Variant, size: Size, make: Callable[[], Encoder]) -> None:
        self.variant = variant
        self.open = True
        """Whether a viewer that sets the pace can take another picture."""
        self._size = size
        self._make = make
        self._encoder: Encoder | None = None
        self._dirty: Rows | None = (0, size.height)
        self._settling = Settling()
        self._key_wanted = True
        self._last_key = self._last = float("-inf")
        self._spacing = _JPEG_SPACING_S if variant.kind is Pictures.JPEG else 0.0
        self._covered: Picture | None = None
        self._times: deque[float] = deque(maxlen=60)
        self.frames = 0

    def __repr__(self) -> str:
        return f"<Rendition {self.variant.kind}{' masked' if self.variant.masked else ''} frames={self.frames}>"

    @property
    def encode_ms(self) -> float:
        """Median milliseconds of the last pictures' conversion and encoding; 0 before the first."""
        return median(self._times) * 1000 if self._times else 0.0

    def damage(self, rects: Sequence[Rect]) -> None:
        """Remember what was painted."""
        for rect in rects:
            top, bottom = max(0, rect.y), min(self._size.height, rect.y + rect.height)
            if bottom > top:
                self._dirty = (top, bottom) if self._dirty is None else _join(self._dirty, (top, bottom))

    def damage_all(self) -> None:
        """Everything may look different (masks moved, or the picture was not followed for a while)."""
        self._dirty = (0, self._size.height)

    def want_key(self, wanted: bool = True) -> None:
        """Ask for a key frame, or take the wish back; requests close together share one."""
        self._key_wanted = wanted

    @property
    def fresh(self) -> bool:
        """Whether something was painted that is not encoded yet."""
        return self._dirty is not None

    def due_in(self, now: float) -> float | None:
        """Return how soon there is something to encode, in seconds; None when there is not."""
        if not self.open:
            return None
        if self._dirty is not None or not self._settling.resting:
            return max(0.0, self._last + self._spacing - now)
        return self._key_delay(now) if self._key_wanted else None

    def _key_delay(self, now: float) -> float:
        return max(0.0, self._last_key + _KEY_SPACING_S - now)

    def begin(self, now: float, masks: tuple[Rect, ...]) -> Job:
        """Take what is to be encoded now; the caller encodes it without the lock and then calls `done`."""
        key = self._key_wanted and self._key_delay(now) == 0.0
        rows, self._dirty = self._dirty, None
        self._last = now
        if key:
            self._key_wanted = False
            self._last_key = now
        if rows is not None or key:
            self._settling.changed()
        return Job(rows, key, masks if self.variant.masked else ())

    def encode(self, job: Job, picture: Picture) -> Encoded:
        """Encode the newest picture (encoder thread, without the lock)."""
        if self._encoder is None:
            self._encoder = self._make()
        if self.variant.masked:
            picture = self._cover(job, picture)
        return self._encoder.encode(picture, job.rows, key=job.key, still=job.repeats)

    def _cover(self, job: Job, picture: Picture) -> Picture:
        if self._covered is None:
            self._covered = np.empty_like(picture)
        if job.rows is not None:
            np.copyto(self._covered, picture)
            cover(self._covered, job.masks)
        return self._covered

    def done(self, job: Job, encoded: Encoded, took: float) -> None:
        """A job was encoded in `took` seconds."""
        self.frames += 1
        self._times.append(took)
        if job.repeats:
            self._settling.repeated(len(encoded.data) if self.variant.kind is not Pictures.JPEG else 0)


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to encode."""

    rows: Rows | None
    key: bool
    masks: tuple[Rect, ...]

    @property
    def repeats(self) -> bool:
        """Whether it only makes the same picture sharper."""
        return self.rows is None and not self.key


def _join(one: Rows, other: Rows) -> Rows:
    return min(one[0], other[0]), max(one[1], other[1])
