"""The browser's real script, in Node, against the server's end over a lossy link."""

import random
import shutil
from collections.abc import Iterator

import pytest

from streaming.datagrams import Loose, Message, Shown, Up
from streaming.datagrams.testing import Link, Simulation
from tests.streaming.datagrams.node import NodeEnd

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")


@pytest.fixture
def browser() -> Iterator[NodeEnd]:
    """The script, waiting for commands."""
    with NodeEnd() as end:
        yield end


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_both_ends_understand_each_other(browser: NodeEnd, loss: float) -> None:
    """Pictures, text, a long message, keys, a paste and moves: everything once and in order."""
    down, up = Link(0.05, loss, 4e6, jitter=loss / 10, seed=3), Link(0.05, loss, jitter=loss / 10, seed=5)
    simulation = Simulation(down, up, browser=browser)
    dice = random.Random(1)
    pictures: list[Message] = [dice.randbytes(dice.choice([0, 20, 500, 3000, 6000, 12000])) for _ in range(200)]
    pictures[30], pictures[40] = "text ü", dice.randbytes(200_000)

    def act(step: int) -> None:
        simulation.server.push(pictures[step], simulation.now)
        browser.send(f"key {step}" if step != 70 else "x" * 30_000, simulation.now)
        browser.loose(0, f"move {step}", simulation.now)

    for step in range(200):
        simulation.at(1 + step / 40, act, step)
    simulation.run(9)

    assert [message for _, _, message in simulation.painted] == pictures
    ups = [heard for _, heard in simulation.heard if isinstance(heard, Up)]
    assert [up.number for up in ups] == list(range(1, 201))
    assert ups[70].message == "x" * 30_000
    moves = [int(heard.text.split()[1]) for _, heard in simulation.heard if isinstance(heard, Loose)]
    assert moves == sorted(set(moves))
    assert moves[-1] == 199
    assert [heard.frame for _, heard in simulation.heard if isinstance(heard, Shown)][-1] == 200
    assert simulation.server.undelivered() == browser.undelivered() == []
    assert simulation.server.errors == browser.ask("errors", 0.0) == 0
    assert simulation.server.estimate.rate == pytest.approx(4e6, rel=0.3)


def test_the_script_keeps_the_pace_of_a_film(browser: NodeEnd) -> None:
    """As the reference does: repair linked over two pictures is understood."""
    simulation = Simulation(Link(0.05, 0.02, 4e6, seed=1), Link(0.05, 0.02, seed=101), browser=browser)
    dice = random.Random(2)
    pictures = [dice.randbytes(6000) for _ in range(600)]
    for step, picture in enumerate(pictures):
        simulation.at(1 + step / 60, simulation.server.push, picture, 1 + step / 60)

    simulation.run(13)

    assert [message for _, _, message in simulation.painted] == pictures
    assert len({int(at * 60) for at, _, _ in simulation.painted}) / 10 >= 57


def test_what_the_other_way_brought_is_not_told_again(browser: NodeEnd) -> None:
    """The socket delivered three; the datagrams go on from there."""
    simulation = Simulation(Link(0.01), Link(0.01), browser=browser)
    for number in range(1, 6):
        simulation.server.push(f"message {number}", 0.0)
    browser.advance(3)

    simulation.run(1)

    assert [message for _, _, message in simulation.painted] == ["message 4", "message 5"]


def test_nonsense_is_counted(browser: NodeEnd) -> None:
    """And nothing else happens."""
    dice = random.Random(3)
    for length in range(60):
        assert browser.hear(dice.choice([b"\x11", b"\x12", b"\x00", b""]) + dice.randbytes(length), 0.0) == []

    assert browser.ask("errors", 0.0) > 50


def test_a_message_too_long_for_the_way_is_refused(browser: NodeEnd) -> None:
    """Its number is 0: it takes the socket."""
    assert browser.send("x" * 300_000, 0.0) == 0
    assert browser.send("x", 0.0) == 1
