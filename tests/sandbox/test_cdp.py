"""The pipe, with a test in Chromium's place."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox import cdp
from sandbox.cdp import CdpError, Connection
from sandbox.words import Gone


@dataclass
class Chromium:
    """The other ends: what was written to us, and where we write."""

    reads: int
    writes: int

    def say(self, data: bytes) -> None:
        """Write bytes as they are."""
        os.write(self.writes, data)

    async def heard(self) -> dict[str, Any]:
        """The next command."""
        raw = await asyncio.to_thread(os.read, self.reads, 65536)
        message: dict[str, Any] = json.loads(raw.rstrip(b"\0"))
        return message


@pytest.fixture
async def chromium() -> AsyncIterator[tuple[Chromium, Connection]]:
    """A pipe pair with a connection on it."""
    (ours, theirs), (read, write) = os.pipe(), os.pipe()
    connection = await Connection.open(ours, write)
    yield Chromium(read, theirs), connection
    await connection.close()
    for end in (theirs, read):
        os.close(end)


async def test_messages_cut_anywhere(chromium: tuple[Chromium, Connection]) -> None:
    """Several in one read, one in several reads: each is dispatched whole and in order."""
    browser, connection = chromium
    heard: list[int] = []
    done = asyncio.Event()

    def hear(_method: str, params: dict[str, Any]) -> None:
        heard.append(params["n"])
        if len(heard) == 4:
            done.set()

    connection.listen(None, hear)
    whole = b"".join(json.dumps({"method": "Any.event", "params": {"n": n}}).encode() + b"\0" for n in range(4))
    cuts = (0, 7, 60, 61, len(whole) - 1, len(whole))
    for start, end in itertools.pairwise(cuts):
        browser.say(whole[start:end])
        await asyncio.sleep(0)
    await asyncio.wait_for(done.wait(), 5)
    assert heard == [0, 1, 2, 3]


async def test_an_answer_and_a_refusal(chromium: tuple[Chromium, Connection]) -> None:
    """A call returns its own answer, and raises its own error."""
    browser, connection = chromium
    good, bad = asyncio.create_task(connection.call("A.good")), asyncio.create_task(connection.call("A.bad"))
    await asyncio.sleep(0)
    browser.say(b'{"id":2,"error":{"code":-1,"message":"no"}}\0{"id":1,"result":{"x":1}}\0')
    assert await good == {"x": 1}
    with pytest.raises(CdpError, match=r"A\.bad: no"):
        await bad


async def test_the_end_of_the_browser(chromium: tuple[Chromium, Connection]) -> None:
    """Who waits hears that it has gone, and so does whoever calls afterwards."""
    _browser, connection = chromium
    waiting = asyncio.create_task(connection.call("A.slow"))
    await asyncio.sleep(0)
    await connection.close()
    with pytest.raises(Gone):
        await waiting
    with pytest.raises(Gone):
        await connection.call("A.late")


async def test_a_message_without_end(chromium: tuple[Chromium, Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the connection before it fills the memory."""
    browser, connection = chromium
    monkeypatch.setattr(cdp, "LONGEST", 10_000)
    browser.say(b"x" * 20_000)
    await asyncio.wait_for(connection.ended.wait(), 5)


async def test_what_cannot_be_read_ends_it(
    chromium: tuple[Chromium, Connection], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing that comes after a broken message is trusted."""
    browser, connection = chromium
    heard: list[str] = []
    connection.listen(None, lambda method, _params: heard.append(method))
    browser.say(b'{"method":\0{"method":"A.b"}\0')
    await asyncio.wait_for(connection.ended.wait(), 5)
    assert heard == []
