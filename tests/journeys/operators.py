"""An operator without a console: REST with a sign-in cookie, and the live socket for pictures and real input."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streaming.canvas import Canvas, Rgb
from streaming.ops import Flag, Frame, parse_frame
from streaming.protocol import heard
from tests.journeys.servers import Server

NAMED = {" ": "Space", "\t": "Tab", "\n": "Enter", "-": "Minus", ".": "Period"}


@dataclass
class Live:
    """One viewer's socket. Everything that came down is kept."""

    socket: ClientConnection
    sandbox: str
    epoch: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    _canvas: Canvas = field(default_factory=Canvas)
    _number: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        """Keep what comes, acknowledging pictures as a console does."""
        with contextlib.suppress(ConnectionClosed):
            async for message in self.socket:
                if isinstance(message, bytes):
                    await self._paint(parse_frame(message))
                else:
                    self.messages.append(heard(message))
                self._news.set()

    async def _paint(self, frame: Frame) -> None:
        self._canvas.paint(frame)
        self.frames.append(frame)
        if Flag.QUIET not in frame.flags:
            await self.socket.send(json.dumps({"t": "ack", "f": frame.number, "d": 1}))

    @property
    def shown(self) -> Rgb:
        """What a console shows now: shape (height, width, 3)."""
        return self._canvas.pixels

    def last(self, kind: str) -> dict[str, Any]:
        """Return the newest message of a kind, empty before the first."""
        return next((m for m in reversed(self.messages) if m["t"] == kind), {})

    async def until[T](self, holds: Callable[[], T], what: str, seconds: float = 15) -> T:
        """Wait until something that came makes `holds()` truthy; returns that."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := holds()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{what} did not come in {seconds:g} s; last: {self.messages[-5:]}") from None
        return found

    async def tab(self, url: str) -> None:
        """Wait until the tab in front is one whose address ends so."""

        def in_front() -> bool:
            return any(tab["active"] and tab["url"].endswith(url) for tab in self.last("tabs").get("tabs", ()))

        await self.until(in_front, f"a tab on {url}")

    async def send(self, message_type: str, /, **fields: Any) -> int:
        """Send one input under the epoch; returns its number."""
        self._number += 1
        await self.socket.send(json.dumps({"t": message_type, "e": self.epoch, "n": self._number, **fields}))
        return self._number

    async def click(self, x: int, y: int) -> int:
        """Move there, press and let go of the left button; returns the press's number."""
        await self.send("move", x=x, y=y)
        number = await self.send("button", x=x, y=y, b="left", d=True)
        await self.send("button", x=x, y=y, b="left", d=False)
        return number

    async def type(self, text: str) -> None:
        """Press and let go of a key for each character."""
        for char in text:
            code = NAMED.get(char) or (f"Digit{char}" if char.isdigit() else f"Key{char.upper()}")
            key = code if char in "\t\n" else char
            for down in (True, False):
                await self.send("key", code=code, key=key, d=down)

    async def refusal(self, number: int) -> dict[str, Any]:
        """Wait until an input is refused, and return why."""
        return await self.until(
            lambda: next((m for m in self.messages if m["t"] == "refused" and m["n"] == number), {}), "a refusal"
        )


@dataclass
class Operator:
    """A signed-in human."""

    server: Server
    http: httpx.AsyncClient
    beating: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    @classmethod
    @contextlib.asynccontextmanager
    async def signed_in(cls, server: Server) -> AsyncIterator[Self]:
        """Redeem a link, as its page does."""
        token = (await server.link()).rsplit("#", 1)[-1]
        async with httpx.AsyncClient(base_url=f"{server.url}/v1", headers={"Origin": server.url}, timeout=30) as http:
            reply = await http.post("/links/redeem", json={"token": token})
            assert reply.status_code == 200, reply.text
            operator = cls(server, http)
            try:
                yield operator
            finally:
                for task in operator.beating.values():
                    task.cancel()
                await asyncio.gather(*operator.beating.values(), return_exceptions=True)

    async def post(self, sandbox: str, verb: str, **body: Any) -> httpx.Response:
        """POST one of the verbs of control."""
        return await self.http.post(f"/sandboxes/{sandbox}/control/{verb}", json=body)

    async def take(self, sandbox: str, *, beat: bool = True) -> int:
        """Take control and keep it with heartbeats; returns the epoch."""
        reply = await self.post(sandbox, "take")
        assert reply.status_code == 200, reply.text
        epoch: int = reply.json()["epoch"]
        if beat:
            self.rest(sandbox)
            self.beating[sandbox] = asyncio.create_task(self._beat(sandbox, epoch))
        return epoch

    def rest(self, sandbox: str) -> None:
        """Stop the heartbeats."""
        if sandbox in self.beating:
            self.beating.pop(sandbox).cancel()

    async def _beat(self, sandbox: str, epoch: int) -> None:
        while True:
            await asyncio.sleep(0.7)
            with contextlib.suppress(httpx.HTTPError):
                await self.post(sandbox, "heartbeat", epoch=epoch)

    async def say(self, sandbox: str, verb: str, epoch: int, **body: Any) -> dict[str, Any]:
        """Say how it went; returns the handoff."""
        self.rest(sandbox)
        reply = await self.post(sandbox, verb, epoch=epoch, **body)
        assert reply.status_code == 200, reply.text
        handoff: dict[str, Any] = reply.json()
        return handoff

    async def queue(self) -> list[dict[str, Any]]:
        """Return the open handoffs."""
        found: list[dict[str, Any]] = (await self.http.get("/handoffs")).json()["handoffs"]
        return found

    async def handoff(self, sandbox: str, state: str | None = None, seconds: float = 20) -> dict[str, Any]:
        """Return a sandbox's open handoff, once it is there and in that state."""
        found: list[dict[str, Any]] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    found = [h for h in await self.queue() if h["sandbox"] == sandbox]
                    if found and state in {None, found[0]["state"]}:
                        return found[0]
                    await asyncio.sleep(0.05)
        raise AssertionError(f"no handoff of {sandbox} got to {state}: {[h['state'] for h in found]}")

    @contextlib.asynccontextmanager
    async def live(self, sandbox: str, epoch: int = 0) -> AsyncIterator[Live]:
        """Watch, and drive under an epoch."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        address = f"ws{self.server.url.removeprefix('http')}/v1/sandboxes/{sandbox}/live"
        async with connect(
            address, additional_headers={"Cookie": cookies}, origin=self.server.url, max_size=None, proxy=None,  # type: ignore[arg-type] # a NewType of str
        ) as socket:  # fmt: skip
            live = Live(socket, sandbox, epoch)
            listening = asyncio.create_task(live.listen())
            await socket.send(json.dumps({"t": "hello", "pictures": ["jpeg"]}))
            await live.until(lambda: live.frames and live.last("tabs"), "the first picture")
            try:
                yield live
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
