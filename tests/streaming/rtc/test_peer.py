"""A `Peer` and aiortc in the browser's place: what a browser cannot be made to do."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcconfiguration import RTCIceTransportPolicy

from sandbox.words import BadRequest
from streaming.rtc.peer import MAX_OFFER, Peer
from streaming.rtc.places import Ports
from streaming.rtc.settings import Places, Relay, TurnSettings, servers
from tests.streaming.rtc.network import until


class Far:
    """The browser's end."""

    def __init__(self, configuration: RTCConfiguration) -> None:
        self.connection = RTCPeerConnection(configuration)
        self.channel: RTCDataChannel = self.connection.createDataChannel(
            "baton", ordered=False, maxRetransmits=0, negotiated=True, id=0
        )
        self.heard: list[bytes] = []
        self.opened = asyncio.Event()
        self.channel.on("message", self.heard.append)
        self.channel.on("open", self.opened.set)


class Pair:
    """Both ends, and what each heard."""

    def __init__(self, ports: Ports, relay: Relay | None, configuration: RTCConfiguration | None) -> None:
        self.heard: list[bytes] = []
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self.far = Far(configuration or RTCConfiguration(iceServers=[]))
        self.near = Peer(ports, relay, heard=self.heard.append, opened=self.opened.set, closed=self.closed.set)

    async def open(self) -> str:
        """Offer, answer, and wait for both; the answer."""
        await self.far.connection.setLocalDescription(await self.far.connection.createOffer())
        answer = await self.near.answer(self.far.connection.localDescription.sdp)
        await self.far.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.gather(self.opened.wait(), self.far.opened.wait())
        return answer

    async def exchange(self, count: int = 20) -> None:
        """Send both ways and wait until all is there."""
        for n in range(count):
            self.near.send(bytes([n]) * 1150)
            self.far.channel.send(bytes([n]) * 1150)
        await until(lambda: len(self.heard) == len(self.far.heard) == count)
        assert sorted(self.heard) == sorted(self.far.heard) == [bytes([n]) * 1150 for n in range(count)]


@asynccontextmanager
async def paired(
    ports: Ports, relay: Relay | None = None, configuration: RTCConfiguration | None = None
) -> AsyncIterator[Pair]:
    """Both ends, closed at the end."""
    pair = Pair(ports, relay, configuration)
    try:
        yield pair
    finally:
        await pair.near.close()
        await pair.far.connection.close()
        ports.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_both_families(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The far end has one address, of one family."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: [address])
    async with paired(Ports(Places(loopback=True))) as pair:
        await pair.open()
        await pair.exchange()


async def test_names_of_the_browser_cost_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `.local` candidate is never looked up: the browser's own checks tell its address."""
    monkeypatch.setattr("aioice.ice.get_host_addresses", lambda **_: ["127.0.0.1"])
    async with paired(Ports(Places(loopback=True))) as pair:
        far = pair.far.connection
        await far.setLocalDescription(await far.createOffer())
        lines = far.localDescription.sdp.splitlines()
        hidden = [line.replace("127.0.0.1", "0a1b2c3d.local") if "candidate" in line else line for line in lines]
        began = time.monotonic()
        answer = await pair.near.answer("\r\n".join(hidden) + "\r\n")
        assert time.monotonic() - began < 0.5
        await far.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.wait_for(pair.opened.wait(), 5)
        await pair.exchange()


async def test_what_nobody_connects_to_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The offer came, the browser did not: `closed` is called and the port is free."""
    monkeypatch.setattr("streaming.rtc.peer.OPEN_S", 0.2)
    async with paired(Ports(Places(loopback=True))) as pair:
        far = pair.far.connection
        await far.setLocalDescription(await far.createOffer())
        await pair.near.answer(far.localDescription.sdp)
        await asyncio.wait_for(pair.closed.wait(), 5)
        assert not pair.near.open
        pair.near.send(b"lost")


@pytest.mark.parametrize(
    "offer",
    ["", "nonsense", "v=0\r\n", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "m=application x", "x" * (MAX_OFFER + 1)],
)
async def test_what_is_no_offer_is_refused(offer: str) -> None:
    """Whatever the parser makes of it."""
    async with paired(Ports(Places(loopback=True))) as pair:
        with pytest.raises(BadRequest):
            await pair.near.answer(offer)


@pytest.mark.parametrize("shared", [True, False])
async def test_a_relay_carries_what_does_not_get_through(tmp_path: Path, shared: bool) -> None:
    """Both ends through coturn, with one credential for all or with one made for the viewer."""
    program = shutil.which("turnserver") or pytest.skip("coturn is not installed")
    host, port = _own_address(), _free_port()
    secret = secrets.token_hex(8)
    access = ["--user", f"ann:{secret}"] if shared else ["--use-auth-secret", f"--static-auth-secret={secret}"]
    process = await asyncio.create_subprocess_exec(
        program, "-n", "--listening-ip", host, "--relay-ip", host, "--listening-port", str(port), "--lt-cred-mech",
        "--realm", "test", "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout", "--pidfile",
        str(tmp_path / "pid"), "--db", str(tmp_path / "db"), *access,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _answers(host, port)
        url = f"turn:{host}:{port}"
        turn = TurnSettings(url, "ann", secret) if shared else TurnSettings(url, "ann", secret=secret)
        relay = turn.relay(time.time())
        only = RTCConfiguration(
            iceServers=[RTCIceServer(**server) for server in servers(relay)],
            iceTransportPolicy=RTCIceTransportPolicy.RELAY,
        )
        # an address that leads nowhere is all that the server tells of itself: what is left are the relays
        async with paired(Ports(Places(advertised=(("192.0.2.1", 9),))), relay, only) as pair:
            answer = await asyncio.wait_for(pair.open(), 10)
            assert "typ relay" in answer
            await pair.exchange()
    finally:
        process.terminate()
        await process.wait()


def _own_address() -> str:
    """This machine's address, or loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _answers(host: str, port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
