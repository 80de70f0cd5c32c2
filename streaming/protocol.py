"""The wire of `/stream`: pictures down, input up, over one WebSocket.

Up: text frames, one JSON object each, `t` names the message. Anything not exactly as below raises `BadRequest` (or
`TooLarge`). Input carries `e`, the epoch it was made under, and may carry `n`, a number that comes back in `refused`.

    hello      pictures: how what moves may be coded, best first: "h264-444", "h264", "jpeg"; opened: milliseconds the
               socket took to open (optional). Starts the pictures.
    way        kind ("socket", "datagrams") rate (bits/s) rtt queue (milliseconds) loss: what the way to the viewer is
               like; the server says it, no browser does
    visible    on: false stops the pictures (a hidden console), true starts them again with a key frame
    sound      on: whether this viewer wants to hear the page; off until it asks
    ack        f: frame number shown; d: milliseconds it took to decode (optional)
    keyframe   the viewer lost its place
    ping       c: any number, comes back in `pong`; rtt: milliseconds the last one took (optional)

    move       e x y                            wheel    e x y dx dy (CSS pixels)
    button     e x y b d                        key      e code key d
    text       e text secret?                   compose  e text
    paste      e text                           copy     e
    touch      e phase points: [[id, x, y], …]  tab      e action tab?
    release    e                                answer   e id accept text? username? password? files?: [{name, data}]

`b` is left, middle, right, back or forward; `d` is whether it goes down; `data` is base64.

Down, text:

    hello      sandbox viewer width height
    stream     kind ("h264-444", "h264", "jpeg"), masked: what the pictures after it are
    control    holder epoch mine
    cursor     png (base64, "" when hidden) x y (hot spot)
    tabs       tabs: [{id, url, title, active}]
    prompts    prompts: [{id, kind, origin, message, default, multiple, realm}]; only to the holder's viewers
    clipboard  text; only to the holder's viewers
    refused    n (or null) kind why: an input that had no effect
    sound      state ("on", "none") why: what became of it; "none" says why, as a sentence. Turning it off has no answer
    pong       c fps encode_ms viewers decision (`control.Decision.to_wire`, null before the first)

Down, binary: one frame, see `streaming.ops`, or one packet of sound, see `streaming.sound`; the first byte says which.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, cast

from sandbox.screen import (
    Compose,
    Copy,
    Cursor,
    InputEvent,
    Key,
    Paste,
    PointerButton,
    PointerMove,
    Prompt,
    PromptAnswer,
    ReleaseAll,
    Size,
    Tab,
    TabAction,
    Text,
    Touch,
    TouchPoint,
    UploadedFile,
    Wheel,
)
from sandbox.words import BadRequest, BatonError, Epoch, Holder, TooLarge

MAX_TEXT: Final = 20_000
MAX_PASTE: Final = 1_000_000
MAX_FILES: Final = 20
MAX_FILES_BYTES: Final = 32 * 1024 * 1024
MAX_SMALL: Final = 4096
MAX_MESSAGE: Final = MAX_FILES_BYTES // 3 * 4 + 64 * 1024
"""The largest message a viewer may send; give it to the WebSocket server as `max_size`."""
MAX_POINTS: Final = 10
_FAR: Final = 100_000


class Pictures(StrEnum):
    """How pictures can be sent, best first."""

    H264_444 = "h264-444"
    H264 = "h264"
    JPEG = "jpeg"


@dataclass(frozen=True, slots=True)
class Hello:
    """What the viewer can show, best first."""

    pictures: tuple[Pictures, ...]
    opened_ms: float | None = None


@dataclass(frozen=True, slots=True)
class WayReport:
    """What the way to this viewer is like: bits a second, milliseconds, a share."""

    kind: str
    rate: float
    rtt_ms: float
    loss: float
    queue_ms: float


@dataclass(frozen=True, slots=True)
class Visible:
    """Whether anybody can see the pictures."""

    on: bool


@dataclass(frozen=True, slots=True)
class Hear:
    """Whether this viewer wants to hear the page."""

    on: bool


@dataclass(frozen=True, slots=True)
class Ack:
    """A picture is on the viewer's screen."""

    frame: int
    decode_ms: float | None


