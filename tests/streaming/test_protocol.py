"""The wire of `/stream`."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.screen import (
    Compose,
    Copy,
    Key,
    Paste,
    PointerButton,
    PointerMove,
    PromptAnswer,
    ReleaseAll,
    Size,
    TabAction,
    Text,
    Touch,
    TouchPoint,
    UploadedFile,
    Wheel,
)
from sandbox.words import BadRequest, Epoch, StaleEpoch, TooLarge
from streaming import protocol
from streaming.control import Mode, Scene, decide
from streaming.pacing import StreamSettings, Way
from streaming.protocol import Ack, Hear, Hello, Input, Pictures, Ping, Visible, WantKeyFrame, WayReport

MOVE: dict[str, Any] = {"t": "move", "e": 3, "x": 1, "y": 2}
KEY: dict[str, Any] = {"t": "key", "e": 3, "code": "KeyA", "key": "a", "d": True}
ANSWER: dict[str, Any] = {"t": "answer", "e": 3, "id": "pr_1", "accept": True}

INPUTS = [
    (MOVE, PointerMove(1, 2)),
    ({**MOVE, "t": "button", "b": "right", "d": True}, PointerButton(1, 2, "right", True)),
    ({**MOVE, "t": "wheel", "dx": 0, "dy": -12.5}, Wheel(1, 2, 0.0, -12.5)),
    (KEY, Key("KeyA", "a", True)),
    ({"t": "text", "e": 3, "text": "héllo 😀", "secret": True}, Text("héllo 😀", True)),
    ({"t": "text", "e": 3, "text": "plain"}, Text("plain")),
    ({"t": "compose", "e": 3, "text": "に"}, Compose("に")),
    ({"t": "paste", "e": 3, "text": "x" * 500_000}, Paste("x" * 500_000)),
    ({"t": "copy", "e": 3}, Copy()),
    ({"t": "touch", "e": 3, "phase": "start", "points": [[7, 1, 2]]}, Touch("start", (TouchPoint(7, 1, 2),))),
    ({"t": "touch", "e": 3, "phase": "end", "points": []}, Touch("end", ())),
    ({"t": "tab", "e": 3, "action": "back"}, TabAction("back")),
    ({"t": "tab", "e": 3, "action": "close", "tab": "t1"}, TabAction("close", "t1")),
    ({"t": "release", "e": 3}, ReleaseAll()),
    (ANSWER, PromptAnswer("pr_1", True)),
    (
        {**ANSWER, "text": "a", "username": "u", "password": "p", "files": [{"name": "a.txt", "data": "aGk="}]},
        PromptAnswer("pr_1", True, "a", "u", "p", (UploadedFile("a.txt", b"hi"),)),
    ),
]

OTHERS = [
    ({"t": "hello", "pictures": ["h264", "jpeg"]}, Hello((Pictures.H264, Pictures.JPEG))),
    ({"t": "hello", "pictures": ["h264-444"], "opened": 41.5}, Hello((Pictures.H264_444,), 41.5)),
    (
        {"t": "way", "kind": "datagrams", "rate": 3e6, "rtt": 80, "loss": 0.02, "queue": 5},
        WayReport("datagrams", 3e6, 80.0, 0.02, 5.0),
    ),
    ({"t": "sound", "on": True}, Hear(True)),
    ({"t": "visible", "on": False}, Visible(False)),
    ({"t": "ack", "f": 9}, Ack(9, None)),
    ({"t": "ack", "f": 9, "d": 3.5}, Ack(9, 3.5)),
    ({"t": "ping", "c": 1.5, "rtt": 20}, Ping(1.5, 20.0)),
    ({"t": "keyframe"}, WantKeyFrame()),
]

BAD: list[Any] = [
    b"{}",
    "",
    "{",
    "[]",
    "null",
    "1",
    "{}",
    '{"t": 1}',
    '{"t": ["move"]}',
    '{"t": "shout"}',
    "[" * 200_000,
    {**MOVE, "x": 1.5},
    {**MOVE, "x": True},
    {**MOVE, "x": "1"},
    {**MOVE, "x": 10**9},
    {**MOVE, "e": -1},
    {**MOVE, "e": None},
    {**MOVE, "extra": 1},
    {"t": "move", "x": 1, "y": 2},
    {"t": "move", "e": 1, "x": 1},
    {**MOVE, "t": "button", "b": "fourth", "d": True},
    {**MOVE, "t": "button", "b": "left", "d": 1},
    '{"t": "wheel", "e": 1, "x": 1, "y": 1, "dx": NaN, "dy": 0}',
    '{"t": "wheel", "e": 1, "x": 1, "y": 1, "dx": Infinity, "dy": 0}',
    {**MOVE, "t": "wheel", "dx": 1e9, "dy": 0},
    {**KEY, "key": None},
    {"t": "text", "e": 1, "text": "\ud800"},
    {"t": "touch", "e": 1, "phase": "start", "points": [[1, 2]]},
    {"t": "touch", "e": 1, "phase": "start", "points": [[1, 2, 3], [1, 5, 6]]},
    {"t": "touch", "e": 1, "phase": "wave", "points": []},
    {"t": "tab", "e": 1, "action": "open"},
    {**ANSWER, "files": [{"name": "../a", "data": ""}]},
    {**ANSWER, "files": [{"name": "", "data": ""}]},
    {**ANSWER, "files": [{"name": "a", "data": "%%%"}]},
    {**ANSWER, "files": [{"name": "a"}]},
    {"t": "hello", "pictures": []},
    {"t": "hello", "pictures": ["gif"]},
    {"t": "hello", "pictures": ["h264"], "opened": "soon"},
    {"t": "hello", "pictures": ["h264"], "opened": -1},
    {"t": "way", "kind": "pigeon", "rate": 1, "rtt": 1, "loss": 0, "queue": 0},
    {"t": "way", "kind": "socket", "rate": -1, "rtt": 1, "loss": 0, "queue": 0},
    {"t": "way", "kind": "socket", "rate": 1, "rtt": -1, "loss": 0, "queue": 0},
    {"t": "way", "kind": "socket", "rate": 1, "rtt": 1, "loss": 0},
    {"t": "ack", "f": 1, "d": -5},
    {"t": "ack", "f": -1},
    {"t": "visible", "on": "yes"},
]

LARGE: list[dict[str, Any]] = [
    {**KEY, "key": "a" * 65},
    {"t": "text", "e": 1, "text": "a" * (protocol.MAX_TEXT + 1)},
    {"t": "paste", "e": 1, "text": "a" * (protocol.MAX_PASTE + 1)},
    {**ANSWER, "files": [{"name": str(n), "data": ""} for n in range(protocol.MAX_FILES + 1)]},
]


@pytest.mark.parametrize(("sent", "event"), INPUTS)
def test_inputs_are_read(sent: dict[str, Any], event: object) -> None:
    """Every input arrives as the screen's own event, with its epoch and number."""
    assert protocol.parse(json.dumps({**sent, "n": 5})) == Input(event, Epoch(3), 5)  # type: ignore[arg-type]
    assert protocol.parse(json.dumps(sent)) == Input(event, Epoch(3), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("sent", "said"), OTHERS)
