"""A real server over real sockets: SQLite, broker, keepers as processes (without browsers), callers of each role."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from agent_bridge.store.database import Database
from agent_bridge.words import Role
from sandbox.host.keepers import Keepers
from sandbox.words import SandboxId, SystemClock
from web.app import create_app, server_options
from web.services import Services, compose
from web.settings import Settings

FAKE_KEEPER = (sys.executable, str(Path(__file__).with_name("fake_keeper.py")))


@dataclass
class Served:
    """A running server and ways to call it."""

    services: Services
    url: str
    http: httpx.AsyncClient
    tokens: dict[str, str] = field(default_factory=dict)

    def bearer(self, who: str) -> dict[str, str]:
        """Headers of the caller `who`."""
        return {"Authorization": f"Bearer {self.tokens[who]}"} if who in self.tokens else {}

    async def call(self, method: str, path: str, who: str = "", **given: Any) -> httpx.Response:
        """Send a request as `who`."""
        headers = {**self.bearer(who), **given.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **given)

    async def token(self, who: str, role: Role) -> None:
        """Make a token for `who`."""
        _, self.tokens[who] = await self.services.access.create_token(who, role)

    async def open(self, who: str = "agent", **said: Any) -> dict[str, Any]:
        """Open a sandbox as `who`."""
        answer = await self.call("POST", "/v1/sandboxes", who, json=said)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def ask(self, sandbox: str, who: str = "agent", **said: Any) -> dict[str, Any]:
        """Ask for a human as `who`, and wait until the handoff is offered."""
        body = {"kind": "captcha", "instructions": "Type the letters.", **said}
        answer = await self.call("POST", f"/v1/sandboxes/{sandbox}/handoffs", who, json=body)
        assert answer.status_code in {200, 201}, answer.text
        handoff: dict[str, Any] = answer.json()
        return handoff

    async def take(self, sandbox: str, who: str = "operator") -> int:
        """Take control as `who`; returns the epoch."""
        answer = await self.call("POST", f"/v1/sandboxes/{sandbox}/control/take", who, json={})
        assert answer.status_code == 200, answer.text
        epoch: int = answer.json()["epoch"]
        return epoch

    async def approval(self, sandbox: str, who: str = "agent", **said: Any) -> dict[str, Any]:
        """Ask for an approval as `who`, once the agent has control."""
        await self.settle(sandbox)
        body = {"target": "t", "method": "Page.reload", "reason": "It hangs.", **said}
        answer = await self.call("POST", f"/v1/sandboxes/{sandbox}/approvals", who, json=body)
        assert answer.status_code == 201, answer.text
        approval: dict[str, Any] = answer.json()
        return approval

    async def sign_in(self) -> dict[str, str]:
        """Redeem a fresh link as a browser would; returns the headers a page of ours sends."""
        _, url = await self.services.access.create_link()
        answer = await self.http.post(
            "/v1/links/redeem", json={"token": url.partition("#")[2]}, headers={"Origin": self.url}
        )
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"].partition(";")[0]
        self.http.cookies.clear()
        return {"Cookie": cookie, "Origin": self.url}

    async def settle(self, sandbox: str, *, asked: bool = False, taken: bool = False) -> tuple[str, int]:
        """Bring a sandbox of `agent` to a state: idle, asked, or taken by `operator`; returns handoff and epoch."""
        view = (await self.services.broker.view(SandboxId(sandbox))).handoff
        if view is not None:
            await self.services.broker.cancel(view.id)
        if not asked and not taken:
            return "", 0
        handoff = await self.ask(sandbox, condition={"text": "met"})
        return handoff["id"], await self.take(sandbox) if taken else 0

    def socket(self, path: str, who: str = "", **given: Any) -> connect:
        """Open a WebSocket as `who`."""
        headers = {**self.bearer(who), **given.pop("headers", {})}
        return connect(
            f"ws{self.url.removeprefix('http')}{path}", additional_headers=headers, max_size=None, proxy=None,
            compression=None, **given,
        )  # fmt: skip


async def closes(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Read a WebSocket to its end; returns code and reason."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                await socket.recv()
    return socket.close_code, socket.close_reason


@contextlib.asynccontextmanager
async def serving(settings: Settings, keeper: Sequence[str] = FAKE_KEEPER) -> AsyncIterator[Served]:
    """Run a server with these settings on a free port; `keeper` starts its keepers."""
    plug = socket.socket()
    plug.bind(("127.0.0.1", 0))
    settings = settings.model_copy(update={"port": plug.getsockname()[1]})
    database = await Database.open(settings.state_dir)
    keepers = Keepers(settings.state_dir, keeper, adoption_s=5, launch_s=20)
    services = compose(settings, SystemClock(), database, keepers)
    await services.start()
    config = uvicorn.Config(create_app(services), **{**server_options(settings), "loop": "none"})
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[plug]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.005)
        url = f"http://127.0.0.1:{settings.port}"
        async with httpx.AsyncClient(base_url=url, timeout=20) as http:
            yield Served(services, url, http)
    finally:
        server.should_exit = True
        await running
        await services.stop(close_sandboxes=True)
        await database.close()


def quick(state_dir: Path, **given: Any) -> Settings:
    """Settings for tests: short times, many failures allowed."""
    return Settings(**{"state_dir": state_dir, "drain_s": 0, "failures_per_minute": 1000, "max_sandboxes": 50, **given})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One server for a whole module, with a caller of each role and a second agent and operator."""
    async with serving(quick(tmp_path_factory.mktemp("state"))) as served:
        for role in Role:
            await served.token(role.value, role)
        await served.token("agent-2", Role.AGENT)
        await served.token("operator-2", Role.OPERATOR)
        yield served
