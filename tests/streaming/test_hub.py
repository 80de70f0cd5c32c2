"""One hub, its viewers and its encoder, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import AsyncExitStack

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from sandbox.screen import Cursor, Picture, PointerMove, Prompt, PromptKind, Rect, ReleaseAll, Size, Tab
from sandbox.words import NOBODY, THE_AGENT, Holder, OperatorId, Side
from streaming.ops import Coding, Flag, Video
from streaming.pacing import StreamSettings
from streaming.testing import PaintedScreen, Stage, WireViewer, staged, until
from tests.streaming.pages import document, film, noise, rgb

ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
BOB = Holder(Side.OPERATOR, OperatorId("op_bob"), "Bob")
RED = (200, 30, 40)
WINDOW = StreamSettings().window
SPOT = Rect(100, 80, 40, 30)


def paint_words(screen: PaintedScreen, rng: np.random.Generator) -> None:
    """Paint something that is hard to encode somewhere."""
    x, y = int(rng.integers(0, 200)), int(rng.integers(0, 150))
    width, height = int(rng.integers(10, 120)), int(rng.integers(10, 90))
    patch = (rng.random((height, width, 1)) > 0.8) * np.full((1, 1, 4), 255, np.uint8)
    screen.paint_picture(np.ascontiguousarray(255 - patch).astype(np.uint8), x, y)


def paint_loudly(screen: PaintedScreen, colour: tuple[int, int, int], seed: int = 0) -> None:
    """Paint a colour in the middle of `SPOT`, and around it so much that the frame wants an answer."""
    patch = noise(SPOT.width, SPOT.height, seed)
    patch[8:-8, 8:-8] = (*colour[::-1], 0)
    screen.paint_picture(patch, SPOT.x, SPOT.y)


def shows(viewer: WireViewer, colour: tuple[int, int, int], at: Rect = SPOT) -> bool:
    """Whether the viewer sees `colour` in the middle of `at`."""
    if viewer.shown is None:
        return False
    pixel = viewer.shown[at.y + at.height // 2, at.x + at.width // 2].astype(int)
    return bool(np.abs(pixel - colour).max() <= 4)


def exact(viewer: WireViewer, screen: PaintedScreen) -> bool:
    """Whether the viewer shows what is painted, to the last bit."""
    return viewer.shown is not None and np.array_equal(viewer.shown, rgb(screen.picture, screen.size))


async def test_a_viewer_is_told_everything_and_sees_the_picture(painted: PaintedScreen, stage: Stage) -> None:
    """Size, control, pointer and tabs come first, then the picture that is there."""
    painted.paint(SPOT, RED)
    painted.set_cursor(Cursor(b"png", 3, 4))
    painted.set_tabs([Tab("t1", "https://a.example/", "A", active=True)])

    async with stage.viewer() as ann:
        await until(lambda: shows(ann, RED))

        assert [said["t"] for said in ann.said[:5]] == ["hello", "control", "cursor", "tabs", "prompts"]
        assert ann.said[0] | {"viewer": ""} == {
            "t": "hello",
            "sandbox": "sb_test",
            "viewer": "",
            "width": 320,
            "height": 240,
        }
        assert ann.heard("control")[0]["mine"] is True
        assert ann.heard("cursor")[0] == {"t": "cursor", "png": "cG5n", "x": 3, "y": 4}
        assert ann.heard("stream") == [{"t": "stream", "kind": "h264-444", "masked": False}]


async def test_no_picture_when_nothing_changes(painted: PaintedScreen, stage: Stage) -> None:
    """A picture at rest is neither grabbed nor encoded nor sent again."""
    async with stage.viewer() as ann:
        await stage.rest()
        before = stage.hub.statistics()
        await asyncio.sleep(1.2)

        assert stage.hub.statistics().encoded == before.encoded
        assert stage.hub.statistics().grabs == before.grabs
        assert len(ann.frames) == before.encoded


async def test_nobody_watching_encodes_nothing(painted: PaintedScreen, stage: Stage) -> None:
    """Without viewers, and with viewers that hide, the encoder stands still; a viewer that shows again sees all."""
    painted.paint(SPOT, RED)
    await asyncio.sleep(0.1)
    assert stage.hub.statistics().encoded == 0

    async with stage.viewer() as ann:
        await stage.rest()
        await ann.say(t="visible", on=False)
        await until(lambda: stage.hub.statistics().renditions == 0)
        encoded = stage.hub.statistics().encoded
        painted.paint(SPOT, (0, 0, 255))
        await asyncio.sleep(0.2)
        assert stage.hub.statistics().encoded == encoded

        await ann.say(t="visible", on=True)
        await until(lambda: shows(ann, (0, 0, 255)))


async def test_ten_viewers_cost_one_encoder(painted: PaintedScreen, stage: Stage) -> None:
    """Ten viewers get the same frames, each composed once."""
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(stage.viewer(f"op_{n}")) for n in range(10)]
        await until(lambda: all(viewer.frames for viewer in viewers))
        await stage.rest()
        encoded = stage.hub.statistics().encoded
        for step in range(5):
            painted.paint(Rect(step * 40, 10, 30, 30), RED)
            await asyncio.sleep(0.1)
        await stage.rest()
        new = stage.hub.statistics().encoded - encoded

        assert stage.hub.statistics().renditions == 1
        assert 5 <= new <= 20
        await until(lambda: len({viewer.frames[-1].number for viewer in viewers}) == 1)
        assert all(exact(viewer, painted) for viewer in viewers)


async def test_a_late_viewer_sees_the_picture_at_once(painted: PaintedScreen, stage: Stage) -> None:
    """Joining a picture at rest shows it within a moment, and the others go on."""
    async with stage.viewer() as ann:
        painted.paint(SPOT, RED)
        await until(lambda: shows(ann, RED))
        await stage.rest()
        began = asyncio.get_running_loop().time()
        async with stage.viewer("op_late") as late:
            await until(lambda: shows(late, RED))

            assert asyncio.get_running_loop().time() - began < 1.0
            assert Flag.KEY in late.frames[0].flags
        painted.paint(SPOT, (0, 0, 255))
        await until(lambda: shows(ann, (0, 0, 255)))


async def test_the_last_state_always_arrives(painted: PaintedScreen, stage: Stage) -> None:
    """After bursts of random paint the picture at rest is the painted one, exactly, in every round."""
    rng = np.random.default_rng(7)
    async with stage.viewer() as ann:
        for _ in range(12):
            for _ in range(int(rng.integers(1, 25))):
                paint_words(painted, rng)
                await asyncio.sleep(float(rng.random()) * 0.006)
            await until(lambda: exact(ann, painted), 1)
        await stage.rest()
        assert exact(ann, painted)


async def test_paint_during_the_grab_is_not_lost(
    painted: PaintedScreen, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is painted while the picture is being taken is in the next one."""
    grab, late = painted.grab, [(10 * n, 255 - 20 * n, 0) for n in range(1, 6)]

    def slow_grab(out: Picture, rects: Sequence[Rect] | None = None) -> None:
        grab(out, rects)
        if late:
            painted.paint(SPOT, late.pop())

    monkeypatch.setattr(painted, "grab", slow_grab)
    async with stage.viewer() as ann:
        await until(lambda: not late and shows(ann, (10, 235, 0)))


