"""`Ways`: what goes where, and that nothing is lost, doubled or forged. The network's part is played with times."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streaming.rtc.settings import Relay, TurnSettings, servers
from streaming.rtc.ways import SILENT_S, Ways


def taken(ways: Ways) -> list[Any]:
    """Take what the keeper gets."""
    said = [json.loads(message) if message else message for message in ways.to_keeper]
    ways.to_keeper.clear()
    return said


def told(ways: Ways) -> list[Any]:
    """Take what the socket gets."""
    said = [json.loads(message) if isinstance(message, str) else message for message in ways.to_socket]
    ways.to_socket.clear()
    return said


def say(ways: Ways, **message: Any) -> None:
    """Let the browser say it on the socket."""
    ways.hear_socket(json.dumps(message), 0.0)


def started(*, up: int = 0, down: int = 0) -> Ways:
    """Return ways on datagrams, after so many messages on the socket."""
    ways = Ways(allowed=True)
    for n in range(up):
        say(ways, t="key", n=n)
    for n in range(down):
        ways.down(f'{{"n":{n}}}', 0.0)
    say(ways, t="way", kind="datagrams", **{"from": up + 1, "try": 3})
    ways.opened(0.0)
    return ways


def test_the_socket_alone_changes_nothing() -> None:
    """Both directions, text and bytes, whatever they say."""
    ways = Ways(allowed=True)
    for message in ('{"t":"hello"}', '{"t":"ack","f":1}', "", "nonsense", b"\1", "[]", '{"t":["way"]}', '{"t":null}'):
        ways.hear_socket(message, 0.0)
    for message in ('{"t":"hello"}', b"\2"):
        ways.down(message, 0.0)

    assert list(ways.to_keeper) == [
        '{"t":"hello"}', '{"t":"ack","f":1}', "", "nonsense", b"\1", "[]", '{"t":["way"]}', '{"t":null}',
    ]  # fmt: skip
    assert list(ways.to_socket) == ['{"t":"hello"}', b"\2"]
    assert ways.due(0.0) == []
    assert ways.next_at() is None


def test_what_a_browser_says_of_its_way_reaches_nobody() -> None:
    """It would be believed: neither by the socket nor in any spelling."""
    ways = Ways(allowed=True)
    ways.hear_socket('{"t":"way","kind":"datagrams","rate":1e9,"rtt":1,"loss":0,"queue":0}', 0.0)
    ways.hear_socket('{"rate":1, "t":"w\\u0061y"}', 0.0)
    ways.hear_socket('{"t":"rtc"}', 0.0)

    assert not ways.to_keeper
    assert not ways.to_socket
    assert ways.offer == ""


def test_datagrams_begin_at_the_next_numbers() -> None:
    """The socket falls silent, and the keeper is told of the way."""
    ways = started(up=2, down=3)

    assert told(ways)[3:] == [{"t": "way", "kind": "datagrams", "from": 4, "try": 3}]
    assert [message["t"] for message in taken(ways)] == ["key", "key", "way"]
    ways.down(b"picture", 0.1)
    assert not ways.to_socket
    assert b"picture" in b"".join(ways.due(0.1))


def test_datagrams_wait_for_the_channel() -> None:
    """The browser's word may come before the channel is open here; messages go on by the socket until then."""
    ways = Ways(allowed=True)
    say(ways, t="way", kind="datagrams", **{"from": 1, "try": 1})
    ways.down("{}", 0.0)
    assert told(ways) == [{}]
    ways.opened(0.0)

    assert told(ways) == [{"t": "way", "kind": "datagrams", "from": 2, "try": 1}]


@pytest.mark.parametrize("first", [0, 1, 3, -1, True, "2", None, 2.0])
def test_datagrams_begin_at_no_other_number(first: Any) -> None:
    """One message has come: the next is number 2, and nothing else."""
    ways = Ways(allowed=True)
    ways.opened(0.0)
    say(ways, t="key")
    say(ways, t="way", kind="datagrams", **{"from": first, "try": 1})

    assert not ways.datagrams


