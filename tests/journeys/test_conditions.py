"""Completion is checked: nothing but what the agent waits for counts as done, and the operator sees it come true."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect

from agent_bridge.client import AsyncClient, request_handoff
from tests.journeys.login_site import PASSWORD, LoginSite
from tests.journeys.operators import Live, Operator
from tests.journeys.servers import Server, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

IN = {"all": [{"selector": "#welcome"}, {"not": {"selector": "input[type=password]"}}]}


@asynccontextmanager
async def told(human: Operator) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the list of what the server says of conditions, as it comes."""
    heard: list[dict[str, Any]] = []
    cookies = "; ".join(f"{name}={value}" for name, value in human.http.cookies.items())
    address = f"ws{human.server.url.removeprefix('http')}/v1/events"
    async with connect(
        address, additional_headers={"Cookie": cookies}, origin=human.server.url, proxy=None,  # type: ignore[arg-type] # a NewType of str
    ) as socket:  # fmt: skip

        async def listen() -> None:
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "condition":
                    heard.append(message)

        listening = asyncio.create_task(listen())
        yield heard
        listening.cancel()


async def log_in(live: Live, password: str) -> None:
    """Type a password into the form and send it."""
    await live.click(*PASSWORD)
    await live.type(password + "\n")


async def test_a_failed_login_is_not_done(server: Server, human: Operator, login_site: LoginSite) -> None:
    """After a wrong password there is a new page and nothing is done: Done says what is missing, and goes on.

    The console hears at once what holds, and hears it when the right password makes it true.
    """
    async with AsyncClient(server.url, await server.token()) as client, told(human) as heard:
        sandbox = await client.open(f"{login_site.site}/form")
        waiting = asyncio.create_task(request_handoff(sandbox, "credentials", "Please log in.", condition=IN))
        await human.handoff(sandbox.id, "waiting")
        epoch = await human.take(sandbox.id)
        async with human.live(sandbox.id, epoch) as live:
            await until(lambda: heard, "what holds at first")
            assert heard[0]["met"] is False
            await log_in(live, "wrong")
            await until(lambda: login_site.tried == 1, "the wrong password's arrival")
            refused = await human.post(sandbox.id, "done", epoch=epoch)
            assert (refused.status_code, refused.json()["error"]) == (409, "ConditionsNotMet")
            assert [part["met"] for part in refused.json()["parts"]] == [False, False]
            await log_in(live, "right")
            await until(lambda: heard[-1]["met"], "the condition to come true")
            assert [part["met"] for part in heard[-1]["parts"]] == [True, True]
            await human.say(sandbox.id, "done", epoch)
        result = await asyncio.wait_for(waiting, 20)

    assert (result.outcome, result.verification.verified) == ("resolved", True)


async def test_navigation_alone_is_not_done(server: Server, human: Operator, login_site: LoginSite) -> None:
    """A handoff does not end because the page goes elsewhere, with a condition or without one."""
    async with AsyncClient(server.url, await server.token()) as client:
        for condition in (None, {"selector": "#never"}):
            sandbox = await client.open(f"{login_site.site}/form")
            waiting = asyncio.create_task(request_handoff(sandbox, "captcha", "Please help.", condition=condition))
            await human.handoff(sandbox.id, "waiting")
            epoch = await human.take(sandbox.id)
            async with human.live(sandbox.id, epoch) as live:
                await log_in(live, "right")
                await live.tab("/welcome")
                assert (await human.handoff(sandbox.id))["state"] == "held"
                assert not waiting.done()
            if condition is not None:
                assert (await human.post(sandbox.id, "done", epoch=epoch)).status_code == 409
            await human.say(sandbox.id, "failed", epoch, note="that was all")
            assert (await asyncio.wait_for(waiting, 20)).outcome == "failed"
            await client.close(sandbox.id)
