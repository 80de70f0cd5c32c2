"""Input through a viewer's socket."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.screen import InputEvent, Key, PointerButton, PointerMove, Prompt, PromptKind, Text
from sandbox.words import NOBODY, Epoch, OperatorId
from streaming.testing import PaintedScreen, Stage, until


async def test_inputs_are_done_in_their_order(painted: PaintedScreen, stage: Stage) -> None:
    """Keys and buttons all arrive, in the order in which they were sent, however slow each is."""
    painted.delay_s = 0.002
    async with stage.viewer(pictures=()) as ann:
        for n in range(40):
            await ann.say(t="key", e=1, code="KeyA", key=str(n), d=n % 2 == 0)
        await until(lambda: len(painted.events) == 40)

    assert [event.key for event in painted.events if isinstance(event, Key)] == [str(n) for n in range(40)]


async def test_moves_never_wait_behind_moves(painted: PaintedScreen, stage: Stage) -> None:
    """While the page is slow only the newest of several moves is done, and buttons keep their place among them."""
    painted.delay_s = 0.05
    async with stage.viewer(pictures=()) as ann:
        for n in range(30):
            await ann.say(t="move", e=1, x=n, y=n)
        await ann.say(t="button", e=1, x=29, y=29, b="left", d=True)
        for n in range(30, 60):
            await ann.say(t="move", e=1, x=n, y=n)
        await ann.say(t="button", e=1, x=59, y=59, b="left", d=False)
        await until(lambda: len([event for event in painted.events if isinstance(event, PointerButton)]) == 2)

    down = painted.events.index(PointerButton(29, 29, "left", True))
    assert painted.events[down - 1] == PointerMove(29, 29)
    assert painted.events[down + 1 :] == [PointerMove(59, 59), PointerButton(59, 59, "left", False)]
    assert len(painted.events) <= 6


async def test_old_input_is_refused_and_said(painted: PaintedScreen, stage: Stage) -> None:
    """Input of an old epoch, or of somebody without control, has no effect; the viewer hears why and stays."""
    async with stage.viewer() as ann, stage.viewer("op_bob") as bob:
        await ann.say(t="text", e=0, n=4, text="late")
        await bob.say(t="text", e=1, n=5, text="mine?")
        await until(lambda: ann.heard("refused") and bob.heard("refused"))
        assert [(said["n"], said["kind"]) for said in ann.heard("refused")] == [(4, "stale")]
        assert [(said["n"], said["kind"]) for said in bob.heard("refused")] == [(5, "conflict")]
        assert painted.events == []

        await ann.say(t="text", e=1, n=6, text="now")
        await until(lambda: painted.events == [Text("now")])


async def test_input_stops_with_the_change_of_control(painted: PaintedScreen, stage: Stage) -> None:
    """What still waits when control passes on is refused, every single one."""
    painted.delay_s = 0.01
    async with stage.viewer(pictures=()) as ann:
        for n in range(50):
            await ann.say(t="key", e=1, n=n, code="KeyA", key="a", d=True)
        await until(lambda: painted.events)
        painted.set_control(NOBODY, 2)
        done = len(painted.events)
        await until(lambda: len(ann.heard("refused")) == 50 - done)

        assert len(painted.events) == done


async def test_nonsense_is_answered_and_then_ends_it(painted: PaintedScreen, stage: Stage) -> None:
    """Malformed messages are answered; the twentieth closes the socket with 4422."""
    async with stage.viewer(pictures=()) as ann:
        for _ in range(19):
            await ann.say(t="nonsense", n=3)
        await until(lambda: len(ann.heard("refused")) == 19)
        assert ann.heard("refused")[0] | {"why": ""} == {"t": "refused", "n": 3, "kind": "invalid", "why": ""}
        await ann.say(t="ping", c=1)
        await until(lambda: ann.heard("pong"))

        await ann.say(t="nonsense")
        await asyncio.wait_for(ann.socket.wait_closed(), 5)
        assert ann.socket.close_code == 4422


async def test_an_input_that_breaks_ends_nothing(
    painted: PaintedScreen, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error while an input is done is said without details, and the next input works."""
    inject = painted.inject

    async def broken(event: InputEvent, operator: OperatorId, epoch: Epoch) -> None:
        if isinstance(event, Text):
            raise ValueError(event.text)  # noqa: TRY004 - it stands for a bug
        await inject(event, operator, epoch)

    monkeypatch.setattr(painted, "inject", broken)
    async with stage.viewer(pictures=()) as ann:
        await ann.say(t="text", e=1, n=1, text="hunter2", secret=True)
        await ann.say(t="move", e=1, n=2, x=5, y=5)
        await until(lambda: painted.events == [PointerMove(5, 5)])

        assert [said["kind"] for said in ann.heard("refused")] == ["bug"]
        assert "hunter2" not in str(ann.said)


async def test_prompts_are_answered_once(painted: PaintedScreen, stage: Stage) -> None:
    """An answer reaches the screen with its files; a second answer is told that the prompt is gone."""
    painted.set_prompts([Prompt("pr_1", PromptKind.FILE, "https://a.example")])
    async with stage.viewer(pictures=()) as ann:
        answer = {"t": "answer", "e": 1, "id": "pr_1", "accept": True, "files": [{"name": "a", "data": "aGk="}]}
        await ann.say(**answer, n=1)
        await ann.say(**answer, n=2)
        await until(lambda: ann.heard("refused"))

        assert [given.files[0].data for given in painted.answers] == [b"hi"]
        assert [(said["n"], said["kind"]) for said in ann.heard("refused")] == [(2, "missing")]


async def test_the_statistics_tell_what_happened(painted: PaintedScreen, stage: Stage) -> None:
    """Pictures, bytes, inputs and refusals are counted for each viewer."""
    async with stage.viewer() as ann:
        await stage.rest()
        await ann.say(t="move", e=1, x=1, y=1)
        await ann.say(t="move", e=0, x=1, y=1)
        await ann.say(t="ping", c=1, rtt=12.5)
        await until(lambda: ann.heard("pong") and ann.heard("refused"))
        (one,) = stage.hub.statistics().viewers

        assert (one.inputs, one.refused, one.queue, one.rtt_ms) == (1, 1, 0, 12.5)
        assert one.frames == len(ann.frames)
        assert one.bytes > ann.bytes > 0
        assert stage.hub.statistics().encode_ms > 0
