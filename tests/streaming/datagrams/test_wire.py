"""The format, and what does not keep to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from streaming.datagrams import ServerEnd, wire

U32 = some.integers(0, (1 << 32) - 1)
PIECES = some.lists(
    some.builds(wire.Piece, some.integers(1, (1 << 32) - 1), some.integers(0, 7), some.binary(max_size=40))
)
LOOSE = some.lists(
    some.builds(wire.LooseText, some.integers(0, 7), some.integers(0, 65535), U32, some.binary(max_size=40)), max_size=8
)


@some.composite
def feedbacks(draw: some.DrawFn) -> wire.Feedback:
    """Feedback of any size."""
    highest = draw(some.integers(1, 1 << 31))
    arrivals, packet = [], highest
    for back, before in draw(some.lists(some.tuples(some.integers(0, 255), some.integers(0, 0xFFFFFF)), max_size=200)):
        packet = max(1, packet - back)
        arrivals.append((packet, before))
    return wire.Feedback(draw(U32), highest, draw(U32), arrivals, draw(some.integers(0, (1 << 512) - 1)))


@given(some.none() | feedbacks(), some.none() | some.tuples(U32, some.integers(0, 65535)), PIECES, LOOSE)
def test_what_goes_up_is_read_as_it_was_written(
    feedback: wire.Feedback | None,
    shown: tuple[int, int] | None,
    pieces: list[wire.Piece],
    loose: list[wire.LooseText],
) -> None:
    """Every section, together and alone."""
    up = wire.UpDatagram(feedback, shown, pieces[:255], loose)

    assert wire.parse_up(wire.pack_up(up)) == up


@given(U32, U32, some.integers(1, 99), some.integers(0, 3000), some.booleans(), some.integers(1, 1129), some.data())
def test_what_goes_down_is_read_as_it_was_written(
    packet: int, pieces: int, number: int, length: int, text: bool, size: int, data: some.DataObject
) -> None:
    """A cut of any message."""
    index = data.draw(some.integers(0, wire.cuts(length, size) - 1))
    body = bytes(min(size, length - index * size))
    part = wire.Part(packet, pieces, False, number, length, text, index, size, body)
    if index < 1 << 16:
        assert wire.parse_down(wire.pack_part(part)) == part


@given(some.binary(max_size=200) | some.binary(max_size=200).map(lambda tail: b"\x14" + tail))
@settings(max_examples=500)
def test_nothing_from_the_network_makes_the_server_fail(datagram: bytes) -> None:
    """Nonsense is counted, and the way goes on."""
    server = ServerEnd(0.0)
    server.push(bytes(5000), 0.0)
    server.due(0.0)

    before = server.errors
    heard = server.hear(datagram, 0.1)
    server.due(0.1)

    assert not heard or server.errors in (before, before + 1)


@given(some.lists(feedbacks(), max_size=5), PIECES, LOOSE)
def test_a_viewer_that_lies_does_no_harm(
    told: list[wire.Feedback], pieces: list[wire.Piece], loose: list[wire.LooseText]
) -> None:
    """Well formed, but of packets never sent and times that cannot be."""
    server = ServerEnd(0.0)
    for step, feedback in enumerate(told):
        server.push(bytes(9000), step)
        server.due(step)
        lie = wire.Feedback(feedback.delivered % 3, feedback.highest % 12 or 1, feedback.clock, [], feedback.seen)
        for one in (feedback, lie):
            server.hear(wire.pack_up(wire.UpDatagram(one, None, pieces[:255], loose)), step + 0.1)

    way = server.way(9.0)
    assert way.rate > 0
    assert 0 <= way.loss <= 1
    assert 0 <= way.rtt < 6000


def test_a_feedback_of_what_was_never_sent_is_dropped() -> None:
    """And counted."""
    server = ServerEnd(0.0)
    lie = wire.Feedback(0, 1000, 0, [(1000, 5)], 0)

    assert server.hear(wire.pack_up(wire.UpDatagram(lie)), 0.1) == []
    assert server.errors == 1
    assert server.silent_for(1.0) == 1.0


def test_pieces_far_ahead_are_not_kept() -> None:
    """A viewer cannot make the server keep what it will never use."""
    server = ServerEnd(0.0)
    for number in range(2, 100_000, 100):
        server.hear(wire.pack_up(wire.UpDatagram(pieces=[wire.Piece(number, 3, bytes(1000))])), 0.1)

    assert server.kept_up < 10


@pytest.mark.parametrize("cut", [0, 1, 8, 9, 20])
def test_a_short_datagram_is_nonsense(cut: int) -> None:
    """Down, too."""
    part = wire.pack_part(wire.Part(1, 0, False, 1, 4, False, 0, 4, b"abcd"))

    with pytest.raises(wire.Nonsense):
        wire.parse_down(part[:cut])
