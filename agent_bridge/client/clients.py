"""The client in two forms: `Client` blocks, `AsyncClient` is awaited. Both drive the same flows."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, overload
from urllib.parse import quote, urlsplit

import httpx

from agent_bridge.client.errors import NotConfigured, ServerUnreachable, error_of
from agent_bridge.client.flows import Call, Flow, Json, Lost, Pause, Reply, ask, begin, extend, follow, once
from agent_bridge.client.values import HandoffResult

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
OPEN_S: Final = 90.0

type Verify = bool | ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One sandbox of the agent's. `cdp_url` is what `connect_over_cdp` takes; it carries the right to connect."""

    id: str
    name: str
    cdp_url: str = field(repr=False)
    width: int
    height: int
    state: str
    wire: Mapping[str, Any] = field(repr=False, compare=False)
    client: AsyncClient = field(repr=False, compare=False)

    async def close(self) -> None:
        """End it."""
        await self.client.close(self.id)


@dataclass(frozen=True, slots=True)
class SyncSandbox:
    """One sandbox of the agent's. `cdp_url` is what `connect_over_cdp` takes; it carries the right to connect."""

    id: str
    name: str
    cdp_url: str = field(repr=False)
    width: int
    height: int
    state: str
    wire: Mapping[str, Any] = field(repr=False, compare=False)
    client: Client = field(repr=False, compare=False)

    def close(self) -> None:
        """End it."""
        self.client.close(self.id)


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is and how to speak to it. The token is kept out of every repr."""

    url: str
    token: str = field(repr=False)
    verify: Verify = True

    @classmethod
    def of(cls, url: str | None, token: str | None, verify: Verify) -> Server:
        """Fill in BATON_URL and BATON_TOKEN. Raises `NotConfigured`."""
        url = url or os.environ.get("BATON_URL") or "http://127.0.0.1:8700"
        token = token or os.environ.get("BATON_TOKEN")
        if not token:
            raise NotConfigured("set BATON_TOKEN, or pass token=…; `baton token create --role agent` makes one")
        if urlsplit(url).scheme not in {"http", "https"}:
            raise NotConfigured("BATON_URL must start with http:// or https://")
        return cls(url.rstrip("/"), token, verify)

    def options(self) -> dict[str, Any]:
        """Return what an httpx client is made with."""
        local = urlsplit(self.url).hostname in LOOPBACK
        return {
            "base_url": f"{self.url}/v1", "headers": {"Authorization": f"Bearer {self.token}"}, "verify": self.verify,
            "timeout": 30.0, "trust_env": not local, "follow_redirects": False,
        }  # fmt: skip

    def fetch(self, path: str) -> bytes:
        """Get a file. Raises `BatonClientError`."""
        with httpx.Client(**self.options()) as http:
            try:
                return _file(http.get(path), path)
            except httpx.TransportError as error:
                raise ServerUnreachable(f"the Baton server does not answer ({_why(error)})") from error

    async def fetch_async(self, path: str) -> bytes:
        """Get a file. Raises `BatonClientError`."""
        async with httpx.AsyncClient(**self.options()) as http:
            try:
                return _file(await http.get(path), path)
            except httpx.TransportError as error:
                raise ServerUnreachable(f"the Baton server does not answer ({_why(error)})") from error

    def result(self, handoff: Json) -> HandoffResult:
        """Return the result of a final handoff."""
        return HandoffResult.from_wire(handoff, self.fetch, self.fetch_async)


def _file(response: httpx.Response, path: str) -> bytes:
    if response.is_error:
        raise error_of(response.status_code, _json(response), path)
    return response.content


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _reply(response: httpx.Response) -> Reply:
    after = response.headers.get("retry-after", "")
    return Reply(response.status_code, _json(response), float(after) if after.isdecimal() else None)


def _opening(url: str | None, width: int | None, height: int | None, name: str | None) -> Call:
    body = {"url": url, "width": width, "height": height, "name": name}
    return Call("POST", "/sandboxes", {key: value for key, value in body.items() if value is not None}, OPEN_S)


def _at(sandbox: str) -> str:
    return f"/sandboxes/{quote(sandbox, safe='')}"


def _quoted(handoff: str) -> str:
    return quote(handoff, safe="")


def _named(handoff: str) -> Call:
    return Call("GET", f"/handoffs/{_quoted(handoff)}")


def _facts(data: Json) -> dict[str, Any]:
    names = ("id", "name", "width", "height", "state")
    return {**{name: data[name] for name in names}, "cdp_url": data.get("cdp_url") or "", "wire": data}


class Client:
    """A blocking client. Give `url` and `token`, or set BATON_URL and BATON_TOKEN; use it as a context manager."""

    def __init__(self, url: str | None = None, token: str | None = None, *, verify: Verify = True) -> None:
        self.server = Server.of(url, token, verify)
        self._http = httpx.Client(**self.server.options())

    def __repr__(self) -> str:
        return f"<Client {self.server.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """Close the client's connections; sandboxes and handoffs live on."""
        self._http.close()

    def open(
        self, url: str | None = None, *, width: int | None = None, height: int | None = None, name: str | None = None
    ) -> SyncSandbox:
        """Open a sandbox, its first tab on `url`."""
        return SyncSandbox(**_facts(self.run(once(_opening(url, width, height, name)))), client=self)

    def list(self) -> list[SyncSandbox]:
        """List the open sandboxes of this token."""
        found = self.run(once(Call("GET", "/sandboxes")))
        return [SyncSandbox(**_facts(data), client=self) for data in found["sandboxes"]]

    def close(self, sandbox: str) -> None:
        """End a sandbox and everything in it; again changes nothing."""
        self.run(once(Call("DELETE", _at(sandbox), timeout_s=60.0)))

    def handoff(self, handoff: str) -> dict[str, Any]:
        """Return a handoff as it stands, in its wire form."""
        return dict(self.run(once(_named(handoff))))

    def cancel(self, handoff: str) -> dict[str, Any]:
        """Withdraw an open handoff; the agent gets control back."""
        return dict(self.run(once(Call("POST", f"{_named(handoff).path}/cancel"))))

    def ask(self, sandbox: str, body: Json, timeout_s: float) -> HandoffResult:
        """Ask for a human and wait for the outcome; `request_handoff` is the comfortable form."""
        return self.server.result(self.run(ask(sandbox, body, timeout_s, time.monotonic)))

    def begin(self, sandbox: str, body: Json, timeout_s: float) -> dict[str, Any]:
        """Ask for a human and go on; returns the handoff as it stands. `wait` with its id gets the outcome."""
        return dict(self.run(begin(sandbox, body, timeout_s, time.monotonic)))

    def extend(self, handoff: str, timeout_s: float) -> dict[str, Any]:
        """Let an open handoff wait until `timeout_s` from now, never shorter than before; returns it as it stands."""
        return dict(self.run(extend(_quoted(handoff), timeout_s, time.monotonic)))

    @overload
    def wait(self, handoff: str) -> HandoffResult: ...

    @overload
    def wait(self, handoff: str, timeout_s: float) -> HandoffResult | None: ...

    def wait(self, handoff: str, timeout_s: float | None = None) -> HandoffResult | None:
        """Wait for a handoff by its id; None when it is still open after `timeout_s`: then call again.

        The server may be restarted meanwhile. Raises `ServerUnreachable` when it stays away.
        """
        found = self.run(follow(_quoted(handoff), time.monotonic, timeout_s))
        return None if found is None else self.server.result(found)

    def reattach(self, handoff: str) -> HandoffResult:
        """Wait for a handoff that was asked for before, maybe by another process, for as long as it takes."""
        return self.wait(handoff)

    def run[T](self, flow: Flow[T]) -> T:
        """Drive a flow to its end."""
        answer: Reply | Lost | None = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                answer = None
                continue
            try:
                answer = _reply(self._http.request(step.method, step.path, json=step.body, timeout=step.timeout_s))
            except httpx.TransportError as error:
                answer = Lost(_why(error))


