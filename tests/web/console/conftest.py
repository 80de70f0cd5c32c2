"""The real pages around canned services, in a real Chromium: what the console shows, without a sandbox behind it."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from agent_bridge.access.words import Caller, Operator
from agent_bridge.words import Role
from sandbox.screen import Rect, Size
from sandbox.words import OperatorId
from streaming.ops import Coding, Flag, Frame, Video, pack_frame
from web import pages
from web.guard import SecurityHeaders
from web.signin import signed_in

ME = Operator(OperatorId("op_me"), "Ada")
AXE = Path(__file__).resolve().parents[3] / "node_modules/axe-core/axe.min.js"
WIDTH, HEIGHT = 1280, 720
DECISION = {
    "mode": "drive", "scene": "text", "network": "near", "fps": 60, "quality": 90, "rate_kbps": 12_000, "way": "socket",
}  # fmt: skip

LIMITS = {
    "lease_s": 20, "heartbeat_s": 5, "grace_s": 60, "idle_s": 600, "idle_warning_s": 30, "ceiling_s": 3600,
    "extension_s": 1800, "deadline_s": 1800, "max_deadline_s": 86400, "drain_s": 2,
}  # fmt: skip

Json = dict[str, Any]


def picture() -> bytes:
    """A page as the remote browser might show it."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "#ffffff")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH, 72), fill="#0b3d2e")
    draw.rectangle((440, 180, 840, 560), outline="#d0d4da", width=2)
    for y in range(220, 520, 40):
        draw.rectangle((480, y, 800, y + 16), fill="#e6e9ee")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def agent() -> Json:
    """The agent as holder."""
    return {"side": "agent", "operator": None, "name": None}


def nobody() -> Json:
    """Nobody as holder."""
    return {"side": "nobody", "operator": None, "name": None}


def person(operator: str, name: str) -> Json:
    """A human as holder."""
    return {"side": "operator", "operator": operator, "name": name}


def a_handoff(sandbox: str = "sb_1", **changes: Any) -> Json:
    """A waiting handoff."""
    now = time.time()
    base = {
        "id": f"ho_{sandbox}", "sandbox": sandbox, "state": "waiting", "kind": "captcha",
        "instructions": "Type the letters you see in the picture, then press Submit.",
        "condition": {"url": "*?ok*"}, "site": "https://shop.example", "url": "https://shop.example/register",
        "title": "Register", "asked_by": "agent", "created_at": now - 75, "deadline_at": now + 900, "waited_s": 75.0,
        "lease": None, "result": None, "late": [],
    }  # fmt: skip
    return {**base, **changes}