def test_datagrams_that_are_not_allowed_do_not_begin() -> None:
    """Whatever the browser says."""
    ways = Ways(allowed=False)
    ways.opened(0.0)
    say(ways, t="way", kind="datagrams", **{"from": 1, "try": 1})

    assert not ways.datagrams


def test_a_silent_browser_gets_all_that_it_is_not_known_to_have() -> None:
    """On the socket, from a number on that it is told."""
    ways = started(up=1, down=2)
    told(ways), taken(ways)
    for n in range(3):
        ways.down(f'{{"n":{n}}}', 0.0)
    ways.due(0.0)
    ways.due(SILENT_S - 0.01)
    assert ways.datagrams
    ways.due(SILENT_S + 0.01)

    assert told(ways) == [{"t": "way", "kind": "socket", "from": 3, "had": 1}, {"n": 0}, {"n": 1}, {"n": 2}]
    assert taken(ways)[-1] == {"t": "way", "kind": "socket", "rate": 0, "rtt": 0, "loss": 0, "queue": 0}
    ways.down('{"n":3}', 2.0)
    assert told(ways) == [{"n": 3}]


def test_the_browser_leaves_and_says_what_it_has_had() -> None:
    """What it had does not come again; what it says again and was heard is dropped."""
    ways = started(up=3, down=1)
    for n in range(4):
        ways.down(f'{{"n":{n}}}', 0.0)
    told(ways), taken(ways)
    say(ways, t="way", kind="socket", **{"from": 2, "had": 3})
    for n in (1, 2, 3):
        say(ways, t="key", n=n)

    assert told(ways) == [{"t": "way", "kind": "socket", "from": 4, "had": 3}, {"n": 2}, {"n": 3}]
    assert [message for message in taken(ways) if message["t"] == "key"] == [{"t": "key", "n": 3}]


def test_both_leave_at_once() -> None:
    """The server's word and the browser's cross: each is kept, nothing is said twice."""
    ways = started(up=1, down=1)
    ways.down('{"n":1}', 0.0)
    ways.closed()
    told(ways), taken(ways)
    say(ways, t="way", kind="socket", **{"from": 2, "had": 1})
    say(ways, t="key", n=1)
    ways.down('{"n":2}', 0.0)

    assert told(ways) == [{"n": 2}]
    assert taken(ways) == [{"t": "key", "n": 1}]


def test_an_impossible_number_is_not_followed() -> None:
    """A browser cannot skip its own inputs, nor ask for messages that were never sent."""
    ways = started(up=1)
    say(ways, t="way", kind="socket", **{"from": 5, "had": 0})
    assert ways.datagrams
    say(ways, t="way", kind="socket", **{"from": 2, "had": 1 << 60})

    assert told(ways)[-1] == {"t": "way", "kind": "socket", "from": 1, "had": 1}


def test_the_keeper_hears_of_the_way_rarely() -> None:
    """At once when it begins, then at most ten times a second, and seldom while nothing changes."""
    ways = started()
    reports = 0
    for tick in range(120):
        ways.due(tick / 100)
        reports += sum(message["t"] == "way" for message in taken(ways))

    assert 1 <= reports <= 3


def test_garbage_by_datagram_is_dropped() -> None:
    """Before, during and after."""
    ways = started()
    taken(ways)
    for datagram in (b"", b"\0", bytes(1150), b"\xff" * 60):
        ways.hear_datagram(datagram, 0.0)
    ways.closed()
    ways.hear_datagram(b"\1", 0.0)

    assert {message["t"] for message in taken(ways)} <= {"way"}


def test_a_viewers_relay_credential_ends() -> None:
    """Coturn's REST scheme: the user's name is when it ends, the password its digest under the secret."""
    relay = TurnSettings("turn:host", "ann", secret="north").relay(1000.0)

    assert servers(relay) == [
        {"urls": "turn:host", "username": "87400:ann", "credential": "rz7Td1BMtDBH/HkIzUBXDnOSJcs="}
    ]
    assert servers(TurnSettings("turn:host", "ann", "pass").relay(0)) == [
        {"urls": "turn:host", "username": "ann", "credential": "pass"}
    ]
    assert servers(None) == []
    assert isinstance(relay, Relay)
