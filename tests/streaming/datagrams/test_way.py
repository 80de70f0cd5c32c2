"""Cuts, silence, failure and the change to the other way."""

from streaming.datagrams import Message, Shown, Up
from streaming.datagrams.reference import BrowserEnd
from streaming.datagrams.sender import KEPT_AT_MOST
from streaming.datagrams.testing import Link, Simulation


def test_a_cut_way_hands_over_what_was_not_delivered() -> None:
    """What goes over the socket after the cut, with what came before it, is everything once and in order."""
    simulation = Simulation(Link(0.05, 0.02, 4e6), Link(0.05, 0.02, seed=2))
    server, browser = simulation.server, simulation.browser
    assert isinstance(browser, BrowserEnd)
    for tick in range(200):
        at = 1 + tick / 60
        simulation.at(at, server.push, f"picture {tick}", at)
        simulation.at(at, browser.send, f"key {tick}", at)

    def cut() -> None:
        simulation.down.cut = simulation.up.cut = True

    simulation.at(2.5, cut)
    simulation.run(5)

    down = [message for _, _, message in simulation.painted]
    rest = server.undelivered(browser.down.delivered)
    assert [number for number, _ in rest] == list(range(len(down) + 1, 201))
    assert down + [message for _, message in rest] == [f"picture {tick}" for tick in range(200)]
    up = [heard.message for _, heard in simulation.heard if isinstance(heard, Up)]
    waiting = [message for number, message in browser.up.undelivered() if number > server.received]
    assert up + waiting == [f"key {tick}" for tick in range(200)]
    assert 0 < len(down) < 200
    assert 2.3 < server.silent_for(5.0) < 2.6


def test_a_way_that_comes_back_goes_on() -> None:
    """A second of nothing, then everything arrives, once."""
    simulation = Simulation(Link(0.05, 0.02, 4e6), Link(0.05, 0.02, seed=2))
    for tick in range(180):
        simulation.at(1 + tick / 60, lambda: simulation.server.push(bytes(3000), simulation.now))

    def cut(whether: bool) -> None:
        simulation.down.cut = simulation.up.cut = whether

    simulation.at(2.0, cut, True)
    simulation.at(3.0, cut, False)
    simulation.run(6)

    assert [number for _, number, _ in simulation.painted] == list(range(1, 181))
    assert next(at for at, _, _ in simulation.painted if at > 3) < 3.7
    assert simulation.server.undelivered() == []


def test_a_single_small_message_survives_the_loss_of_its_datagram() -> None:
    """A copy follows within 10 ms."""
    simulation = Simulation(Link(0.05), Link(0.05))
    simulation.run(1.0)
    simulation.down.cut = True
    simulation.at(1.0, lambda: simulation.server.push("caret", 1.0))
    simulation.run(1.003)
    simulation.down.cut = False

    simulation.run(1.1)

    assert simulation.painted[0][0] < 1.062


def test_the_tail_of_a_message_is_probed() -> None:
    """All of a message is lost but its beginning, and nothing follows it: it still comes after a round trip or so."""
    simulation = Simulation(Link(0.05), Link(0.05))
    simulation.run(1.0)
    simulation.at(1.0, lambda: simulation.server.push(bytes(8000), 1.0))

    def cut(whether: bool) -> None:
        simulation.down.cut = whether

    simulation.at(1.004, cut, True)
    simulation.at(1.025, cut, False)
    simulation.run(1.4)

    assert len(simulation.painted) == 1
    assert simulation.painted[0][0] < 1.25


def test_the_frame_shown_is_told_once() -> None:
    """And stands for its acknowledgement."""
    simulation = Simulation(Link(0.01), Link(0.01))
    simulation.at(1.0, lambda: simulation.browser.shown(7, 3.5, 1.0))

    simulation.run(3.0)

    assert [heard for _, heard in simulation.heard] == [Shown(7, 3.5)]


def test_a_viewer_that_acknowledges_nothing_ends_the_way() -> None:
    """What is kept has a bound."""
    simulation = Simulation(Link(0.05, cut=True), Link(0.05, cut=True))
    for _ in range(KEPT_AT_MOST // 1_000_000 + 1):
        simulation.server.push(bytes(1_000_000), 0.0)

    assert simulation.server.failed == "too much is unacknowledged"


def test_messages_begin_at_the_numbers_agreed() -> None:
    """A way that begins later goes on counting."""
    browser = BrowserEnd(0.0, first_down=41, first_up=8)
    simulation = Simulation(Link(0.01), Link(0.01), browser=browser)
    simulation.server = type(simulation.server)(0.0, first_down=41, first_up=8)
    simulation.at(1.0, lambda: (simulation.server.push("down", 1.0), browser.send("up", 1.0)))

    simulation.run(2.0)

    assert [(number, message) for _, number, message in simulation.painted] == [(41, "down")]
    assert [heard for _, heard in simulation.heard] == [Up(8, "up")]


def test_empty_messages_and_text_are_carried() -> None:
    """As they were pushed."""
    simulation = Simulation(Link(0.01, 0.1), Link(0.01, 0.1, seed=2))
    messages: list[Message] = ["", b"", "ü", b"\0", "x" * 5000]
    simulation.at(1.0, lambda: [simulation.server.push(message, 1.0) for message in messages])

    simulation.run(3.0)

    assert [message for _, _, message in simulation.painted] == messages