async def test_a_slow_watcher_gets_a_pace_of_its_own(painted: PaintedScreen, stage: Stage) -> None:
    """A watcher that answers nothing moves aside, begins anew there and waits; the one who drives notices nothing."""
    async with stage.viewer() as ann, stage.viewer("op_slow", acknowledge=False) as slow:
        await until(lambda: ann.frames and slow.frames)
        step, began = 0, asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < 1.2:
            step += 1
            paint_loudly(painted, (step % 250, 0, 9), step)
            await until(lambda step=step: shows(ann, (step % 250, 0, 9)))  # type: ignore[misc]
        assert stage.hub.statistics().renditions == 2
        assert sum(Flag.KEY in frame.flags for frame in ann.frames) == 1
        await until(lambda: sum(Flag.KEY in frame.flags for frame in slow.frames) == 2)
        behind = len(slow.frames)
        for step in range(20):
            paint_loudly(painted, (step, 0, 99), step)
            await until(lambda step=step: shows(ann, (step, 0, 99)))  # type: ignore[misc]
        assert len(slow.frames) <= behind + 5

        slow.acknowledge = True
        await slow.say(t="ack", f=slow.frames[-1].number)
        await until(lambda: exact(slow, painted))


async def test_a_watcher_that_gets_control_comes_back(painted: PaintedScreen, stage: Stage) -> None:
    """Whoever drives gets the common pictures, however slow it was as a watcher."""
    async with stage.viewer() as ann, stage.viewer("op_bob", acknowledge=False) as bob:
        await until(lambda: ann.frames and bob.frames)
        for step in range(30):
            paint_loudly(painted, (step, 0, 0), step)
            await asyncio.sleep(0.03)
        await until(lambda: stage.hub.statistics().renditions == 2)
        bob.acknowledge = True
        painted.set_control(BOB, 2)
        await until(lambda: stage.hub.statistics().renditions == 1)
        await until(lambda: exact(bob, painted))


