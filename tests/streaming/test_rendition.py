"""The masked rendition: what nobody but the holder may see is in no picture that others get."""

from __future__ import annotations

import asyncio

import numpy as np

from sandbox.screen import Rect
from sandbox.words import NOBODY, Holder, OperatorId, Side
from streaming.testing import PaintedScreen, Stage, WireViewer, until

BOB = Holder(Side.OPERATOR, OperatorId("op_bob"), "Bob")
SECRET = Rect(100, 80, 64, 32)
GREEN = (0, 200, 0)


def secret_seen(viewer: WireViewer) -> list[int]:
    """Numbers of the pictures in which the secret colour shows inside the mask."""
    inside = (slice(SECRET.y + 2, SECRET.y + SECRET.height - 2), slice(SECRET.x + 2, SECRET.x + SECRET.width - 2))
    return [
        number
        for number, picture in enumerate(viewer.all_shown)
        if (np.abs(picture[inside].astype(int) - GREEN).max(axis=2) < 40).any()
    ]


def grey(viewer: WireViewer) -> bool:
    """Whether the viewer sees grey where the secret is."""
    assert viewer.shown is not None
    pixel = viewer.shown[SECRET.y + 16, SECRET.x + 32].astype(int)
    return bool(np.abs(pixel - 0x80).max() <= 6)


def clear(viewer: WireViewer) -> bool:
    """Whether the viewer sees the secret."""
    assert viewer.shown is not None
    return bool(np.abs(viewer.shown[SECRET.y + 16, SECRET.x + 32].astype(int) - GREEN).max() <= 6)


async def test_watchers_never_see_what_is_masked(painted: PaintedScreen, stage: Stage) -> None:
    """From the moment masks are set no watcher gets a picture with the secret; the holder sees it."""
    async with stage.viewer() as ann, stage.viewer("op_bob") as bob, stage.viewer("op_eve", ("h264",)) as eve:
        await until(lambda: ann.pictures and bob.pictures and eve.pictures)
        bob.keep = eve.keep = True
        painted.set_masks([SECRET])
        painted.paint(SECRET, GREEN)
        for step in range(10):
            painted.paint(Rect(step * 20, 200, 20, 20), (step * 20, 0, 0))
            await asyncio.sleep(0.03)
        await until(lambda: clear(ann) and grey(bob) and grey(eve))

        assert stage.hub.statistics().renditions == 3
        assert secret_seen(bob) == []
        assert secret_seen(eve) == []
        assert bob.heard("stream")[-1]["masked"] is True
        assert ann.heard("stream")[-1]["masked"] is False

        painted.paint(SECRET, (255, 255, 255))
        painted.set_masks([])
        await until(lambda: not grey(bob) and not grey(eve))
        assert secret_seen(bob) == []
        assert secret_seen(eve) == []
        await until(lambda: stage.hub.statistics().renditions == 2)


async def test_the_former_holder_is_masked_at_once(painted: PaintedScreen, stage: Stage) -> None:
    """When control passes on, the one who lost it sees the mask and the one who got it the picture."""
    painted.set_masks([SECRET])
    painted.paint(SECRET, GREEN)
    async with stage.viewer() as ann, stage.viewer("op_bob") as bob:
        await until(lambda: ann.shown is not None and clear(ann) and bob.shown is not None and grey(bob))
        painted.set_control(BOB, 2)
        ann.keep = True
        await until(lambda: clear(bob) and grey(ann))

        painted.set_control(NOBODY, 3)
        bob.keep = True
        await until(lambda: grey(bob))
        await stage.rest()
        # one clear picture may have been on the wire already when control passed
        assert len(secret_seen(ann)) <= 1
        assert len(secret_seen(bob)) <= 1


async def test_a_moving_mask_never_lags_behind(painted: PaintedScreen, stage: Stage) -> None:
    """While the secret and its mask move about, each mask told just after its paint, no watcher sees the secret."""
    painted.set_masks([SECRET])
    painted.paint(SECRET, GREEN)
    async with stage.viewer(), stage.viewer("op_bob") as bob:
        await until(lambda: bob.shown is not None and grey(bob))
        bob.keep = True
        for step in range(12):
            spot = Rect(20 + step * 10, 20 + step * 10, 64, 32)
            painted.paint(spot, GREEN)
            await asyncio.sleep(0.03)
            painted.set_masks([SECRET, *(Rect(20 + n * 10, 20 + n * 10, 64, 32) for n in range(step + 1))])
        await asyncio.sleep(0.3)

        for picture in bob.all_shown:
            greens = np.abs(picture.astype(int) - GREEN).max(axis=2) < 40
            assert not greens.any()
        assert bob.all_shown, "the watcher must see the page all the same"
