"""Pictures that look like pages, and followers of a composer: what each viewer shows, checked after every frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sandbox.screen import Picture, Rect, Size
from streaming.canvas import Canvas
from streaming.changes import TILE
from streaming.composer import Composer, blank
from streaming.control import Decision, Mode, Scene, decide
from streaming.ops import Flag, Frame, Op, pack_frame, parse_frame
from streaming.pacing import StreamSettings, Way
from streaming.protocol import Pictures

SETTINGS = StreamSettings()
NEAR = Way("socket", 0.0, 0.001)
FAR = Way("socket", 8e6, 0.08)
THIN = Way("datagrams", 6e5, 0.15)
UNKNOWN = Way("socket", 0.0, 0.2)
WAYS = (NEAR, FAR, THIN, UNKNOWN)


def decision(way: Way, scene: Scene = Scene.TEXT, settings: StreamSettings = SETTINGS) -> Decision:
    """What the controller says while a human drives."""
    return decide(Mode.DRIVE, scene, way, settings)


def document(width: int, height: int, seed: int) -> Picture:
    """A page of words, some coloured, some lines empty: shape (height, width, 4)."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default()
    for y in range(3, height, 14):
        if rng.random() < 0.15:
            continue
        for x in range(4, width, 52):
            colour = tuple(rng.integers(0, 200, 3).tolist()) if rng.random() < 0.1 else (34, 34, 34)
            draw.text((x, y), "".join(chr(c) for c in rng.integers(97, 123, 7)), fill=colour, font=font)
    page = np.zeros((height, width, 4), np.uint8)
    page[..., :3] = np.asarray(image)[:, :, ::-1]
    return page


def noise(width: int, height: int, seed: int) -> Picture:
    """Colours of chance: shape (height, width, 4)."""
    patch = np.zeros((height, width, 4), np.uint8)
    patch[..., :3] = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return patch


def film(width: int, height: int, at: int) -> Picture:
    """The picture number `at` of waves that go on and on: shape (height, width, 4)."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.zeros((height, width, 4), np.uint8)
    for channel in range(3):
        picture[..., channel] = (127 + 120 * np.sin((x + 7 * at) / (9 + channel) + y / 13)).astype(np.uint8)
    return picture


def rgb(picture: Picture, size: Size) -> NDArray[np.uint8]:
    """A picture as a canvas holds it."""
    return picture[: size.height, : size.width, 2::-1]


class Followers:
    """A composer, the picture it tells, and viewers that joined at different times. Time is in seconds, and given."""

    def __init__(self, kind: Pictures = Pictures.H264_444, size: Size = Size(322, 246), way: Way = NEAR) -> None:  # noqa: B008 - a frozen value
        self.size = size
        self.way = way
        self.now = 100.0
        self.picture = blank(size)
        self.picture[: size.height, : size.width] = document(size.width, size.height, 0)
        self.composer = Composer(kind, size)
        self.composer.adopt(self.picture, self.now)
        self.canvases: list[Canvas] = []
        self.ops: list[Op] = []
        """What the last step told."""
        self.cost = 0
        """Bytes of all frames since the last `spent`."""
        self.damage: list[Rect] = []
        self._number = 0
        self.join()

    @property
    def decision(self) -> Decision:
        """What the controller says now."""
        return decision(self.way, self.composer.scene(self.now))

    def _tell(self, ops: Sequence[Op], *, key: bool) -> None:
        if not ops:
            return
        self._number += 1
        flags = Flag.KEY if key else Flag(0)
        message = pack_frame(Frame(self._number, 0, tuple(ops), flags, self.size if key else None))
        frame = parse_frame(message)
        assert frame.ops == tuple(ops)
        if key:
            self.canvases.append(Canvas())
        else:
            self.cost += len(message)
        for canvas in self.canvases[-1:] if key else self.canvases:
            canvas.paint(frame)

    def join(self) -> None:
        """A viewer begins; the others see nothing of it."""
        self._tell(self.composer.join(self.decision), key=True)
        self.check()

    def paint(self, patch: Picture, x: int = 0, y: int = 0, *, told: bool = True) -> Rect:
        """Change the picture; `told` is whether its damage is known by the next step."""
        height, width = min(patch.shape[0], self.size.height - y), min(patch.shape[1], self.size.width - x)
        self.picture[y : y + height, x : x + width] = patch[:height, :width]
        rect = Rect(x, y, width, height)
        if told:
            self.damage.append(rect)
        return rect

    def step(self, after: float = 1 / 60) -> list[Op]:
        """Compose once, some time later; returns the operations."""
        self.now += after
        damage, self.damage = self.damage, []
        self.ops = self.composer.compose(self.picture, damage, self.decision, self.now)
        self._tell(self.ops, key=False)
        self.check()
        return self.ops

    def spent(self) -> int:
        """Return the bytes told since the last call."""
        cost, self.cost = self.cost, 0
        return cost

    def rest(self) -> None:
        """Go on until there is nothing more to tell: every viewer has the picture then, exactly."""
        self.step()
        for _ in range(2000):
            wait = self.composer.rests_in(self.decision, self.now)
            if wait is None:
                break
            self.step(wait + 1e-6)
        else:
            raise AssertionError(f"it never came to rest: {self.composer}")
        assert self.step(1.0) == []
        for canvas in self.canvases:
            assert np.array_equal(canvas.pixels, rgb(self.picture, self.size))

    def check(self) -> None:
        """Whatever is not known to be inexact is, in every viewer, what the composer takes it to be."""
        told = self.composer._before.view(np.uint8).reshape(*self.picture.shape)
        exact = ~self.composer._lossy.repeat(TILE, 0).repeat(TILE, 1)[: self.size.height, : self.size.width]
        for number, canvas in enumerate(self.canvases):
            wrong = (canvas.pixels != rgb(told, self.size)).any(axis=2) & exact
            assert not wrong.any(), f"viewer {number} differs at {np.argwhere(wrong)[0]} after {self.ops}"