async def test_a_slow_holder_sets_the_pace(painted: PaintedScreen, stage: Stage) -> None:
    """While the holder's window is full nothing is composed; then the newest picture is, and none between."""
    async with stage.viewer(acknowledge=False) as ann:
        for step in range(20):
            paint_loudly(painted, (step, 100, 0), step)
            await asyncio.sleep(0.03)
        assert len(ann.frames) == WINDOW
        assert stage.hub.statistics().encoded == WINDOW

        ann.acknowledge = True
        await ann.say(t="ack", f=ann.frames[-1].number)
        await until(lambda: shows(ann, (19, 100, 0)))
        assert stage.hub.statistics().encoded <= WINDOW + 3


async def test_small_frames_wait_for_no_answer(painted: PaintedScreen, stage: Stage) -> None:
    """A caret goes on blinking for a holder whose answers take long: such frames are quiet and fill no window."""
    async with stage.viewer(acknowledge=False) as ann:
        await until(lambda: ann.frames)
        for step in range(8):
            painted.paint(SPOT, (step * 20, 100, 0))
            await until(lambda step=step: shows(ann, (step * 20, 100, 0)))  # type: ignore[misc]
        assert all(Flag.QUIET in frame.flags for frame in ann.frames[1:])
        assert stage.hub.statistics().viewers[0].queue == 1


async def test_a_holder_that_hangs_does_not_stop_the_watchers(painted: PaintedScreen, stage: Stage) -> None:
    """After a second without an answer from the holder's console the others go on."""
    async with stage.viewer(acknowledge=False) as ann, stage.viewer("op_bob") as bob:
        await until(lambda: ann.frames and bob.frames)
        for step in range(30):
            paint_loudly(painted, (step * 8, 0, 100), step)
            await asyncio.sleep(0.05)

        await until(lambda: shows(bob, (232, 0, 100)))


async def test_each_kind_of_viewer_gets_what_it_can_show(painted: PaintedScreen, stage: Stage) -> None:
    """4:4:4, 4:2:0 and JPEG viewers watch side by side, one rendition each, gone when the last of them leaves."""
    painted.paint(SPOT, RED)
    async with stage.viewer() as full:
        async with stage.viewer(pictures=("h264", "jpeg")) as plain, stage.viewer(pictures=("jpeg",)) as images:
            await until(lambda: shows(full, RED) and shows(plain, RED) and shows(images, RED))
            assert plain.heard("stream")[0] == {"t": "stream", "kind": "h264", "masked": False}
            assert images.heard("stream")[0] == {"t": "stream", "kind": "jpeg", "masked": False}
            assert stage.hub.statistics().renditions == 3
            await full.say(t="ping", c=1)
            await until(lambda: full.heard("pong"))
            assert full.heard("pong")[0]["decision"]["mode"] == "drive"
            assert full.heard("pong")[0]["decision"]["network"] == "near"
        await until(lambda: stage.hub.statistics().renditions == 1)