@dataclass
class Canned:
    """What the server would know, and what it does when the console asks."""

    handoffs: dict[str, Json] = field(default_factory=dict)
    past: list[Json] = field(default_factory=list)
    sandboxes: dict[str, Json] = field(default_factory=dict)
    control: dict[str, Json] = field(default_factory=dict)
    tabs: list[Json] = field(default_factory=list)
    prompts: list[Json] = field(default_factory=list)
    parts: list[Json] = field(default_factory=list)
    asked: list[tuple[str, Json]] = field(default_factory=list)
    heard: list[Json] = field(default_factory=list)
    blockers: dict[str, list[Json]] = field(default_factory=dict)
    approvals: list[Json] = field(default_factory=list)
    idle_s: float = 600.0
    ceiling_s: float = 3600.0
    extended: bool = False
    link: int = 200
    caller: Caller | None = field(default_factory=lambda: Caller("si_1", Role.OPERATOR, ME, sign_in=True))
    live_code: int | None = None
    answering: bool = True
    listeners: list[asyncio.Queue[Json]] = field(default_factory=list)
    viewers: list[asyncio.Queue[Json]] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None

    def open(
        self, sandbox: str = "sb_1", *, holder: Json | None = None, phase: str = "agent", handoff: Json | None = None
    ) -> None:
        """Open a sandbox, with or without a handoff."""
        holder = holder or agent()
        self.sandboxes[sandbox] = {
            "id": sandbox, "name": "demo", "state": phase, "holder": holder, "epoch": 4, "cdp_url": None,
            "created_at": time.time() - 600, "width": WIDTH, "height": HEIGHT, "isolation": "uid",
        }  # fmt: skip
        self.control[sandbox] = {
            "sandbox": sandbox, "phase": phase, "holder": holder, "epoch": 4, "since": time.time() - 60,
            "handoff": handoff, "trouble": None, "requests": [], "last": None,
        }  # fmt: skip
        if handoff:
            self.handoffs[handoff["id"]] = handoff
        self.tabs = [{"id": "t1", "url": "https://shop.example/register", "title": "Register", "active": True}]

    def wait(self, sandbox: str = "sb_1", **changes: Any) -> Json:
        """Open a sandbox whose agent waits for a human."""
        handoff = a_handoff(sandbox, **changes)
        self.open(sandbox, holder=nobody(), phase="waiting", handoff=handoff)
        return handoff

    def tell(self, message: Json) -> None:
        """Push to every console, from any thread."""
        self._put(self.listeners, {**message, "now": time.time()})

    def show(self, message: Json) -> None:
        """Push to every live view, from any thread."""
        self._put(self.viewers, message)

    def _put(self, queues: list[asyncio.Queue[Json]], message: Json) -> None:
        assert self.loop is not None
        for queue in list(queues):
            self.loop.call_soon_threadsafe(queue.put_nowait, message)

    def hold(self, sandbox: str, holder: Json, phase: str, handoff: Json | None, last: Json | None = None) -> Json:
        """Give control to somebody, and say so everywhere."""
        view = self.control[sandbox]
        view = {
            **view,
            "holder": holder,
            "phase": phase,
            "epoch": view["epoch"] + 1,
            "since": time.time(),
            "handoff": handoff,
            "requests": [],
            "last": last,
        }
        self.control[sandbox] = view
        self.tell({"type": "control", "control": view})
        self.show({"t": "control", "holder": holder, "epoch": view["epoch"], "mine": holder["operator"] == ME.id})
        return view

    def lease(self) -> Json:
        """How long the lease runs, from now."""
        now = time.time()
        ends = {"expires_at": now + 20, "idle_at": now + self.idle_s, "ends_at": now + self.ceiling_s}
        return {**ends, "extended": self.extended}

    def between(self, sandbox: str, verb: str, body: Json) -> Json:
        """What passes between operators."""
        view = self.control[sandbox]
        asking = [one for one in view["requests"] if one["operator"]["id"] != body.get("operator", ME.id)]
        if verb == "give":
            move = {"how": "given", "by": ME.name, "from": ME.name, "at": time.time()}
            return self.hold(sandbox, person("op_kim", "Kim"), "held", view["handoff"], move)
        if verb == "request":
            asking.append({"operator": ME.to_wire(), "note": "", "at": time.time()})
        self.control[sandbox] = view = {**view, "requests": asking}
        self.tell({"type": "control", "control": view})
        return view

    def act(self, sandbox: str, verb: str, body: Json) -> tuple[int, Json]:
        """Answer one control request as the broker would."""
        self.asked.append((verb, body))
        view = self.control[sandbox]
        handoff = view["handoff"]
        if verb == "take":
            handoff = {**(handoff or a_handoff(sandbox, asked_by="operator", condition=None)), "state": "held"}
            lease = {"operator": ME.to_wire(), "epoch": view["epoch"] + 1, "since": time.time(), **self.lease()}
            view = self.hold(sandbox, person(ME.id, ME.name), "held", {**handoff, "lease": lease})
            return 200, {"epoch": view["epoch"], "lease": lease, "handoff": view["handoff"]}
        if verb == "check":
            return 200, {"met": all(part["met"] for part in self.parts), "parts": self.parts}
        if verb in {"heartbeat", "stay", "extend"}:
            self.idle_s = 600 if verb == "stay" else self.idle_s
            self.ceiling_s, self.extended = (5400.0, True) if verb == "extend" else (self.ceiling_s, self.extended)
            return 200, self.lease()
        if verb in {"request", "give", "deny"}:
            return 200, self.between(sandbox, verb, body)
        unmet = [part for part in self.parts if not part["met"]]
        if verb == "done" and unmet and not body.get("override"):
            error = {"error": "ConditionsNotMet", "kind": "conflict", "message": "it does not hold yet"}
            return 409, {**error, "parts": self.parts}
        if verb == "release" and handoff["asked_by"] == "agent":
            handoff = {**handoff, "state": "waiting", "lease": None}
            self.hold(sandbox, nobody(), "waiting", handoff)
            return 200, handoff
        state = {"done": "resolved", "release": "cancelled"}.get(verb, verb)
        result = {
            "handoff": handoff["id"],
            "outcome": state,
            "note": body.get("note", ""),
            "operator": ME.name,
            "duration_s": 14.0,
        }
        handoff = {**handoff, "state": state, "lease": None, "result": result}
        self.hold(sandbox, agent(), "agent", None)
        self.tell({"type": "handoff", "handoff": handoff})
        return 200, handoff