class AsyncClient:
    """An asyncio client. Give `url` and `token`, or set BATON_URL and BATON_TOKEN; use it with `async with`."""

    def __init__(self, url: str | None = None, token: str | None = None, *, verify: Verify = True) -> None:
        self.server = Server.of(url, token, verify)
        self._http = httpx.AsyncClient(**self.server.options())

    def __repr__(self) -> str:
        return f"<AsyncClient {self.server.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def disconnect(self) -> None:
        """Close the client's connections; sandboxes and handoffs live on."""
        await self._http.aclose()

    async def open(
        self, url: str | None = None, *, width: int | None = None, height: int | None = None, name: str | None = None
    ) -> Sandbox:
        """Open a sandbox, its first tab on `url`."""
        return Sandbox(**_facts(await self.run(once(_opening(url, width, height, name)))), client=self)

    async def list(self) -> list[Sandbox]:
        """List the open sandboxes of this token."""
        found = await self.run(once(Call("GET", "/sandboxes")))
        return [Sandbox(**_facts(data), client=self) for data in found["sandboxes"]]

    async def close(self, sandbox: str) -> None:
        """End a sandbox and everything in it; again changes nothing."""
        await self.run(once(Call("DELETE", _at(sandbox), timeout_s=60.0)))

    async def handoff(self, handoff: str) -> dict[str, Any]:
        """Return a handoff as it stands, in its wire form."""
        return dict(await self.run(once(_named(handoff))))

    async def cancel(self, handoff: str) -> dict[str, Any]:
        """Withdraw an open handoff; the agent gets control back."""
        return dict(await self.run(once(Call("POST", f"{_named(handoff).path}/cancel"))))

    async def ask(self, sandbox: str, body: Json, timeout_s: float) -> HandoffResult:
        """Ask for a human and wait for the outcome; `request_handoff` is the comfortable form."""
        return self.server.result(await self.run(ask(sandbox, body, timeout_s, time.monotonic)))

    async def begin(self, sandbox: str, body: Json, timeout_s: float) -> dict[str, Any]:
        """Ask for a human and go on; returns the handoff as it stands. `wait` with its id gets the outcome."""
        return dict(await self.run(begin(sandbox, body, timeout_s, time.monotonic)))

    async def extend(self, handoff: str, timeout_s: float) -> dict[str, Any]:
        """Let an open handoff wait until `timeout_s` from now, never shorter than before; returns it as it stands."""
        return dict(await self.run(extend(_quoted(handoff), timeout_s, time.monotonic)))

    @overload
    async def wait(self, handoff: str) -> HandoffResult: ...

    @overload
    async def wait(self, handoff: str, timeout_s: float) -> HandoffResult | None: ...

    async def wait(self, handoff: str, timeout_s: float | None = None) -> HandoffResult | None:
        """Wait for a handoff by its id; None when it is still open after `timeout_s`: then call again.

        The server may be restarted meanwhile. Raises `ServerUnreachable` when it stays away.
        """
        found = await self.run(follow(_quoted(handoff), time.monotonic, timeout_s))
        return None if found is None else self.server.result(found)

    async def reattach(self, handoff: str) -> HandoffResult:
        """Wait for a handoff that was asked for before, maybe by another process, for as long as it takes."""
        return await self.wait(handoff)

    async def run[T](self, flow: Flow[T]) -> T:
        """Drive a flow to its end."""
        answer: Reply | Lost | None = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                answer = None
                continue
            try:
                answer = _reply(
                    await self._http.request(step.method, step.path, json=step.body, timeout=step.timeout_s)
                )
            except httpx.TransportError as error:
                answer = Lost(_why(error))
