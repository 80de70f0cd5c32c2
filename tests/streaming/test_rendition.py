"""The masked rendition: what nobody but the holder may see is in no picture that others get."""

from __future__ import annotations

import asyncio

import numpy as np

from sandbox.screen import Rect, Size
from sandbox.words import NOBODY, Holder, OperatorId, Side
from streaming.canvas import Canvas
from streaming.composer import blank
from streaming.ops import Coding, Fill, Flag, Frame, Op, Video, parse_frame
from streaming.pacing import StreamSettings
from streaming.protocol import Pictures
from streaming.rendition import Rendition, Variant, cover
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
    """Whether the viewer sees grey, and nothing else, where the secret is."""
    assert viewer.shown is not None
    inside = slice(SECRET.y, SECRET.y + SECRET.height), slice(SECRET.x, SECRET.x + SECRET.width)
    return bool((viewer.shown[inside] == 0x80).all())


def clear(viewer: WireViewer) -> bool:
    """Whether the viewer sees the secret."""
    assert viewer.shown is not None
    return bool(np.abs(viewer.shown[SECRET.y + 16, SECRET.x + 32].astype(int) - GREEN).max() <= 6)


async def test_watchers_never_see_what_is_masked(painted: PaintedScreen, stage: Stage) -> None:
    """From the moment masks are set no watcher gets a picture with the secret; the holder sees it."""
    async with stage.viewer() as ann, stage.viewer("op_bob") as bob, stage.viewer("op_eve", ("h264",)) as eve:
        await until(lambda: ann.frames and bob.frames and eve.frames)
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
        await until(lambda: bob.all_shown)  # the watcher sees the page all the same
        await stage.rest()
        await asyncio.sleep(0.3)

        for picture in bob.all_shown:
            greens = np.abs(picture.astype(int) - GREEN).max(axis=2) < 40
            assert not greens.any()


async def test_a_mask_between_two_pictures_is_never_missed(painted: PaintedScreen, stage: Stage) -> None:
    """Masks that come and go at any moment, while the page paints all the time: no frame shows what they cover."""
    rng = np.random.default_rng(3)
    painted.set_masks([SECRET])
    painted.paint(SECRET, GREEN)
    async with stage.viewer(), stage.viewer("op_bob") as bob:
        await until(lambda: bob.shown is not None and grey(bob))
        bob.keep = True
        for step in range(40):
            # the secret moves: its new place is covered as soon as anybody knows of it, then the old one is let go
            spot = Rect(20 + 60 * (step % 4), 20 + 40 * (step % 3), 50, 30)
            painted.set_masks([SECRET, spot])
            painted.paint(spot, GREEN)
            painted.paint(Rect(0, 200, 320, 40), (step, step, step))
            await asyncio.sleep(float(rng.random()) * 0.02)
            painted.paint(spot, (255, 255, 255))
            painted.set_masks([SECRET])
            await asyncio.sleep(float(rng.random()) * 0.02)
        await until(lambda: bob.all_shown and grey(bob))
        await stage.rest()
        assert grey(bob)
        for picture in bob.all_shown:
            assert not (np.abs(picture.astype(int) - GREEN).max(axis=2) < 40).any()


async def test_masked_frames_say_so(painted: PaintedScreen, stage: Stage) -> None:
    """A watcher's frames are marked while there are masks, the holder's are not; each change begins anew."""
    painted.set_masks([SECRET])
    async with stage.viewer() as ann, stage.viewer("op_bob") as bob:
        await until(lambda: ann.frames and bob.frames)
        painted.set_masks([])
        await until(lambda: Flag.MASKED not in bob.frames[-1].flags)

        assert all(Flag.MASKED not in frame.flags for frame in ann.frames)
        keys = [Flag.MASKED in frame.flags for frame in bob.frames if Flag.KEY in frame.flags]
        assert keys == [True, False]


def test_masks_are_cut_to_the_picture() -> None:
    """A mask that reaches over the edges covers what lies inside and nothing else."""
    picture = np.full((360, 640, 4), 255, np.uint8)
    cover(picture, [Rect(-10, -10, 20, 20), Rect(630, 350, 100, 100), Rect(900, 10, 5, 5), Rect(10, -30, 5, 5)])

    assert (picture[:10, :10] == 0x80).all()
    assert (picture[350:, 630:] == 0x80).all()
    assert (picture[10:350] == 255).all()
    assert (picture[:10, 10:] == 255).all()


SCREEN = Size(320, 240)
DRIVEN = Variant(Pictures.JPEG, masked=True)


def test_new_masks_count_even_without_paint() -> None:
    """A picture that is told again under other masks is covered by those."""
    rendition, picture = Rendition(DRIVEN, SCREEN, StreamSettings()), blank(SCREEN)
    canvas = Canvas()
    for now, masks in ((1.0, (Rect(0, 0, 32, 32),)), (2.0, (Rect(64, 64, 32, 32),))):
        rendition.damage.all()
        rendition.want_join()
        for key, ops in rendition.compose(rendition.begin(now, masks), picture, now):
            if key:
                canvas.paint(Frame(1, 0, tuple(ops), Flag.KEY, SCREEN))
        shown = np.zeros((240, 320, 3), np.uint8)
        for mask in masks:
            shown[mask.y : mask.y + 32, mask.x : mask.x + 32] = 0x80
        assert np.array_equal(canvas.pixels, shown)


def test_joins_close_together_share_one_beginning() -> None:
    """Ten wishes within a tenth of a second are one key frame."""
    rendition, picture, keys = Rendition(DRIVEN, SCREEN, StreamSettings()), blank(SCREEN), 0
    for step in range(10):
        now = 1.0 + step * 0.02
        rendition.want_join()
        if rendition.due_in(now) == 0.0:
            keys += sum(key for key, _ in rendition.compose(rendition.begin(now, ()), picture, now))

    assert keys == 2


def test_a_closed_rendition_has_nothing_to_do() -> None:
    """While those who set the pace can take no picture nothing is due."""
    rendition = Rendition(DRIVEN, SCREEN, StreamSettings())
    rendition.open = False
    assert rendition.due_in(5.0) is None
    rendition.open = True
    assert rendition.due_in(5.0) == 0.0


def test_small_frames_are_quiet() -> None:
    """Little frames want no answer; large ones, beginnings and video do."""
    rendition = Rendition(DRIVEN, SCREEN, StreamSettings())
    fill = Fill(Rect(0, 0, 5, 5), (1, 2, 3))
    video = Video(0, Coding.JPEG, True, Rect(0, 0, 16, 16), b"x")

    def quiet(*ops: Op, key: bool = False) -> bool:
        cut = rendition.cut(ops, key=key, number=1, taken_us=0, generation=0)
        assert (Flag.QUIET in parse_frame(cut.data).flags) == cut.quiet
        return cut.quiet

    assert quiet(fill)
    assert not quiet(fill, key=True)
    assert not quiet(video)
    assert not quiet(*[fill] * 20)
