"""The splice: where frames end, and that a last word never falls into the middle of one."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from sandbox.host.raw import RawEnd
from web.splice import FrameEnds, Splice

LENGTHS = st.sampled_from([0, 1, 125, 126, 127, 65535, 65536, 70000])


@given(st.lists(st.tuples(st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING]), LENGTHS), max_size=5), st.data())
def test_it_knows_where_frames_end(frames: list[tuple[Opcode, int]], data: st.DataObject) -> None:
    """However the bytes are cut, it is between frames exactly where a frame has ended."""
    whole, ends = b"", {0}
    for opcode, length in frames:
        payload = bytes(min(length, 125) if opcode is Opcode.PING else length)
        whole += Frame(opcode, payload).serialize(mask=False)
        ends.add(len(whole))
    cuts = sorted({0, len(whole), *data.draw(st.lists(st.integers(0, len(whole)), max_size=20))})
    follow = FrameEnds()
    for begin, end in pairwise(cuts):
        follow.feed(whole[begin:end])
        assert follow.between == (end in ends)
    assert not follow.closed


class Down:
    """The client's transport, as far as a splice uses it."""

    def __init__(self) -> None:
        self.out = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        """See asyncio."""
        self.out += data

    def resume_reading(self) -> None:
        """See asyncio."""

    def close(self) -> None:
        """See asyncio."""
        self.closed = True


async def test_the_last_word_waits_for_the_end_of_a_frame() -> None:
    """A credential that ends in the middle of the keeper's message cuts nothing: the close frame comes behind it."""
    down, up = Down(), RawEnd("ws://keeper/cdp")
    splice = Splice(cast("asyncio.Transport", down), up)
    message = Frame(Opcode.TEXT, b"x" * 1000).serialize(mask=False)
    splice.from_keeper(message[:400])
    splice.close(4401, "revoked")
    assert down.out == message[:400]

    splice.from_keeper(message[400:])

    assert down.out == message + Frame(Opcode.CLOSE, Close(4401, "revoked").serialize()).serialize(mask=False)
    splice.from_keeper(message)
    assert len(down.out) < 2 * len(message)


async def test_a_keeper_that_goes_without_a_word_is_told() -> None:
    """A keeper that closed says why itself; for one that just went the server does."""
    said = Frame(Opcode.CLOSE, Close(4411, "gone").serialize()).serialize(mask=False)
    for first, expected in ((said, said), (b"", None)):
        down = Down()
        splice = Splice(cast("asyncio.Transport", down), RawEnd("ws://keeper/cdp"))
        splice.from_keeper(first)
        splice.keeper_lost()
        if expected is not None:
            assert down.out == expected
        else:
            assert Close.parse(down.out[2:]).code == 4503