async def test_films_are_coded_as_each_viewer_can_show_them() -> None:
    """What moves goes as video to viewers that know H.264 and as JPEG to the others; all of them rest exact."""
    screen = PaintedScreen(Size(640, 360))
    screen.set_control(ANN, 1)
    thin = {"kind": "datagrams", "rate": 3e6, "rtt": 80, "loss": 0, "queue": 0}
    async with staged(screen) as stage, stage.viewer() as full, stage.viewer("op_old", ("jpeg",)) as images:
        for viewer in (full, images):
            await until(lambda viewer=viewer: viewer.frames)  # type: ignore[misc]
            await viewer.say(t="way", **thin)
        for step in range(25):
            screen.paint_picture(film(640, 360, step))
            await asyncio.sleep(0.033)
        await until(lambda: exact(full, screen) and exact(images, screen), 20)
        for viewer, coding in ((full, Coding.H264), (images, Coding.JPEG)):
            assert {op.coding for frame in viewer.frames for op in frame.ops if isinstance(op, Video)} == {coding}


async def test_joining_does_not_disturb_the_others(painted: PaintedScreen, stage: Stage) -> None:
    """Viewers that come one after the other while pages change: each begins with one key frame, all end exact."""
    async with AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(stage.viewer())]
        for turn in range(5):
            painted.paint_picture(document(320, 240, turn % 3))
            await asyncio.sleep(0.2)
            viewers.append(await stack.enter_async_context(stage.viewer(f"op_{turn}")))
            painted.paint_picture(document(320, 240, turn % 2))
            await asyncio.sleep(0.05)
        await until(lambda: all(exact(viewer, painted) for viewer in viewers))

        assert [sum(Flag.KEY in frame.flags for frame in viewer.frames) for viewer in viewers] == [1] * 6
        assert stage.hub.statistics().renditions == 1


async def test_hiding_for_a_moment_is_harmless(painted: PaintedScreen, stage: Stage) -> None:
    """A console that hides and shows again at any moment ends with the right picture, also where frames are held."""
    painted.set_masks([Rect(0, 0, 20, 20)])
    async with stage.viewer() as ann, stage.viewer("op_bob") as bob:
        for turn in range(30):
            painted.paint_picture(document(320, 220, turn % 5), 0, 20)
            await asyncio.sleep(0.01 * (turn % 4))
            for viewer in (ann, bob):
                await viewer.say(t="visible", on=False)
            painted.paint(SPOT, (turn, 5, 5))
            for viewer in (ann, bob):
                await viewer.say(t="visible", on=True)
        await until(lambda: exact(ann, painted))
        below = rgb(painted.picture, painted.size)[20:]
        await until(lambda: bob.shown is not None and np.array_equal(bob.shown[20:], below))
        for turn in range(5):
            paint_loudly(painted, (turn, 0, 100), turn)
            await until(lambda: exact(ann, painted))


async def test_a_key_frame_is_given_on_request(painted: PaintedScreen, stage: Stage) -> None:
    """A viewer that lost its place asks, and gets a key frame of the picture at rest."""
    async with stage.viewer() as ann:
        await stage.rest()
        count = len(ann.frames)
        await ann.say(t="keyframe")
        await until(lambda: len(ann.frames) > count)

        assert Flag.KEY in ann.frames[count].flags


