"""A keeper moves control in the right order, serves the agent through the gate, and stops all without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request, Response

from sandbox import processes
from sandbox.host import KeeperLink, Keepers, SandboxSpec
from sandbox.keeper.files import KeeperRecord
from sandbox.words import (
    NOBODY,
    BadRequest,
    Conflict,
    Epoch,
    Holder,
    NotFound,
    OperatorId,
    SandboxId,
    Side,
    StaleEpoch,
    new_id,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

type Until = Callable[..., Awaitable[None]]

ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")

BODIES = {
    "/": b"<title>Home</title><h1>Home</h1><input id=secret type=password>",
    "/other": b"<title>Other</title><h1>Other</h1>",
}


@dataclass
class Agent:
    """A CDP client of the gate, attached to the first page."""

    socket: ClientConnection
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _next: int = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return the whole reply."""
        self._next += 1
        session = {"sessionId": self.session} if self.session else {}
        await self.socket.send(json.dumps({"id": self._next, "method": method, "params": params, **session}))
        while True:
            message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
            if message.get("id") == self._next:
                return message
            self.events.append(message)

    async def evaluate(self, expression: str) -> Any:
        """Evaluate in the page; returns the value, or the error's message."""
        reply = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, userGesture=True)
        return reply["result"]["result"].get("value") if "result" in reply else reply["error"]["message"]


async def attach(link: KeeperLink) -> Agent:
    """Connect an agent and attach it to the first page."""
    agent = Agent(await link.connect("/cdp", {"client": "cl_test"}))
    targets = (await agent.call("Target.getTargets"))["result"]["targetInfos"]
    page = next(target for target in targets if target["type"] == "page")
    reply = await agent.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
    agent.session = reply["result"]["sessionId"]
    return agent


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site() -> AsyncIterator[str]:
    """A small site; `/file` is a download."""

    def answer(_connection: object, request: Request) -> Response:
        headers = Headers({"Content-Type": "text/html"})
        if request.path == "/file":
            headers = Headers({"Content-Disposition": "attachment; filename=report.txt", "Content-Length": "7"})
            return Response(HTTPStatus.OK, "OK", headers, b"content")
        body = BODIES.get(request.path, b"")
        headers["Content-Length"] = str(len(body))
        return Response(HTTPStatus.OK if body else HTTPStatus.NOT_FOUND, "", headers, body)

    async def nothing(_connection: object) -> None:
        pass

    async with serve(nothing, "127.0.0.1", 0, process_request=answer) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(keepers: Keepers, site: str) -> AsyncIterator[KeeperLink]:
    """One sandbox for the whole module; `link` gives it a new epoch for each test."""
    made = await keepers.open(SandboxSpec(SandboxId(new_id("sb")), 640, 480))
    yield made
    await keepers.close(made.sandbox)


async def at_home(link: KeeperLink, site: str) -> None:
    """Bring the first page home, and wait until the keeper has seen it there."""
    await link.open_page(f"{site}/")
    async with asyncio.timeout(10):
        while (await link.call("hello", {}))["tabs"][0]["title"] != "Home":  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.02)


class Epochs:
    """Counts up, as the broker does."""

    now = 0

    def __call__(self) -> Epoch:
        """Return the next epoch."""
        Epochs.now += 1
        return Epoch(Epochs.now)


rise = Epochs()


@pytest_asyncio.fixture(loop_scope="module")
async def link(shared: KeeperLink, site: str) -> KeeperLink:
    """The sandbox with the first page at home, and nobody in control."""
    await shared.close_gate(rise(), NOBODY, 0.0, 0.1)
    await at_home(shared, site)
    return shared


async def test_the_agent_acts_only_while_the_gate_is_open(link: KeeperLink, site: str) -> None:
    """Commands pass after `gate.open`, are refused by name after `gate.close`, and pass again after the return."""
    await link.open_gate(rise(), 0.0)
    agent = await attach(link)
    assert await agent.evaluate("document.title") == "Home"

    assert await link.close_gate(rise(), ANN, 0.0, 0.1) == []
    assert "Ann" in str(await agent.evaluate("document.title"))
    await link.push_control(rise(), NOBODY, 0.0)
    assert (await link.open_gate(rise(), 0.0))["notes"] == []
    assert await agent.evaluate("document.title") == "Home"
    await agent.socket.close()