@dataclass(frozen=True, slots=True)
class WantKeyFrame:
    """The viewer cannot go on without a key frame."""


@dataclass(frozen=True, slots=True)
class Ping:
    """The viewer measures the way."""

    count: float
    rtt_ms: float | None


@dataclass(frozen=True, slots=True)
class Input:
    """Something the operator did, under an epoch."""

    event: InputEvent | PromptAnswer
    epoch: Epoch
    number: int | None


type Up = Hello | WayReport | Visible | Hear | Ack | WantKeyFrame | Ping | Input
type _Check = Callable[[str, Any], Any]


def _whole(low: int, high: int) -> _Check:
    def check(name: str, value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise BadRequest(f"{name} must be a whole number from {low} to {high}", field=name)
        return value

    return check


def _number(bound: float) -> _Check:
    def check(name: str, value: Any) -> float:
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > bound:
            raise BadRequest(f"{name} must be a number within ±{bound:g}", field=name)
        return float(value)

    return check


def _amount(bound: float) -> _Check:
    number = _number(bound)

    def check(name: str, value: Any) -> float:
        amount: float = number(name, value)
        if amount < 0:
            raise BadRequest(f"{name} must not be negative", field=name)
        return amount

    return check


def _flag(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise BadRequest(f"{name} must be true or false", field=name)
    return value


def _string(longest: int) -> _Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise BadRequest(f"{name} must be a string", field=name)
        if len(value) > longest:
            raise TooLarge(f"{name} is longer than {longest} characters; send less", field=name, limit=longest)
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise BadRequest(f"{name} holds half a character", field=name)
        return value

    return check


def _one_of(*words: str) -> _Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise BadRequest(f"{name} must be one of {', '.join(words)}", field=name)
        return value

    return check


def _maybe(inner: _Check) -> _Check:
    return lambda name, value: None if value is None else inner(name, value)


def _pictures(name: str, value: Any) -> tuple[Pictures, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= len(Pictures):
        raise BadRequest(f"{name} must list what the viewer can show", field=name)
    check = _one_of(*Pictures)
    return tuple(Pictures(check(name, item)) for item in value)


def _points(name: str, value: Any) -> tuple[TouchPoint, ...]:
    if not isinstance(value, list) or len(value) > MAX_POINTS:
        raise BadRequest(f"{name} must be a list of at most {MAX_POINTS} fingers", field=name)
    points = []
    for item in value:
        if not isinstance(item, list) or len(item) != 3:  # noqa: PLR2004 - id, x, y
            raise BadRequest(f"each of {name} must be [id, x, y]", field=name)
        points.append(TouchPoint(_whole(0, 1 << 31)(name, item[0]), _at(name, item[1]), _at(name, item[2])))
    if len({point.id for point in points}) != len(points):
        raise BadRequest(f"{name} names a finger twice", field=name)
    return tuple(points)


def _files(name: str, value: Any) -> tuple[UploadedFile, ...]:
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list of files", field=name)
    if len(value) > MAX_FILES:
        raise TooLarge(f"{name} lists more than {MAX_FILES} files; send fewer", field=name, limit=MAX_FILES)
    files, size = [], 0
    for item in value:
        if not isinstance(item, dict) or item.keys() != {"name", "data"}:
            raise BadRequest(f"each of {name} must have a name and data", field=name)
        bare = _string(255)(name, item["name"])
        if not bare or bare in {".", ".."} or any(char in "/\\" or ord(char) < ord(" ") for char in bare):
            raise BadRequest("a file's name must be bare: no directories, no control characters", field=name)
        try:
            data = base64.b64decode(_string(MAX_MESSAGE)(name, item["data"]), validate=True)
        except (binascii.Error, ValueError):
            raise BadRequest("a file's data must be base64", field=name) from None
        size += len(data)
        if size > MAX_FILES_BYTES:
            raise TooLarge(f"files larger than {MAX_FILES_BYTES} bytes together; send fewer", limit=MAX_FILES_BYTES)
        files.append(UploadedFile(bare, data))
    return tuple(files)


_at: Final = _whole(-_FAR, _FAR)
_XY: Final[Mapping[str, _Check]] = {"x": _at, "y": _at}
_INPUT: Final[Mapping[str, _Check]] = {"e": _whole(0, 1 << 53), "n": _whole(0, 1 << 53)}
_SMALL: Final = _string(MAX_SMALL)

_FIELDS: Final[Mapping[str, Mapping[str, _Check]]] = {
    "hello": {"pictures": _pictures, "opened": _amount(1e9)},
    "way": {
        "kind": _one_of("socket", "datagrams"), "rate": _amount(1e12), "rtt": _amount(1e6), "loss": _amount(1),
        "queue": _amount(1e6),
    },
    "visible": {"on": _flag},
    "sound": {"on": _flag},
    "ack": {"f": _whole(0, (1 << 32) - 1), "d": _amount(1e9)},
    "keyframe": {},
    "ping": {"c": _number(1e15), "rtt": _amount(1e9)},
    "move": {**_INPUT, **_XY},
    "button": {**_INPUT, **_XY, "b": _one_of("left", "middle", "right", "back", "forward"), "d": _flag},
    "wheel": {**_INPUT, **_XY, "dx": _number(1e5), "dy": _number(1e5)},
    "key": {**_INPUT, "code": _string(64), "key": _string(64), "d": _flag},
    "text": {**_INPUT, "text": _string(MAX_TEXT), "secret": _flag},
    "compose": {**_INPUT, "text": _string(MAX_SMALL)},
    "paste": {**_INPUT, "text": _string(MAX_PASTE)},
    "copy": {**_INPUT},
    "touch": {**_INPUT, "phase": _one_of("start", "move", "end", "cancel"), "points": _points},
    "tab": {
        **_INPUT,
        "action": _one_of("activate", "close", "back", "forward", "reload"),
        "tab": _maybe(_string(200)),
    },
    "release": {**_INPUT},
    "answer": {
        **_INPUT, "id": _string(200), "accept": _flag, "text": _string(MAX_TEXT), "username": _SMALL,
        "password": _SMALL, "files": _files,
    },
}  # fmt: skip
_OPTIONAL: Final[Mapping[str, frozenset[str]]] = {
    "hello": frozenset({"opened"}),
    "ack": frozenset({"d"}),
    "ping": frozenset({"rtt"}),
    "text": frozenset({"secret"}),
    "tab": frozenset({"tab"}),
    "answer": frozenset({"text", "username", "password", "files"}),
}

_EVENTS: Final[Mapping[str, Callable[[dict[str, Any]], InputEvent | PromptAnswer]]] = {
    "move": lambda m: PointerMove(m["x"], m["y"]),
    "button": lambda m: PointerButton(m["x"], m["y"], m["b"], m["d"]),
    "wheel": lambda m: Wheel(m["x"], m["y"], m["dx"], m["dy"]),
    "key": lambda m: Key(m["code"], m["key"], m["d"]),
    "text": lambda m: Text(m["text"], m.get("secret", False)),
    "compose": lambda m: Compose(m["text"]),
    "paste": lambda m: Paste(m["text"]),
    "copy": lambda _: Copy(),
    "touch": lambda m: Touch(m["phase"], m["points"]),
    "tab": lambda m: TabAction(m["action"], m.get("tab")),
    "release": lambda _: ReleaseAll(),
    "answer": lambda m: PromptAnswer(
        m["id"], m["accept"], m.get("text", ""), m.get("username", ""), m.get("password", ""), m.get("files", ())
    ),
}


def parse(message: str | bytes) -> Up:
    """Read one message of a viewer. Raises `BadRequest` or `TooLarge`; neither repeats what was sent."""
    if isinstance(message, bytes):
        raise BadRequest("messages to /stream are text")
    if len(message) > MAX_MESSAGE:
        raise TooLarge(f"a message longer than {MAX_MESSAGE} characters", limit=MAX_MESSAGE)
    try:
        data = json.loads(message)
    except (ValueError, RecursionError):
        raise BadRequest("a message to /stream must be JSON") from None
    if not isinstance(data, dict) or not isinstance(data.get("t"), str) or data["t"] not in _FIELDS:
        raise BadRequest("a message to /stream must be an object whose t names a known message")
    kind = data.pop("t")
    fields = _FIELDS[kind]
    if data.keys() - fields.keys():
        raise BadRequest(f"{kind} has a field it should not have", message_type=kind)
    optional = _OPTIONAL.get(kind, frozenset()) | {"n"}
    if missing := fields.keys() - data.keys() - optional:
        raise BadRequest(f"{kind} lacks {', '.join(sorted(missing))}", message_type=kind)
    return _build(kind, {name: fields[name](name, value) for name, value in data.items()})


def _build(kind: str, fields: dict[str, Any]) -> Up:
    if kind in _EVENTS:
        return Input(_EVENTS[kind](fields), Epoch(fields["e"]), fields.get("n"))
    if kind == "hello":
        return Hello(fields["pictures"], fields.get("opened"))
    if kind == "way":
        return WayReport(fields["kind"], fields["rate"], fields["rtt"], fields["loss"], fields["queue"])
    if kind == "visible":
        return Visible(fields["on"])
    if kind == "sound":
        return Hear(fields["on"])
    if kind == "ack":
        return Ack(fields["f"], fields.get("d"))
    if kind == "ping":
        return Ping(fields["c"], fields.get("rtt"))
    return WantKeyFrame()


def number_of(message: str | bytes) -> int | None:
    """Return a refused message's own number, if it can be told."""
    if isinstance(message, bytes) or len(message) > MAX_SMALL:
        return None
    try:
        number = json.loads(message).get("n")
    except (ValueError, AttributeError, RecursionError):
        return None
    return number if type(number) is int else None


def _say(message_type: str, /, **fields: Any) -> str:
    return json.dumps({"t": message_type, **fields}, separators=(",", ":"))


def say_hello(sandbox: str, viewer: str, size: Size) -> str:
    """Return the first message of a viewer's socket."""
    return _say("hello", sandbox=sandbox, viewer=viewer, width=size.width, height=size.height)


def say_stream(kind: Pictures, masked: bool) -> str:
    """Say what the pictures after it are."""
    return _say("stream", kind=kind.value, masked=masked)


def say_control(holder: Holder, epoch: Epoch, mine: bool) -> str:
    """Say who holds control, and whether it is this viewer's operator."""
    return _say("control", holder=holder.to_wire(), epoch=epoch, mine=mine)


def say_cursor(cursor: Cursor) -> str:
    """Say what the remote pointer looks like."""
    return _say("cursor", png=base64.b64encode(cursor.png).decode(), x=cursor.hot_x, y=cursor.hot_y)


def say_tabs(tabs: Sequence[Tab]) -> str:
    """Say which tabs are open."""
    return _say("tabs", tabs=[asdict(tab) for tab in tabs])


def say_prompts(prompts: Sequence[Prompt]) -> str:
    """Say what the page asks outside its pixels."""
    return _say("prompts", prompts=[asdict(prompt) for prompt in prompts])


def say_clipboard(text: str) -> str:
    """Hand over what was copied in the sandbox."""
    return _say("clipboard", text=text)


def say_refused(error: BatonError, number: int | None) -> str:
    """Say that an input had no effect, and why."""
    return _say("refused", n=number, kind=error.kind.value, why=error.message)


def say_sound(why: str = "") -> str:
    """Say that the viewer hears the page from now on, or why it does not."""
    return _say("sound", state="none" if why else "on", why=why)


def say_pong(
    count: float, fps: float, encode_ms: float, viewers: int, decision: Mapping[str, str | float] | None
) -> str:
    """Answer a ping."""
    return _say(
        "pong", c=count, fps=round(fps, 1), encode_ms=round(encode_ms, 1), viewers=viewers, decision=decision
    )  # fmt: skip


def heard(message: str) -> dict[str, Any]:
    """Read a text message of the hub (for clients in Python)."""
    return cast("dict[str, Any]", json.loads(message))