async def test_prompts_and_clipboard_are_the_holders(painted: PaintedScreen, stage: Stage) -> None:
    """Dialogs and copied text reach only the holder, and the dialogs move with control."""
    prompt = Prompt("pr_1", PromptKind.CONFIRM, "https://a.example", "Sure?")
    async with stage.viewer() as ann, stage.viewer("op_bob") as bob:
        await until(lambda: ann.heard("prompts") and bob.heard("prompts"))
        painted.set_prompts([prompt])
        painted.copy_text("copied")
        await until(lambda: ann.heard("clipboard"))
        assert ann.heard("prompts")[-1]["prompts"][0]["message"] == "Sure?"
        assert bob.heard("clipboard") == []

        painted.set_control(BOB, 2)
        await until(lambda: bob.heard("prompts")[-1]["prompts"] and not ann.heard("prompts")[-1]["prompts"])
        assert bob.heard("control")[-1] == {"t": "control", "holder": BOB.to_wire(), "epoch": 2, "mine": True}
        assert ann.heard("control")[-1]["mine"] is False


async def test_leaving_lets_go_of_the_keys(painted: PaintedScreen, stage: Stage) -> None:
    """When the holder's socket closes whatever was down is released; a watcher's leaving touches nothing."""
    async with stage.viewer("op_bob") as bob:
        await until(lambda: bob.said)
    async with stage.viewer() as ann:
        await until(lambda: ann.said)
        assert painted.events == []
        await ann.socket.close()
        await until(lambda: painted.events == [ReleaseAll()])


async def test_few_pictures_while_nobody_drives(painted: PaintedScreen, stage: Stage) -> None:
    """While the agent drives, watchers get a few pictures a second, and the last state all the same."""
    painted.set_control(THE_AGENT, 2)
    async with stage.viewer() as ann:
        await until(lambda: ann.frames)
        before, began = len(ann.frames), asyncio.get_running_loop().time()
        for step in range(100):
            painted.paint(SPOT, (step, step, 0))
            await asyncio.sleep(0.01)
        assert len(ann.frames) - before <= 5 + 15 * (asyncio.get_running_loop().time() - began)
        await until(lambda: shows(ann, (99, 99, 0)))


async def test_the_end_of_the_display_ends_the_viewers(painted: PaintedScreen, stage: Stage) -> None:
    """When the display dies every viewer is closed with the code for gone, and later ones at once."""
    async with stage.viewer() as ann:
        await until(lambda: ann.frames)
        painted.end()
        await ann.socket.wait_closed()
        assert ann.socket.close_code == 4411
    async with stage.viewer(pictures=()) as late:
        with contextlib.suppress(ConnectionClosed):
            await late.socket.wait_closed()
        assert late.socket.close_code == 4411


async def test_closing_twice_is_harmless(painted: PaintedScreen, stage: Stage) -> None:
    """A closed hub has no thread and no viewers, and may be closed again."""
    async with stage.viewer() as ann:
        await until(lambda: ann.frames)
        await stage.hub.close()
        await stage.hub.close()
        await until(lambda: stage.hub.statistics().viewers == ())
    painted.set_control(NOBODY, 2)


async def test_a_tab_of_another_size_works(painted: PaintedScreen) -> None:
    """Sizes whose rows libav pads are shown as they are."""
    screen = PaintedScreen(Size(854, 482))
    screen.set_control(ANN, 1)
    screen.paint(Rect(800, 470, 54, 12), RED)
    async with staged(screen) as stage, stage.viewer() as ann, stage.viewer(pictures=("h264",)) as plain:
        await until(lambda: shows(ann, RED, Rect(840, 474, 4, 4)) and shows(plain, RED, Rect(840, 474, 4, 4)))
        assert ann.shown is not None
        assert ann.shown.shape == (482, 854, 3)


async def test_activity_is_told_once_a_second(painted: PaintedScreen, stage: Stage) -> None:
    """Input that had an effect is reported, at most once a second; refused input is not."""
    async with stage.viewer() as ann, stage.viewer("op_bob") as bob:
        for n in range(5):
            await ann.say(t="move", e=1, x=n, y=n)
            await bob.say(t="move", e=1, x=n, y=n)
        await until(lambda: len(bob.heard("refused")) >= 1 and painted.events)
        await until(lambda: painted.events[-1] == PointerMove(4, 4))

        assert stage.activity == ["op_ann"]
