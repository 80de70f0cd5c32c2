"""Who gets a datagram: what proves itself, and nobody else."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aioice import stun

from streaming.rtc.ice import SharedConnection
from streaming.rtc.places import Ports, addresses_of
from streaming.rtc.settings import Places
from streaming.rtc.udp import HOLD_S, MAX_ADDRESSES, Key, Port, Socket
from tests.streaming.rtc.network import until

ANN = Key("ann1", b"annsannsannsannsannsanns")
BOB = Key("bob1", b"bobsbobsbobsbobsbobsbobs")
HERE = ("192.0.2.1", 1000)
DATA = bytes([23]) * 40


class Heard(asyncio.DatagramProtocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.lost = False

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep it."""
        self.got.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep that, too."""
        self.lost = True


class Bound:
    """A socket with two connections on it and a clock that stands."""

    def __init__(self) -> None:
        self.now = 0.0
        self.socket = Socket(lambda: self.now)
        self.ann, self.bob = Heard(), Heard()
        self.lane = self.socket.join(ANN, self.ann)
        self.other = self.socket.join(BOB, self.bob)


def request(key: Key, *, password: bytes | None = None) -> bytes:
    """Return a check (RFC 8445, 7.2.2) for that connection."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{key.username}:xyz1"
    message.attributes["PRIORITY"] = 1
    message.add_message_integrity(password or key.password)
    return bytes(message)


@pytest.fixture
def bound() -> Bound:
    """A socket of its own."""
    return Bound()


def test_a_check_that_proves_itself_opens_its_address(bound: Bound) -> None:
    """And data follow from there, and from nowhere else."""
    check = request(ANN)
    bound.socket.datagram_received(DATA, HERE)
    bound.socket.datagram_received(check, HERE)
    bound.socket.datagram_received(DATA, HERE)
    bound.socket.datagram_received(DATA, ("192.0.2.1", 1001))

    assert bound.ann.got == [check, DATA]
    assert bound.bob.got == []
    assert bound.socket.dropped == 2


@pytest.mark.parametrize(
    "forged",
    [
        request(ANN, password=b"wrong"),
        request(Key("eve1", b"evesevesevesevesevesevesev")),
        b"",
        b"\0",
        b"\0\1\0\0" + bytes(16),
        struct.pack("!HHI12sHH", 1, 4, 0x2112A442, bytes(12), 0x24, 0),
        request(ANN)[:-8],
        bytes(stun.Message(stun.Method.BINDING, stun.Class.RESPONSE)),
        bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION)),
    ],
    ids=["password", "user", "nothing", "a zero", "a head", "no user", "cut", "response", "indication"],
)
def test_what_is_forged_reaches_nobody(bound: Bound, forged: bytes) -> None:
    """A wrong password, an unknown name, no check at all, an answer to nothing."""
    bound.socket.datagram_received(forged, HERE)
    bound.socket.datagram_received(DATA, HERE)

    assert bound.ann.got == bound.bob.got == []


def test_noise_reaches_nobody_and_breaks_nothing(bound: Bound) -> None:
    """Random bytes, many of them shaped as STUN."""
    noise = random.Random(7)
    for _ in range(3000):
        body = noise.randbytes(noise.randrange(60))
        shaped = struct.pack("!HHI12s", noise.choice([1, 0x101, 0x111, 0x17]), len(body), 0x2112A442, bytes(12)) + body
        bound.socket.datagram_received(noise.choice([body, shaped]), HERE)

    assert bound.ann.got == bound.bob.got == []


def test_an_address_stays_with_the_connection_heard_there(bound: Bound) -> None:
    """Another viewer, with credentials of his own, cannot take it while it is in use; after a silence he can."""
    bound.socket.datagram_received(request(ANN), HERE)
    bound.now = HOLD_S - 1
    bound.socket.datagram_received(DATA, HERE)
    bound.now = HOLD_S + 1
    bound.socket.datagram_received(request(BOB), HERE)
    assert bound.bob.got == []

    bound.now = 2 * HOLD_S
    bound.socket.datagram_received(request(BOB), HERE)
    bound.socket.datagram_received(DATA, HERE)
    assert bound.bob.got[1:] == [DATA]


