"""What an agent's CDP socket gets: a proxy that writes everything down, and a client that asks for all it may."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.journeys.servers import until

PLAIN: dict[str, Any] = {"compression": None, "max_size": None}


@contextlib.asynccontextmanager
async def overheard(cdp_url: str) -> AsyncIterator[tuple[str, list[str]]]:
    """Yield an address that leads to `cdp_url`, and the list of everything that comes down through it."""
    heard: list[str] = []

    async def pass_on(down: ServerConnection) -> None:
        async with connect(cdp_url, proxy=None, **PLAIN) as up:
            ways = [asyncio.create_task(_copy(down, up, [])), asyncio.create_task(_copy(up, down, heard))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()

    async with serve(pass_on, "127.0.0.1", 0, **PLAIN) as proxy:
        port = next(iter(proxy.sockets)).getsockname()[1]
        parts = urlsplit(cdp_url)
        yield urlunsplit(("ws", f"127.0.0.1:{port}", parts.path, parts.query, "")), heard


async def _copy(
    source: ClientConnection | ServerConnection, sink: ClientConnection | ServerConnection, heard: list[str]
) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in source:
            heard.append(message if isinstance(message, str) else message.decode(errors="replace"))
            await sink.send(message)


ENABLE = ("Network", "Runtime", "Page", "DOM", "Log", "Inspector", "Accessibility", "CSS", "DOMStorage")


@dataclass
class Prying:
    """A CDP client without manners: it enables all it can and keeps all it gets."""

    socket: ClientConnection
    heard: list[str] = field(default_factory=list)
    answers: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    requests: set[str] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, cdp_url: str) -> AsyncIterator[Self]:
        """Connect, attach to every target there is and will be, and enable every domain."""
        async with connect(cdp_url, proxy=None, **PLAIN) as socket:
            client = cls(socket)
            listening = asyncio.create_task(client._listen())
            attach = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
            await client.send("Target.setAutoAttach", attach)
            await client.send("Target.setDiscoverTargets", {"discover": True})
            await until(lambda: bool(client.sessions), "the first session")
            try:
                yield client
            finally:
                listening.cancel()
                await asyncio.gather(listening, *client._tasks, return_exceptions=True)

    async def send(self, method: str, params: dict[str, Any] | None = None, session: str | None = None) -> Any:
        """Send a command; returns its result, or None where it was refused or not answered."""
        number = len(self.answers) + 1
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params or {}}
        await self.socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        with contextlib.suppress(TimeoutError):
            return (await asyncio.wait_for(answer, 5)).get("result")
        return None

    async def _listen(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in self.socket:
                self.heard.append(str(text))
                message = json.loads(text)
                if answer := self.answers.get(message.get("id", 0)):
                    answer.set_result(message)
                params = message.get("params", {})
                if message.get("method") == "Target.attachedToTarget":
                    self.sessions[params["sessionId"]] = params["targetInfo"]["type"]
                    task = asyncio.create_task(self._enable(params["sessionId"]))
                    self._tasks.add(task)
                self.requests |= {params[name] for name in ("requestId", "loaderId") if name in params}

    async def _enable(self, session: str) -> None:
        await asyncio.gather(*(self.send(f"{domain}.enable", {}, session) for domain in ENABLE))

    async def pry(self) -> None:
        """Ask for everything that may show what was typed, with the ids it heard and some guessed."""
        for session in list(self.sessions):
            tree = await self.send("Page.getFrameTree", {}, session)
            if tree is not None:
                loader = tree["frameTree"]["frame"]["loaderId"]
                self.requests |= {loader, *(f"{number}.{n}" for number in range(1, 4) for n in range(1, 9))}
            await asyncio.gather(
                self.send("DOM.getDocument", {"depth": -1, "pierce": True}, session),
                self.send("DOMSnapshot.captureSnapshot", {"computedStyles": []}, session),
                self.send("Accessibility.getFullAXTree", {}, session),
                self.send("Page.getNavigationHistory", {}, session),
                self.send("Page.captureSnapshot", {}, session),
                self.send("Network.getCookies", {}, session),
                self.send("Runtime.evaluate", {"expression": EVERYTHING, "returnByValue": True}, session),
                *(self.send(f"Network.{m}", {"requestId": r}, session) for m in OF_REQUESTS for r in self.requests),
            )


OF_REQUESTS = ("getRequestPostData", "getResponseBody")
EVERYTHING = """JSON.stringify([document.documentElement.outerHTML, [...document.querySelectorAll('input')].map(
  e => e.value), {...localStorage}, {...sessionStorage}, document.cookie, performance.getEntries().map(e => e.name)])"""
