"""Frames on the wire."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.screen import Rect, Size
from sandbox.words import BadRequest
from streaming.canvas import Canvas
from streaming.ops import Coding, Copy, Fill, Flag, Frame, Keep, Pixels, Show, Video, pack_frame, parse_frame

_U8, _U16, _I16 = st.integers(0, 255), st.integers(0, 65535), st.integers(-32768, 32767)
_RECT = st.builds(Rect, _U16, _U16, _U16, _U16)
_RECTS = st.lists(_RECT, min_size=1, max_size=4).map(tuple)
_OPS = st.one_of(
    st.builds(Fill, _RECT, st.tuples(_U8, _U8, _U8)),
    st.builds(
        Pixels, _RECTS, st.binary(max_size=50), st.lists(st.tuples(st.just(0), _RECT), max_size=3).map(tuple),
        st.booleans(), st.booleans(),
    ),
    st.builds(Copy, _RECT, _I16, _I16),
    st.builds(Keep, st.integers(0, 15)),
    st.builds(Show, st.integers(0, 15), _RECTS),
    st.builds(Video, _U8, st.sampled_from(Coding), st.booleans(), _RECT, st.binary(max_size=50)),
)  # fmt: skip
_FRAMES = st.builds(
    lambda number, taken, ops, flags, size: Frame(
        number, taken, tuple(ops), Flag(flags), size if flags & Flag.KEY else None
    ),
    st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.lists(_OPS, max_size=5), st.integers(0, 7),
    st.builds(Size, _U16, _U16),
)  # fmt: skip

SAMPLE = Frame(
    7, 9,
    (
        Fill(Rect(0, 0, 64, 48), (9, 9, 9)), Pixels((Rect(1, 1, 3, 2),), b"123456", stored=True), Keep(1),
        Copy(Rect(0, 0, 9, 9), 5, -0), Show(1, (Rect(2, 2, 9, 9),)),
        Video(0, Coding.H264, True, Rect(0, 0, 16, 16), b"\x00\x00\x01\x67"),
    ),
    Flag.KEY, Size(64, 48),
)  # fmt: skip


@given(_FRAMES)
def test_frames_survive_the_wire(frame: Frame) -> None:
    """What was packed comes back as it was."""
    assert parse_frame(pack_frame(frame)) == frame


def test_numbers_go_round() -> None:
    """Frame numbers and times are modulo 2^32."""
    frame = parse_frame(pack_frame(Frame(2**32 + 5, 2**40 + 3, ())))

    assert (frame.number, frame.taken_us) == (5, 3)


def test_the_wire_is_what_the_contract_says() -> None:
    """A fill in its bytes: network byte order, no padding."""
    message = pack_frame(Frame(1, 2, (Fill(Rect(258, 3, 4, 5), (6, 7, 8)),), Flag.QUIET))

    assert message == bytes([2, 4, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 2, 0, 3, 0, 4, 0, 5, 6, 7, 8])


@given(st.binary(max_size=200))
def test_noise_is_refused(message: bytes) -> None:
    """No bytes whatever raise anything but a refusal."""
    for data in (message, b"\x02" + message):
        with contextlib.suppress(BadRequest):
            parse_frame(data)


@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 200))
def test_a_broken_frame_is_read_and_painted_or_refused(at: int, value: int, end: int) -> None:
    """A frame with one byte changed, or cut short, never breaks who reads or paints it."""
    message = bytearray(pack_frame(SAMPLE))
    message[at % len(message)] = value
    for data in (bytes(message), pack_frame(SAMPLE)[: end % len(message)]):
        canvas = Canvas()
        with contextlib.suppress(BadRequest):
            frame = parse_frame(data)
            if frame.size is None or frame.size.width * frame.size.height < 10_000_000:
                canvas.paint(frame)


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\x01", b"\x02", pack_frame(Frame(1, 1, ()))[:-1], pack_frame(Frame(1, 1, ())) + b"\x07",
        pack_frame(Frame(1, 1, ())) + b"\x00", b"\x03" + pack_frame(Frame(1, 1, ()))[1:],
        pack_frame(Frame(1, 1, (Keep(16),))), pack_frame(Frame(1, 1, (Show(99, ()),))),
        pack_frame(Frame(1, 1, (Pixels((Rect(0, 0, 1, 1),), b"a", ((1, Rect(0, 0, 1, 1)),), stored=True),))),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(message: bytes) -> None:
    """Unknown operations, slots and parts, and messages that end early."""
    with pytest.raises(BadRequest):
        parse_frame(message)


def test_a_repr_holds_no_pixels() -> None:
    """What was on the screen shows in no log."""
    assert "secret" not in repr(
        Frame(1, 1, (Pixels((), b"secret"), Video(0, Coding.JPEG, True, Rect(0, 0, 1, 1), b"secret")))
    )
