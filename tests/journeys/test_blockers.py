"""Blockers with a real server and browser: told to the agent, or a human asked for, as the policy says."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from tests.journeys.operators import Operator
from tests.journeys.servers import Server
from web.demo.sites import free_port

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

LOGIN = """<!doctype html><title>Sign in</title><h1>Sign in</h1><form action=/in method=post>
<label>E-mail <input name=email type=email autocomplete=username></label>
<label>Password <input name=password type=password autocomplete=current-password></label>
<button>Sign in</button></form>"""
CAPTCHA = """<!doctype html><title>One more step</title><h1>Prove that you are human</h1><form>
<div class=g-recaptcha data-sitekey=6LeIxAcTAAAAAJcZVRqyHh71UMIEGNQ_MXjiZKhI></div>
<img src=/captcha/image/1/ alt=captcha class=captcha><input name=captcha_1 placeholder="Type the letters">
<button>Go on</button></form>
<script src=/recaptcha/api.js></script>
<iframe title=reCAPTCHA src="/recaptcha/api2/anchor?k=1" width=304 height=78></iframe>"""
SEARCH = """<!doctype html><title>Books</title><h1>Books</h1><form><input name=q type=search><button>Go</button></form>
<p>A shop for books about gardens, rivers and bridges.</p>"""
PAGES = {"/login": LOGIN, "/captcha": CAPTCHA, "/search": SEARCH}


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Serve the pages."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = PAGES.get(self.path, "<!doctype html><p>Robot check</p>").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@dataclass
class Agent:
    """A CDP client on the first page, which listens to Baton's events."""

    socket: ClientConnection
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command; returns the whole reply."""
        number = next(self._numbers)
        session = {"sessionId": self.session} if self.session else {}
        await self.socket.send(json.dumps({"id": number, "method": method, "params": params, **session}))
        while (message := await self._next()).get("id") != number:
            self.events.append(message)
        return message

    async def event(self, method: str) -> dict[str, Any]:
        """Return the parameters of the next such event."""
        while not (found := [each for each in self.events if each.get("method") == method]):
            self.events.append(await self._next())
        self.events.remove(found[0])
        params: dict[str, Any] = found[0]["params"]
        return params

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 20))
        return message


@dataclass
class World:
    """A server, an agent's HTTP, an operator, and the site."""

    server: Server
    http: httpx.AsyncClient
    operator: Operator
    site: str

    @asynccontextmanager
    async def agent(self, **said: Any) -> AsyncIterator[tuple[str, Agent]]:
        """Open a sandbox and connect to it."""
        reply = await self.http.post("/sandboxes", json=said)
        assert reply.status_code == 201, reply.text
        sandbox = reply.json()
        async with connect(sandbox["cdp_url"], max_size=None, proxy=None) as socket:
            agent = Agent(socket)
            targets = (await agent.call("Target.getTargets"))["result"]["targetInfos"]
            page = next(each for each in targets if each["type"] == "page")
            reply_ = await agent.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
            agent.session = reply_["result"]["sessionId"]
            await agent.call("Baton.enable")
            yield sandbox["id"], agent
        await self.http.delete(f"/sandboxes/{sandbox['id']}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, site: str) -> AsyncIterator[World]:
    """A server that asks a human at CAPTCHAs."""
    state = tmp_path_factory.mktemp("blockers") / "state"
    state.mkdir(mode=0o700)
    server = Server(state, free_port(), {"BATON_BLOCKERS": "captcha=ask"})
    await server.start()
    bearer = {"Authorization": f"Bearer {await server.token()}"}
    async with (
        httpx.AsyncClient(base_url=f"{server.url}/v1", headers=bearer, timeout=30) as http,
        Operator.signed_in(server) as operator,
    ):
        yield World(server, http, operator, site)
    await server.stop()


@pytest.mark.full
async def test_a_login_page_is_offered_to_the_agent(world: World) -> None:
    """The agent goes on; it is told, can ask, and so can REST and the console. An ordinary form tells nobody."""
    async with world.agent() as (sandbox, agent):
        await agent.call("Page.navigate", url=f"{world.site}/search")
        await agent.call("Page.navigate", url=f"{world.site}/login")
        told = await agent.event("Baton.blockerDetected")

        assert [each["kind"] for each in told["findings"]] == ["credentials"]
        assert told["findings"][0]["policy"] == "offer"
        assert "handoffId" not in told
        assert told["url"] == f"{world.site}/login"
        asked = (await agent.call("Baton.getBlockers"))["result"]
        rest = (await world.http.get(f"/sandboxes/{sandbox}/blockers")).json()
        assert rest["pages"] == asked["pages"]
        assert (rest["policies"]["captcha"], rest["policies"]["consent"]) == ("ask", "offer")
        assert [h for h in await world.operator.queue() if h["sandbox"] == sandbox] == []

        await agent.call("Page.navigate", url=f"{world.site}/search")
        assert (await agent.event("Baton.blockerGone"))["kinds"] == ["credentials"]
        # Nothing comes for the search form, in a time in which the login page was told twice over.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(agent.event("Baton.blockerDetected"), 2.5)


async def test_a_captcha_stops_the_agent_and_a_human_is_asked_for(world: World) -> None:
    """The handoff is the platform's: it has instructions, the agent cannot withdraw it, and a human ends it."""
    async with world.agent(url=f"{world.site}/captcha") as (sandbox, agent):
        handoff = await world.operator.handoff(sandbox, "waiting")
        assert (handoff["kind"], handoff["asked_by"]) == ("captcha", "platform")
        assert "CAPTCHA" in handoff["instructions"]
        assert handoff["url"] == f"{world.site}/captcha"
        told = await agent.event("Baton.blockerDetected")
        assert told["handoffId"] == handoff["id"]
        refused = await agent.call("Runtime.evaluate", expression="1")
        assert "a human is awaited" in refused["error"]["message"]
        withdrawn = await agent.call("Baton.cancelHandoff", handoffId=handoff["id"])
        assert "policy" in withdrawn["error"]["message"]

        epoch = await world.operator.take(sandbox)
        await world.operator.say(sandbox, "done", epoch, note="solved")
        completed = await agent.event("Baton.handoffCompleted")
        assert (completed["handoffId"], completed["outcome"]) == (handoff["id"], "resolved")
        # The page still shows it. It was told and asked for in this document; nobody is asked twice.
        assert (await agent.call("Runtime.evaluate", expression="1"))["result"]["result"]["value"] == 1
        await asyncio.sleep(2)
        assert [h for h in await world.operator.queue() if h["sandbox"] == sandbox] == []


@pytest.mark.full
async def test_an_agent_cannot_loosen_a_policy(world: World) -> None:
    """It may ask for more humans than the server, not for fewer."""
    refused = await world.http.post("/sandboxes", json={"blockers": {"captcha": "ignore"}})
    unknown = await world.http.post("/sandboxes", json={"blockers": {"hunger": "ask"}})

    assert (refused.status_code, unknown.status_code) == (403, 422)
    assert "captcha" in refused.json()["message"]
    async with world.agent(blockers={"credentials": "ask", "stuck": "ask"}, url=f"{world.site}/login") as (sandbox, _):
        assert (await world.operator.handoff(sandbox, "waiting"))["kind"] == "credentials"


@pytest.mark.full
async def test_the_same_click_three_times_is_stuck(world: World) -> None:
    """Heard at the gate, from any client; here a human is asked for at once."""
    async with world.agent(blockers={"stuck": "ask"}, url=f"{world.site}/search") as (sandbox, agent):
        # On a machine that is busy the first ones may come before the page was looked at.
        for _ in range(6):
            await asyncio.sleep(0.7)
            for type_ in ("mousePressed", "mouseReleased"):
                await agent.call("Input.dispatchMouseEvent", type=type_, x=300, y=300, button="left", clickCount=1)

        handoff = await world.operator.handoff(sandbox, "waiting")
        assert (handoff["kind"], handoff["asked_by"]) == ("stuck", "platform")
