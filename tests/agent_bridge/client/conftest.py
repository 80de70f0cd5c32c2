"""A real server for the client: uvicorn, the handoff routes, a real broker on a real database, fake keepers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from agent_bridge.access.words import Operator
from agent_bridge.control.asking import read_request
from agent_bridge.control.broker import Broker
from agent_bridge.control.testing import SB, World
from sandbox.words import BatonError, HandoffId, OperatorId, SandboxId, Unauthenticated

TOKEN = "bt_test"
ANN = Operator(OperatorId("op_ann"), "Ann")


class Backend:
    """A server that can be stopped and started again on the same port and database."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broker: Broker | None = None
        self.asked = 0
        self.dropped = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def app(self, broker: Broker) -> FastAPI:
        """The routes that the client uses, as docs/architecture.md has them."""
        app = FastAPI()
        now = self.world.clock.now

        @app.exception_handler(BatonError)
        async def ours(_request: Request, error: Exception) -> JSONResponse:
            assert isinstance(error, BatonError)
            return JSONResponse(error.to_wire(), error.codes.http)

        @app.middleware("http")
        async def token(request: Request, call_next):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - starlette's
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                error = Unauthenticated("this token is not known here")
                return JSONResponse(error.to_wire(), 401)
            return await call_next(request)

        sandbox_routes(app, broker)

        @app.post("/v1/sandboxes/{one}/handoffs")
        async def ask(one: str, request: Request) -> JSONResponse:
            self.asked += 1
            asked = await broker.ask(SandboxId(one), read_request(await request.json(), broker.settings))
            if self.dropped:
                self.dropped -= 1
                return JSONResponse({}, 503)
            return JSONResponse(asked.handoff.to_wire(now()), 201 if asked.new else 200)

        @app.get("/v1/handoffs/{one}")
        async def look(one: str, wait_s: float = 0) -> object:
            found = await broker.wait(HandoffId(one), wait_s) if wait_s else await broker.get(HandoffId(one))
            return found.to_wire(now())

        @app.post("/v1/handoffs/{one}/cancel")
        async def cancel(one: str) -> object:
            return (await broker.cancel(HandoffId(one))).to_wire(now())

        @app.post("/v1/handoffs/{one}/extend")
        async def extend(one: str, request: Request) -> object:
            said = (await request.json())["timeout_s"]
            return (await broker.extend_handoff(HandoffId(one), said)).to_wire(now())

        @app.get("/v1/handoffs/{one}/images/{name}.jpg")
        async def image(one: str, name: str) -> Response:
            return Response(self.world.images.kept[HandoffId(one), name], media_type="image/jpeg")

        return app

    async def start(self) -> None:
        """Start a server on what is there."""
        self.broker = await self.world.broker()
        config = uvicorn.Config(self.app(self.broker), port=self.port, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined, method-assign, unused-ignore]
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(5):
            while not self._server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """End it with its connections, as a crash does for those who wait."""
        assert self._server is not None
        assert self._task is not None
        assert self.broker is not None
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        self._server.force_exit = self._server.should_exit = True
        await self.broker.stop()
        await asyncio.gather(self._task, return_exceptions=True)

    async def human(self, note: str = "typed it") -> None:
        """Solve the next handoff as an operator would."""
        assert self.broker is not None
        async with asyncio.timeout(5):
            while not await self.broker.queue():  # noqa: ASYNC110 - a human looks now and then
                await asyncio.sleep(0.01)
        taken = await self.broker.take(SB, ANN)
        await self.broker.done(SB, ANN, taken.epoch, note)


def sandbox_routes(app: FastAPI, broker: Broker) -> None:
    """Add the routes of the one sandbox."""
    sandbox = {"id": SB, "name": "shop", "state": "open", "width": 1280, "height": 720, "cdp_url": "ws://x/cdp"}

    @app.post("/v1/sandboxes", status_code=201)
    async def open_one(request: Request) -> dict[str, object]:
        return {**sandbox, "name": (await request.json()).get("name") or "shop"}

    @app.get("/v1/sandboxes")
    async def list_them() -> dict[str, object]:
        return {"sandboxes": [sandbox]}

    @app.delete("/v1/sandboxes/{one}", status_code=204)
    async def close_one(one: str) -> Response:
        await broker.close(SandboxId(one))
        return Response(status_code=204)


@pytest.fixture
async def backend(world: World) -> AsyncIterator[Backend]:
    """A running server with one sandbox."""
    made = Backend(world)
    await made.start()
    assert made.broker is not None
    await made.broker.sandbox_opened(SB)
    yield made
    with contextlib.suppress(Exception):
        await made.stop()
