"""Messages up: exactly once, in order, soon."""

import pytest

from streaming.datagrams import Loose, ServerEnd, Up
from streaming.datagrams.testing import Link, Simulation
from streaming.datagrams.upward import UpReceiver
from streaming.datagrams.wire import FIRST, LAST, LooseText, Piece


def piece(number: int, text: str = "") -> Piece:
    """A whole message."""
    return Piece(number, FIRST | LAST, (text or f"key {number}").encode())


def move(sequence: int, after: int) -> LooseText:
    """A move made after a piece."""
    return LooseText(0, sequence, after, f"move {sequence}".encode())


def typing(loss: float, jitter: float = 0.0, events: int = 1000) -> tuple[Simulation, list[float]]:
    """An event each 40 ms; how much longer than the path each took, sorted."""
    simulation = Simulation(Link(0.05, loss, seed=3), Link(0.05, loss, seed=4, jitter=jitter))
    made = {}
    for event in range(events):

        def send(event: int = event) -> None:
            made[event + 1] = simulation.now
            simulation.browser.send(f"key {event + 1}", simulation.now)

        simulation.at(1 + event * 0.04, send)
    simulation.run(1 + events * 0.04 + 3)
    extra = sorted(at - made[up.number] - 0.05 for at, up in simulation.heard if isinstance(up, Up))
    return simulation, extra


@pytest.mark.parametrize("jitter", [0.0, 0.03])
def test_every_event_arrives_once_and_in_order_at_ten_percent_loss(jitter: float) -> None:
    """Also where datagrams overtake each other; nobody waits long."""
    simulation, extra = typing(0.1, jitter)

    ups = [up for _, up in simulation.heard if isinstance(up, Up)]
    assert [up.number for up in ups] == list(range(1, 1001))
    assert [up.message for up in ups] == [f"key {number}" for number in range(1, 1001)]
    assert extra[949] < 0.035 + jitter
    assert extra[-1] < 0.15


def test_loss_costs_an_event_hardly_any_time() -> None:
    """At 2 % loss 95 of 100 events come at once, 99 within 15 ms."""
    _, extra = typing(0.02)

    assert extra[949] < 0.001
    assert extra[989] < 0.015


def test_a_move_never_overtakes_the_button_it_came_after() -> None:
    """It is held until the button has come."""
    up = UpReceiver()

    assert up.hear([], [move(1, after=1)]) == []
    assert up.hear([piece(1)], []) == [Up(1, "key 1"), Loose(0, "move 1")]


def test_a_move_older_than_the_last_button_is_dropped() -> None:
    """It would put the pointer back."""
    up = UpReceiver()
    up.hear([piece(1)], [])

    assert up.hear([], [move(1, after=0)]) == []
    assert up.hear([], [move(2, after=1)]) == [Loose(0, "move 2")]


def test_a_held_move_falls_to_the_next_button() -> None:
    """Two buttons come at once: the move between them is of no use any more."""
    up = UpReceiver()
    up.hear([piece(2), piece(3)], [move(1, after=1)])

    heard = up.hear([piece(1)], [])

    assert heard[:2] == [Up(1, "key 1"), Loose(0, "move 1")]
    assert [up.number for up in heard if isinstance(up, Up)] == [1, 2, 3]


def test_an_older_move_and_a_copy_are_dropped() -> None:
    """The newest wins."""
    up = UpReceiver()

    assert up.hear([], [move(2, after=0)]) == [Loose(0, "move 2")]
    assert up.hear([], [move(1, after=0), move(2, after=0)]) == []


def test_other_loose_messages_wait_for_nothing() -> None:
    """A ping after a button that is still missing is told at once."""
    assert UpReceiver().hear([], [LooseText(1, 1, 5, b"ping")]) == [Loose(1, "ping")]


def test_a_long_paste_arrives_whole() -> None:
    """100 KB of text at 5 % loss, then a key."""
    simulation = Simulation(Link(0.05, 0.05), Link(0.05, 0.05, seed=2))
    paste = "ü" * 50_000
    simulation.at(1, lambda: [simulation.browser.send(message, 1.0) for message in (paste, b"\0key")])

    simulation.run(6)

    assert [up.message for _, up in simulation.heard if isinstance(up, Up)] == [paste, b"\0key"]


def test_the_answer_comes_within_ten_milliseconds() -> None:
    """A datagram goes down soon after an event came up, if none does anyway."""
    server = ServerEnd(0.0)
    server.due(0.0)
    browser_says = Simulation(Link(0.0), Link(0.0)).browser
    browser_says.send("key", 0.0)
    for datagram in browser_says.due(0.0):
        server.hear(datagram, 0.1)

    assert server.next_at() <= 0.11
    assert len(server.due(server.next_at())) == 1
