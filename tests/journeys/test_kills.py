"""Server and keeper killed in every state of a handoff: nothing is lost but what the design says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sandbox.keeper.files import KeeperRecord
from tests.journeys.conftest import Agent
from tests.journeys.login_site import LoginSite
from tests.journeys.operators import Operator
from tests.journeys.servers import Server, remains, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", autouse=True)
def quick_leases(shared_server: Server) -> None:
    """Park a lease soon after its last heartbeat."""
    shared_server.env["BATON_LEASE_S"] = "3"


@pytest.fixture
async def server(shared_server: Server) -> Server:
    """The module's server, up again after whatever the test before did to it."""
    if not shared_server.up:
        await shared_server.start()
    return shared_server


@pytest.fixture
async def agent(start_agent: Any, login_site: LoginSite) -> tuple[Agent, dict[str, Any]]:
    """An agent in a process of its own with a page open, and what it sees there."""
    agent: Agent = await start_agent("agent_waits.py", f"{login_site.site}/pad")
    return agent, await agent.line()


@asynccontextmanager
async def stopped(record: KeeperRecord) -> AsyncIterator[None]:
    """Hold a keeper still, so that what is asked of it stays asked."""
    os.kill(record.keeper.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if record.keeper.alive:
            os.kill(record.keeper.pid, signal.SIGCONT)


async def bring_to(state: str, sandbox: str, agent: Agent, human: Operator) -> dict[str, Any]:
    """Make the agent ask, and bring its handoff to a state that needs no stopped keeper."""
    await agent.tell(json.dumps({"kind": "captcha"}))
    handoff = await human.handoff(sandbox, "waiting")
    if state in {"held", "parked"}:
        await human.take(sandbox, beat=state == "held")
        handoff = await human.handoff(sandbox, state)
    return handoff


async def kill_server(state: str, server: Server, sandbox: str, agent: Agent, human: Operator) -> dict[str, Any]:
    """Kill the server while a handoff is in that state; returns the handoff as it was last seen."""
    if state == "asked":
        async with stopped(server.record(sandbox)):
            await agent.tell(json.dumps({"kind": "captcha"}))
            handoff = await human.handoff(sandbox, "asked")
            await server.kill()
        return handoff
    handoff = await bring_to("held" if state in {"returning", "resolved"} else state, sandbox, agent, human)
    epoch = handoff["lease"]["epoch"] if handoff["lease"] else 0
    if state == "returning":
        async with stopped(server.record(sandbox)):
            done = asyncio.create_task(human.post(sandbox, "done", epoch=epoch, note="just in time"))
            handoff = await human.handoff(sandbox, "returning")
            await server.kill()
            await asyncio.gather(done, return_exceptions=True)
    elif state == "resolved":
        handoff = await human.say(sandbox, "done", epoch, note="just in time")
        await server.kill()
    else:
        await server.kill()
    human.rest(sandbox)
    return handoff


def often(*states: str, rarely: tuple[str, ...]) -> list[Any]:
    """Return the states as parameters; the rare ones run in the full suite, each costs ten seconds."""
    return [*states, *(pytest.param(state, marks=pytest.mark.full) for state in rarely)]


@pytest.mark.parametrize("state", often("held", "returning", rarely=("asked", "waiting", "parked", "resolved")))
async def test_a_killed_server_loses_nothing(
    state: str, server: Server, human: Operator, agent: tuple[Agent, dict[str, Any]]
) -> None:
    """After a new start the sandbox is adopted, the handoff stands where it stood (a lease is parked), and it ends."""
    process, before = agent
    sandbox = before["sandbox"]
    handoff = await kill_server(state, server, sandbox, process, human)
    (epoch_before,) = server.rows("SELECT epoch FROM controls WHERE sandbox = ?", sandbox)[0]

    await server.start()
    if state in {"asked", "waiting", "held", "parked"}:
        found = await human.handoff(sandbox, {"asked": "waiting", "held": "parked"}.get(state, state))
        assert (found["id"], found["created_at"]) == (handoff["id"], handoff["created_at"])
        epoch = await human.take(sandbox)
        assert epoch > epoch_before
        await human.say(sandbox, "done", epoch, note="just in time")
    result = await process.line()
    await process.tell('"look"')
    after = await process.line()

    assert (result["handoff"], result["outcome"], result["note"]) == (handoff["id"], "resolved", "just in time")
    assert {**after, "event": ""} == {**before, "event": ""}
    (epoch_after,) = server.rows("SELECT epoch FROM controls WHERE sandbox = ?", sandbox)[0]
    assert epoch_after > epoch_before or state == "resolved"
    kinds = server.journal(handoff["id"])
    assert (kinds.count("control/returned"), kinds.count("handoff/ended")) == (1, 1)
    again = await human.http.get(f"/handoffs/{handoff['id']}")
    assert again.json()["result"]["outcome"] == "resolved"


async def kill_keeper(state: str, server: Server, sandbox: str, agent: Agent, human: Operator) -> str:
    """Kill the keeper while a handoff is in that state; returns the handoff's id."""
    record = server.record(sandbox)
    if state == "asked":
        async with stopped(record):
            await agent.tell(json.dumps({"kind": "captcha"}))
            handoff = await human.handoff(sandbox, "asked")
            record.keeper.kill()
            await until(lambda: not record.keeper.alive, "the keeper's end")
    elif state == "returning":
        handoff = await bring_to("held", sandbox, agent, human)
        async with stopped(record):
            done = asyncio.create_task(human.post(sandbox, "done", epoch=handoff["lease"]["epoch"], note="solved it"))
            await human.handoff(sandbox, "returning")
            record.keeper.kill()
            await asyncio.gather(done, return_exceptions=True)
    else:
        handoff = await bring_to(state, sandbox, agent, human)
        record.keeper.kill()
    human.rest(sandbox)
    return str(handoff["id"])


@pytest.mark.parametrize("state", often("held", rarely=("asked", "waiting", "parked", "returning")))
async def test_a_killed_keeper_fails_the_handoff_and_leaves_nothing(
    state: str, server: Server, human: Operator, agent: tuple[Agent, dict[str, Any]]
) -> None:
    """The agent is told that it failed and why; no process, display or directory of the sandbox is left."""
    process, before = agent
    sandbox = before["sandbox"]
    record = server.record(sandbox)
    handoff = await kill_keeper(state, server, sandbox, process, human)

    result = await process.line()
    assert (result["handoff"], result["outcome"]) == (handoff, "failed")
    assert "keeper" in result["note"]
    assert ("solved it" in result["note"]) == (state == "returning")
    await gone(lambda: remains(record, server.directory(sandbox)))
    assert await human.queue() == []
    assert (await human.post(sandbox, "take")).status_code == 410


async def gone(left: Callable[[], list[str]]) -> None:
    """Wait until nothing is left."""
    try:
        await until(lambda: not left(), "the cleaning")
    except AssertionError:
        assert left() == []


async def test_a_second_server_is_refused(server: Server, human: Operator) -> None:
    """It ends with status 1 and a sentence that says who has the state directory; the first goes on."""
    process = await asyncio.create_subprocess_exec(
        *server.serving(0), env=server.environment(), stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 1
    assert str(server.state) in err.decode()
    assert "Traceback" not in err.decode()
    assert out == b""
    assert await human.queue() == []


async def test_sigterm_leaves_sandboxes_and_sigint_closes_them(
    server: Server, human: Operator, agent: tuple[Agent, dict[str, Any]]
) -> None:
    """SIGTERM: the next server adopts sandbox and handoff. SIGINT: both end, and nothing is left."""
    process, before = agent
    sandbox = before["sandbox"]
    record = server.record(sandbox)
    handoff = await bring_to("waiting", sandbox, process, human)

    assert await server.end(signal.SIGTERM) == 0
    assert record.keeper.alive
    await server.start()
    assert (await human.handoff(sandbox, "waiting"))["id"] == handoff["id"]

    assert await server.end(signal.SIGINT) == 0
    assert remains(record, server.directory(sandbox)) == []
    await server.start()
    result = await process.line()
    assert (result["handoff"], result["outcome"]) == (handoff["id"], "cancelled")