async def test_closing_and_opening_again_change_nothing(link: KeeperLink) -> None:
    """The same `gate.close`, and the same `gate.open`, give the same answer twice."""
    await link.open_gate(rise(), 0.0)
    agent = await attach(link)
    forever = asyncio.create_task(agent.call("Runtime.evaluate", expression="new Promise(() => {})", awaitPromise=True))
    await asyncio.sleep(0.1)
    closing = rise()
    first = await link.close_gate(closing, NOBODY, 0.0, 0.05)
    again = await link.close_gate(closing, NOBODY, 0.0, 0.05)

    assert [unknown["method"] for unknown in first] == ["Runtime.evaluate"]
    assert again == first
    assert "error" in await forever
    opening = rise()
    assert await link.open_gate(opening, 0.0) == await link.open_gate(opening, 0.0)
    await agent.socket.close()


async def test_old_epochs_and_wrong_orders_are_refused(link: KeeperLink) -> None:
    """An epoch that has passed, an operator before the gate is shut, and the agent by `control.push` change nothing."""
    now = rise()
    await link.open_gate(now, 0.0)
    with pytest.raises(StaleEpoch):
        await link.close_gate(Epoch(now - 1), ANN, 0.0, 0.0)
    with pytest.raises(Conflict, match="gate is not shut"):
        await link.push_control(Epoch(now + 1), ANN, 0.0)
    with pytest.raises(BadRequest, match=r"gate\.open"):
        await link.push_control(Epoch(now + 1), Holder(Side.AGENT), 0.0)
    agent = await attach(link)
    assert await agent.evaluate("1 + 1") == 2

    await link.close_gate(rise(), ANN, 0.0, 0.0)
    with pytest.raises(Conflict, match="belongs to Ann"):
        await link.open_gate(Epoch(Epochs.now), 0.0)
    with pytest.raises(StaleEpoch):
        await link.open_gate(now, 0.0)
    with pytest.raises(BadRequest, match=r"no gate\.melt"):
        await link.call("gate.melt", {})
    with pytest.raises(BadRequest, match="cannot be read"):
        await link.call("gate.open", {"epoch": "soon"})
    await agent.socket.close()


async def test_agent_code_is_named_before_an_operator_types(link: KeeperLink) -> None:
    """Granting control names the tabs in which the agent has left code."""
    await link.open_gate(rise(), 0.0)
    agent = await attach(link)
    await agent.evaluate("document.addEventListener('keydown', () => 0)")
    await link.close_gate(rise(), NOBODY, 0.0, 0.1)

    assert link.hello is not None
    assert await link.push_control(rise(), ANN, 0.0, secret=True) == [link.hello.tabs[0]["id"]]
    await agent.socket.close()


async def test_secret_fields_are_blank_at_the_return(link: KeeperLink) -> None:
    """What still stands in a password field when the agent gets control back is gone."""
    await link.open_gate(rise(), 0.0)
    agent = await attach(link)
    await agent.evaluate("secret.value = 'hunter2'")
    await link.close_gate(rise(), ANN, 0.0, 0.1)
    await link.open_gate(rise(), 0.0)

    assert await agent.evaluate("secret.value") == ""
    await agent.socket.close()


async def test_without_a_server_nobody_acts(state_dir: Path, keeper_command: tuple[str, ...], until: Until) -> None:
    """When the server lets go the agent is stopped; after an adoption and the same push it goes on."""
    keepers = Keepers(state_dir, keeper_command)
    link = await keepers.open(SandboxSpec(SandboxId(new_id("sb")), 640, 480))
    await link.open_gate(Epoch(7), 0.0)
    agent = await attach(link)
    assert await agent.evaluate("1 + 1") == 2

    await keepers.detach()
    await until(lambda: link.alive, False)
    async with asyncio.timeout(10):
        while (said := await agent.evaluate("1 + 1")) == 2:  # the keeper hears of it a moment later than we
            pass
    assert "nobody" in str(said)
    adopted = await keepers.adopt(link.sandbox)
    assert adopted.hello is not None
    assert (adopted.hello.holder, adopted.hello.epoch) == (NOBODY, 7)
    await adopted.open_gate(Epoch(7), 0.0)
    assert await agent.evaluate("1 + 1") == 2
    await agent.socket.close()
    await keepers.close(link.sandbox)


async def test_asking_for_a_human_reaches_the_server(link: KeeperLink) -> None:
    """`Baton.requestHandoff` is answered by whoever serves the link's requests; errors travel whole."""
    await link.open_gate(rise(), 0.0)
    agent = await attach(link)
    asked: list[tuple[str, dict[str, Any]]] = []

    async def serve_request(method: str, params: dict[str, Any]) -> dict[str, Any]:
        asked.append((method, params))
        if params["params"].get("kind") == "payment":
            raise NotFound("no such thing", thing="card")
        return {"id": "ho_1", "state": "waiting"}

    early = await agent.call("Baton.requestHandoff", kind="captcha", instructions="solve it")
    assert "not ready" in early["error"]["message"]
    link.serve_requests(serve_request)
    reply = await agent.call("Baton.requestHandoff", kind="captcha", instructions="solve it")
    refused = await agent.call("Baton.requestHandoff", kind="payment", instructions="pay")

    assert "ho_1" in json.dumps(reply["result"])
    assert asked[0][0] == "handoff.ask"
    assert asked[0][1]["title"] == "Home"
    assert "no such thing" in refused["error"]["message"]
    await agent.socket.close()


