"""The rectangle that moves: it appears when exact pixels would cost too much, and goes when it has come to rest.

Its first pictures are a *glimpse* (sharp edges, quick to make): mostly a page has just changed, and is made exact a
moment later. What goes on moving is a film: it gets an encoder that suits one, on just the part that moves.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sandbox.screen import Picture, Rect
from streaming.changes import TILE, Pixels32, Tiles, mark, no_tiles, padded, tile_rect
from streaming.control import Decision
from streaming.ops import Video
from streaming.protocol import Pictures
from streaming.video import ENCODER_FPS, FILM, GLIMPSE, VideoEncoder, make_encoder

_STREAMS: Final = 4
_GLIMPSES: Final = 3
_LATELY_S: Final = 0.5
_TOO_LARGE: Final = 2
"""A film whose rectangle is so many times what has moved lately gets a smaller one, after `_PATIENCE` pictures."""
_PATIENCE: Final = 15
_LITTLE: Final = 0.05
"""Share of the rectangle; less than this is a caret or a letter, not motion."""


class Moving:
    """The moving rectangle of one rendition, if there is one."""

    def __init__(self, kind: Pictures, width: int, height: int) -> None:
        self._kind = kind
        self._width = width
        self._height = height
        self._encoder: VideoEncoder | None = None
        self._rect = Rect(0, 0, 0, 0)
        self._stream = 0
        self._pictures = 0
        self._film = False
        self._seen: Tiles = np.zeros((0, 0), np.bool_)
        self._moved_at = np.full((padded(height) // TILE, padded(width) // TILE), float("-inf"))
        self._last = 0.0
        self.tiles: Tiles | None = None
        """The tiles of the rectangle; None when nothing moves."""

    def __repr__(self) -> str:
        return f"<Moving {self._rect if self.tiles is not None else 'nothing'} pictures={self._pictures}>"

    @property
    def film(self) -> bool:
        """Whether something has moved for longer than a page takes to change."""
        return self.tiles is not None and self._film

    @property
    def last(self) -> float:
        """When it last moved."""
        return self._last

    def takes(self, changed: Tiles) -> Tiles | None:
        """Return which of the changed tiles belong to the rectangle, or None when those are too few to be motion."""
        if self.tiles is None:
            return None
        mine = changed & self.tiles
        return mine if int(mine.sum()) > max(1, int(self.tiles.sum()) * _LITTLE) else None

    def open(self, pixels: Pixels32, changed: Tiles, decision: Decision, now: float) -> None:
        """Begin a rectangle around `changed` and what has moved lately, unless the present one holds all of it."""
        if self.tiles is None or (changed & ~self.tiles).any():
            film = self.tiles is not None and self._film
            tiles = changed if self.tiles is None else changed | (self.tiles & self._lately(now))
            self._begin(pixels, tiles, decision, film)
        self._last = now

    def _lately(self, now: float) -> Tiles:
        lately: Tiles = self._moved_at > now - _LATELY_S
        return lately

    def _too_large(self, now: float) -> bool:
        if self.tiles is None or not self._film or self._pictures < _PATIENCE:
            return False
        box = tile_rect(self._lately(now) & self.tiles)
        return box is not None and box.width * box.height * _TOO_LARGE < self._rect.width * self._rect.height

    def _begin(self, pixels: Pixels32, tiles: Tiles, decision: Decision, film: bool) -> None:
        box = tile_rect(tiles) or Rect(0, 0, self._width, self._height)
        self._rect = Rect(box.x, box.y, min(box.width, self._width - box.x), min(box.height, self._height - box.y))
        self.tiles = no_tiles(pixels)
        mark(self.tiles, self._rect)
        self._stream = (self._stream + 1) % _STREAMS
        setting = FILM if film else GLIMPSE
        quality = decision.quality + (0 if film else 2)
        self._encoder = make_encoder(self._kind, self._rect, setting, quality, _bound(decision))
        self._film = film
        self._pictures = 0
        self._seen = no_tiles(pixels)

    def picture(self, picture: Picture, pixels: Pixels32, changed: Tiles, decision: Decision, now: float) -> Video:
        """Encode the rectangle; there must be one."""
        self._moved_at[changed] = now
        if self._pictures:
            self._seen |= changed
        if not self._film and self._pictures >= _GLIMPSES:
            self._begin(pixels, self._seen, decision, film=True)
        elif self.tiles is not None and self._too_large(now):
            self._begin(pixels, self._lately(now) & self.tiles, decision, film=True)
        if self._encoder is None:
            raise AssertionError("nothing moves")
        self._encoder.cap(_bound(decision))
        data, key = self._encoder.encode(picture, key=self._pictures == 0)
        self._pictures += 1
        self._last = now
        return Video(self._stream, self._encoder.coding, key, self._rect, data)

    def close(self) -> None:
        """It has come to rest, or a new viewer needs a beginning."""
        self._encoder = None
        self.tiles = None
        self._film = False

    def glimpse(self, picture: Picture, decision: Decision) -> Video:
        """Encode the whole picture once, on its own, for a viewer that has just come."""
        rect = Rect(0, 0, self._width, self._height)
        encoder = make_encoder(self._kind, rect, GLIMPSE, decision.quality + 2, _bound(decision))
        self._stream = (self._stream + 1) % _STREAMS
        data, key = encoder.encode(picture, key=True)
        return Video(self._stream, encoder.coding, key, rect, data)


def _bound(decision: Decision) -> float | None:
    """Return the rate for an encoder that takes every picture for a sixtieth of a second."""
    return decision.rate and decision.rate * ENCODER_FPS / max(1.0, decision.fps)