def test_what_is_no_input_is_read(sent: dict[str, Any], said: object) -> None:
    """Greetings, acknowledgements and measurements need no epoch."""
    assert protocol.parse(json.dumps(sent)) == said


@pytest.mark.parametrize("sent", BAD, ids=lambda sent: str(sent)[:60])
def test_what_is_malformed_is_refused(sent: Any) -> None:
    """Whatever is not exactly a message is refused as such."""
    with pytest.raises(BadRequest):
        protocol.parse(sent if isinstance(sent, str | bytes) else json.dumps(sent))


@pytest.mark.parametrize("sent", LARGE, ids=lambda sent: str(sent["t"]))
def test_what_is_too_large_is_refused(sent: dict[str, Any]) -> None:
    """A bound that is crossed is named, and what crossed it is not repeated."""
    with pytest.raises(TooLarge) as raised:
        protocol.parse(json.dumps(sent))

    assert "aaaa" not in str(raised.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_anything_else_is_refused_too(sent: Any) -> None:
    """No JSON whatever makes the parser raise anything but its own errors."""
    with pytest.raises(BadRequest):
        protocol.parse(json.dumps(sent))


@given(
    st.sampled_from([sent for sent, _ in INPUTS]),
    st.sampled_from(["x", "e", "text", "points", "files", "d"]),
    st.integers() | st.text(),
)
def test_a_field_of_another_type_never_gets_through(sent: dict[str, Any], field: str, value: object) -> None:
    """A message with one field replaced is either read or refused, never anything else."""
    with contextlib.suppress(BadRequest, TooLarge):
        protocol.parse(json.dumps({**sent, field: value}))


def test_a_secret_is_in_no_repr() -> None:
    """What was typed shows in no repr of a parsed message."""
    assert "hunter2" not in repr(protocol.parse(json.dumps({"t": "text", "e": 1, "text": "hunter2", "secret": True})))
    assert "hunter2" not in repr(protocol.parse(json.dumps({**ANSWER, "password": "hunter2"})))


def test_what_is_said_is_heard() -> None:
    """The words about pictures come back as they were said."""
    decision = decide(Mode.DRIVE, Scene.FILM, Way("datagrams", 5e6, 0.1), StreamSettings()).to_wire()

    assert protocol.heard(protocol.say_stream(Pictures.H264, True)) == {"t": "stream", "kind": "h264", "masked": True}
    assert protocol.heard(protocol.say_hello("sb", "vw", Size(1280, 720))) == {
        "t": "hello", "sandbox": "sb", "viewer": "vw", "width": 1280, "height": 720,
    }  # fmt: skip
    pong = protocol.heard(protocol.say_pong(3.5, 59.96, 1.26, 2, decision))
    assert pong == {"t": "pong", "c": 3.5, "fps": 60.0, "encode_ms": 1.3, "viewers": 2, "decision": decision}
    assert protocol.heard(protocol.say_pong(1, 0, 0, 0, None))["decision"] is None


def test_a_refusal_names_its_input() -> None:
    """The number of a refused input comes back with kind and reason."""
    said = protocol.heard(protocol.say_refused(StaleEpoch("epoch 1 has passed"), 7))

    assert said == {"t": "refused", "n": 7, "kind": "stale", "why": "epoch 1 has passed"}
    assert protocol.number_of('{"t": "nonsense", "n": 7}') == 7
    assert protocol.number_of("[") is None