async def test_state_is_taken_and_compared(link: KeeperLink, site: str) -> None:
    """Mark, diff, check and thumbnail answer over the link."""
    assert await link.mark("here") == {"url": f"{site}/", "title": "Home"}
    await link.open_page(f"{site}/other")

    compared = await link.diff("here")
    assert "Other" in compared["text"]
    assert (await link.check({"text": "Other"}))["met"]
    assert (await link.thumbnail(160)).startswith(b"\xff\xd8")


async def test_pages_that_do_not_load_are_noted(link: KeeperLink) -> None:
    """A first page that does not load is a note; what is no web address is refused."""
    await link.open_page("http://127.0.0.1:9/")
    with pytest.raises(BadRequest, match="http and https"):
        await link.open_page("file:///etc/passwd")

    assert "did not open: net::ERR" in (await link.call("hello", {}))["notes"][-1]


async def test_tabs_downloads_and_clients_are_told(link: KeeperLink, site: str, until: Until) -> None:
    """The server hears of tabs, of downloads and of the agent's clients."""
    heard: list[tuple[str, dict[str, Any]]] = []
    end = link.on_event(lambda event, params: heard.append((event, params)))
    await link.open_gate(rise(), 0.0)
    agent = await attach(link)
    await until(lambda: any(e == "agent" and p["clients"] == 1 for e, p in heard))
    await agent.evaluate("open('/other'); 0")
    await until(lambda: any(e == "tabs" and [t["title"] for t in p["tabs"]] == ["Home", "Other"] for e, p in heard))
    await agent.evaluate(f"location = '{site}/file'; 0")

    done = ("download", {"name": "report.txt", "state": "completed", "bytes": 7})
    await until(lambda: done in heard)
    await agent.socket.close()
    await until(lambda: any(e == "agent" and p["clients"] == 0 for e, p in heard))
    end()


async def test_a_crashed_page_is_noted_and_can_be_reloaded(keepers: Keepers, site: str, until: Until) -> None:
    """When a page's process dies the server is told which; loading an address brings the tab back."""
    link = await keepers.open(SandboxSpec(SandboxId(new_id("sb")), 640, 480, f"{site}/"))
    record = KeeperRecord.read(link.directory)
    assert record is not None
    assert record.chromium is not None
    await at_home(link, site)
    for process in processes.of_session(record.chromium):
        if b"--type=renderer" in (processes.PROC / str(process.pid) / "cmdline").read_bytes():
            process.kill()
    notes: list[str] = []

    async def look() -> None:
        while not any("crashed" in note for note in notes):
            notes[:] = (await link.call("hello", {}))["notes"]
            await asyncio.sleep(0.05)

    await asyncio.wait_for(look(), 10)
    assert notes[-1] == f"the page {site}/ crashed; reload the tab to go on"
    await link.open_page(f"{site}/other")
    assert (await link.mark("after"))["title"] == "Other"
    await keepers.close(link.sandbox)


async def test_popups_fill_the_screen_too(link: KeeperLink) -> None:
    """The first page and a popup of another size both have the whole screen but Chromium's pixel."""
    await link.open_gate(rise(), 0.0)
    agent = await attach(link)
    size = "[innerWidth, innerHeight, screenX, screenY].join()"
    assert await agent.evaluate(size) == "639,479,0,0"
    await agent.evaluate("pop = open('/other', 'pop', 'width=300,height=200,left=50,top=60'); 0")

    popup = f"new Promise(done => setInterval(() => {{ with (pop) if ({size} == '639,479,0,0') done({size}) }}, 50))"
    reply = await agent.call("Runtime.evaluate", expression=popup, awaitPromise=True, returnByValue=True)
    assert reply["result"]["result"]["value"] == "639,479,0,0"
    await agent.evaluate("pop.close()")
    await agent.socket.close()


async def test_unknown_paths_are_closed(link: KeeperLink) -> None:
    """A path the keeper does not have is closed with the code for missing things."""
    socket = await link.connect("/nothing", {})
    with pytest.raises(ConnectionClosedError) as closed:
        await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404