def make_app(canned: Canned) -> FastAPI:
    """The real pages, and the API in cardboard."""
    app = FastAPI()

    @app.post("/v1/sandboxes/{sandbox}/control/{verb}")
    async def control(sandbox: str, verb: str, request: Request) -> JSONResponse:
        status, body = canned.act(sandbox, verb, await request.json())
        return JSONResponse(body, status)

    @app.post("/v1/approvals/{approval}/{verb}")
    async def decide(approval: str, verb: str, request: Request) -> JSONResponse:
        canned.asked.append((f"{approval} {verb}", await request.json()))
        [found] = [one for one in canned.approvals if one["id"] == approval]
        found = {**found, "state": {"approve": "approved", "decline": "declined"}[verb], "decided_by": ME.name}
        canned.tell({"type": "approval", "approval": found})
        return JSONResponse(found)

    @app.get("/v1/handoffs")
    async def handoffs() -> Json:
        return {"handoffs": [*canned.handoffs.values(), *canned.past]}

    @app.get("/v1/sandboxes/{sandbox}/thumbnail.jpg")
    async def thumbnail(sandbox: str) -> Response:
        return Response(picture(), media_type="image/jpeg")

    @app.post("/v1/links/redeem")
    async def redeem() -> JSONResponse:
        errors = {410: "LinkExpired", 409: "LinkUsed", 404: "LinkUnknown"}
        body = (
            {"location": "/"} if canned.link == 200 else {"error": errors[canned.link], "kind": "gone", "message": "no"}
        )
        return JSONResponse(body, canned.link)

    @app.websocket("/v1/events")
    async def events(socket: WebSocket) -> None:
        canned.loop = asyncio.get_running_loop()
        await socket.accept()
        snapshot = {
            "type": "snapshot", "queue": list(canned.handoffs.values()), "sandboxes": list(canned.sandboxes.values()),
            "control": canned.control, "limits": LIMITS, "blockers": canned.blockers, "approvals": canned.approvals,
            "now": time.time(),
        }  # fmt: skip
        queue: asyncio.Queue[Json] = asyncio.Queue()
        canned.listeners.append(queue)
        queue.put_nowait(snapshot)
        await _serve(socket, queue, canned.listeners, [])

    @app.websocket("/v1/sandboxes/{sandbox}/live")
    async def live(socket: WebSocket, sandbox: str) -> None:
        await socket.accept()
        if canned.live_code is not None:
            await socket.close(canned.live_code)
            return
        await _first_picture(socket, canned, sandbox)
        queue: asyncio.Queue[Json] = asyncio.Queue()
        canned.viewers.append(queue)
        await _serve(socket, queue, canned.viewers, canned.heard)

    app.add_middleware(SecurityHeaders, tls=False)
    pages.install(app)

    async def knows(sandbox: str) -> bool:
        return sandbox in canned.sandboxes

    app.dependency_overrides[signed_in] = lambda: canned.caller
    app.dependency_overrides[pages.known] = knows
    return app