async def test_a_closed_connection_leaves_its_address_at_once(bound: Bound) -> None:
    """A browser's next connection may come from the port of the last."""
    bound.socket.datagram_received(request(ANN), HERE)
    bound.lane.close()
    bound.socket.datagram_received(request(BOB), HERE)
    bound.socket.datagram_received(request(ANN), ("192.0.2.2", 1))
    await asyncio.sleep(0)

    assert len(bound.ann.got) == len(bound.bob.got) == 1
    assert bound.ann.lost
    assert not bound.bob.lost


def test_few_addresses_are_remembered(bound: Bound) -> None:
    """The one that was silent longest is forgotten first."""
    for n in range(MAX_ADDRESSES + 1):
        bound.now = n
        bound.socket.datagram_received(request(ANN), ("192.0.2.1", 1000 + n))
    bound.ann.got.clear()
    for n in range(MAX_ADDRESSES + 1):
        bound.socket.datagram_received(DATA, ("192.0.2.1", 1000 + n))

    assert len(bound.ann.got) == MAX_ADDRESSES
    assert bound.socket.dropped == 1


async def test_an_answer_finds_who_asked() -> None:
    """Our own checks are answered from addresses that are nobody's yet; an answer counts once."""
    there = Heard()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: there, local_addr=("127.0.0.1", 0))
    port = await Port.open([0], ["127.0.0.1"])
    ann, bob = Heard(), Heard()
    (lane,) = await port.join(ANN, ["127.0.0.1"], lambda: ann)
    await port.join(BOB, ["127.0.0.1"], lambda: bob)
    asked = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    lane.sendto(bytes(asked), transport.get_extra_info("sockname"))
    await got(there)
    answer = bytes(stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id))
    for _ in range(2):
        transport.sendto(answer, lane.get_extra_info("sockname"))
    await got(ann)
    await until(lambda: port.dropped == 1)

    assert ann.got == [answer]
    assert bob.got == []
    transport.close()
    port.close()


@pytest_asyncio.fixture
async def connections() -> AsyncIterator[list[SharedConnection]]:
    """Connections to close at the end."""
    opened: list[SharedConnection] = []
    yield opened
    for connection in opened:
        await connection.close()


async def gathered(ports: Ports, connections: list[SharedConnection]) -> list[tuple[str, int]]:
    """Open one connection; where browsers are told to look for it."""
    connection = SharedConnection(ports, None)
    connections.append(connection)
    await connection.gather_candidates()
    return [(candidate.host, candidate.port) for candidate in connection.local_candidates]


async def test_all_connections_share_one_port(connections: list[SharedConnection]) -> None:
    """On IPv4 and IPv6, and those that come later, too."""
    ports = Ports(Places(loopback=True))
    told = [await gathered(ports, connections) for _ in range(3)]

    assert told == [[("127.0.0.1", ports.number), ("::1", ports.number)]] * 3
    ports.close()


async def test_a_range_gives_each_connection_a_port(connections: list[SharedConnection]) -> None:
    """Until none is left, and again when one is closed."""
    free = await Port.open([0], ["127.0.0.1"])
    first = free.number
    free.close()
    await asyncio.sleep(0)
    ports = Ports(Places(ports=range(first, first + 2), loopback=True))
    told = [await gathered(ports, connections) for _ in range(2)]
    assert {port for one in told for _, port in one} == {first, first + 1}
    with pytest.raises(OSError, match="in use"):
        await gathered(ports, connections)

    await connections.pop(0).close()
    await asyncio.sleep(0.01)
    assert await gathered(ports, connections) == told[0]


async def test_the_outer_address_is_told_instead_of_ours(connections: list[SharedConnection]) -> None:
    """Behind NAT or in a container: with the inner port unless another is set."""
    advertised = (("203.0.113.7", None), ("2001:db8::7", 40000))
    ports = Ports(Places(loopback=True, advertised=advertised))

    assert await gathered(ports, connections) == [("203.0.113.7", ports.number), ("2001:db8::7", 40000)]
    ports.close()


def test_a_machine_with_loopback_alone_uses_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without network still has a way to its own browser."""
    monkeypatch.setattr("streaming.rtc.places.get_host_addresses", lambda **_: [])

    assert addresses_of(Places()) == ["127.0.0.1", "::1"]


async def got(heard: Heard) -> None:
    """Wait for the first datagram."""
    await until(lambda: bool(heard.got))
