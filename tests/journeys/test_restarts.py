"""Server, agent and operator started anew while a human holds control, in every order: nothing is lost."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from tests.journeys.login_site import LoginSite
from tests.journeys.operators import Operator
from tests.journeys.servers import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ORDERS = list(permutations(("server", "agent", "operator")))


@pytest.fixture
async def server(shared_server: Server) -> Server:
    """The module's server, up again after whatever the test before did to it."""
    if not shared_server.up:
        await shared_server.start()
    return shared_server


@pytest.mark.parametrize(
    "order",
    [pytest.param(o, marks=[] if at == 0 else pytest.mark.full, id="-".join(o)) for at, o in enumerate(ORDERS)],
)
async def test_started_anew_in_this_order(
    order: tuple[str, ...], server: Server, human: Operator, start_agent: Any, login_site: LoginSite
) -> None:
    """The same handoff is found again by everybody, is returned once, and the agent's last start has the result."""
    url = f"{login_site.site}/pad"
    agent = await start_agent("agent_again.py", url)
    asked = await agent.line()
    sandbox, handoff = asked["sandbox"], asked["handoff"]
    await human.handoff(sandbox, "waiting")
    epoch = await human.take(sandbox)

    for part in order:
        if part == "server":
            await server.kill()
            await server.start()
            human.rest(sandbox)  # its lease is parked: a server that was away cannot say what was typed meanwhile
            await human.handoff(sandbox, "parked")
        elif part == "agent":
            agent.process.kill()
            await agent.process.wait()
            agent = await start_agent("agent_again.py", url, sandbox)
            assert await agent.line() == asked
        else:
            # A reload: the page's heartbeats end, and its new script claims what its operator holds.
            human.rest(sandbox)
            epoch = await human.take(sandbox)
    if (await human.handoff(sandbox))["state"] != "held":
        epoch = await human.take(sandbox)
    await human.say(sandbox, "done", epoch, note="solved it")

    result = await agent.line()
    assert result == {"event": "result", "handoff": handoff, "outcome": "resolved", "note": "solved it"}
    kinds = server.journal(handoff)
    assert [kinds.count(kind) for kind in ("handoff/asked", "control/returned", "handoff/ended")] == [1, 1, 1]