async def _first_picture(socket: WebSocket, canned: Canned, sandbox: str) -> None:
    await socket.receive_text()
    view = canned.control[sandbox]
    mine = view["holder"]["operator"] == ME.id
    for message in (
        {"t": "hello", "sandbox": sandbox, "viewer": "vw_1", "width": WIDTH, "height": HEIGHT},
        {"t": "stream", "kind": "jpeg", "masked": False},
        {"t": "control", "holder": view["holder"], "epoch": view["epoch"], "mine": mine},
        {"t": "tabs", "tabs": canned.tabs},
        {"t": "prompts", "prompts": canned.prompts},
    ):
        await socket.send_text(json.dumps(message))
    shown = Video(0, Coding.JPEG, True, Rect(0, 0, WIDTH, HEIGHT), picture())
    await socket.send_bytes(pack_frame(Frame(1, 0, (shown,), Flag.KEY, Size(WIDTH, HEIGHT))))


async def _serve(
    socket: WebSocket, queue: asyncio.Queue[Json], among: list[asyncio.Queue[Json]], heard: list[Json]
) -> None:
    async def listen() -> None:
        try:
            while True:
                message = json.loads(await socket.receive_text())
                heard.append(message)
                if message.get("t") == "ping":
                    queue.put_nowait({"t": "pong", "c": message["c"], "fps": 0, "encode_ms": 1, "viewers": 1,
                                      "decision": DECISION})  # fmt: skip
        except (WebSocketDisconnect, RuntimeError):
            queue.put_nowait({"close": None})

    task = asyncio.create_task(listen())
    try:
        while "close" not in (message := await queue.get()):
            await socket.send_text(json.dumps(message))
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        among.remove(queue)
        task.cancel()
        if isinstance(message.get("close"), int):
            await socket.close(message["close"])


class Console:
    """The canned server and how to look at it."""

    def __init__(self) -> None:
        self.canned = Canned()
        self._app: Any = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand over to the application of the test that runs."""
        await self._app(scope, receive, send)

    def fresh(self) -> None:
        """Forget everything."""
        self.canned = Canned(loop=self.canned.loop)
        self._app = make_app(self.canned)

    def start(self) -> None:
        """Listen, on the port of the last time if there was one."""
        config = uvicorn.Config(
            self, host="127.0.0.1", port=self.port, log_level="error", lifespan="off", ws="websockets-sansio",
            timeout_graceful_shutdown=0,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop answering."""
        assert self._server is not None
        assert self._thread is not None
        self._server.should_exit = True
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def cardboard() -> Iterator[Console]:
    """One server for all console tests."""
    console = Console()
    console.fresh()
    console.start()
    yield console
    console.stop()


@pytest.fixture
def console(cardboard: Console) -> Console:
    """The server with nothing in it yet."""
    cardboard.fresh()
    return cardboard


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The operator's browser. It ends with its module: Playwright's blocking API keeps an event loop running."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


def watch(page: Page, problems: list[str]) -> None:
    """Collect whatever the browser complains about: errors, and violations of the content security policy."""
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None)


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile, without motion."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(8000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that must not complain."""
    page = context.new_page()
    problems: list[str] = []
    watch(page, problems)
    yield page
    assert [p for p in problems if "Failed to load resource" not in p and "WebSocket connection" not in p] == []


def axe(page: Page) -> list[str]:
    """What axe-core finds wrong with the page as it stands."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed; `make setup` installs it")
    # evaluated through the protocol, which the page's content security policy does not stop
    page.evaluate(AXE.read_text())
    found: list[Json] = page.evaluate("axe.run({resultTypes: ['violations']}).then(r => r.violations)")
    return [f"{one['id']}: {one['help']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


def many(canned: Canned) -> None:
    """A queue with three in it, one of them in somebody's hands."""
    now = time.time()
    canned.wait(
        "sb_2", id="ho_2", kind="credentials", instructions="Sign in to the supplier portal.",
        site="https://suppliers.example", created_at=now - 402, deadline_at=now + 20,
    )  # fmt: skip
    canned.wait()
    lease = {"operator": {"id": "op_kim", "name": "Kim"}, "epoch": 5, "since": now - 20, "expires_at": now + 20}
    canned.wait(
        "sb_3", id="ho_3", kind="approval", instructions="Approve the order of 12 chairs for 1,480 €", state="held",
        site="https://furniture.example", lease=lease, created_at=now - 30,
    )  # fmt: skip
