"""The client against a real server: both forms, lost answers, restarts, and errors that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

import agent_bridge
from agent_bridge.client import (
    AsyncClient,
    Client,
    HandoffEnded,
    HandoffNotFound,
    HandoffOpen,
    HandoffResult,
    InvalidCondition,
    InvalidRequest,
    NotASandbox,
    NotAuthorized,
    NotConfigured,
    Outcome,
    SandboxNotFound,
    ServerUnreachable,
    TooLarge,
    reattach,
    request_handoff,
)
from agent_bridge.control.testing import SB, World, soon
from agent_bridge.words import Outcome as Ours

TOKEN = "bt_test"


class Served(Protocol):
    """What these tests use of the fixture."""

    url: str
    world: World
    asked: int
    dropped: int

    async def human(self, note: str = "typed it") -> None:
        """Solve the next handoff."""

    async def start(self) -> None:
        """Start."""

    async def stop(self) -> None:
        """Stop."""


@pytest.fixture
def configured(backend: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The server, named by the environment."""
    monkeypatch.setenv("BATON_URL", backend.url)
    monkeypatch.setenv("BATON_TOKEN", TOKEN)
    return backend


def check(result: HandoffResult) -> None:
    """What every solved handoff of these tests returns."""
    assert result.outcome is Outcome.RESOLVED
    assert result.resolved
    assert (result.note, result.operator, result.text) == ("typed it", "Ann", "one field changed")
    assert result.diff == {"label": result.handoff}
    assert result.verification.verified is None


async def test_asking_and_getting_the_result(configured: Served) -> None:
    """The asyncio form waits for the outcome and returns everything; pictures can be fetched afterwards."""
    async with AsyncClient() as client:
        sandbox = await client.open("https://shop.example", name="mine")
        human = asyncio.create_task(configured.human())
        result = await request_handoff(sandbox, "captcha", "help")
        await human
        listed = await client.list()

    check(result)
    assert (sandbox.name, [one.id for one in listed]) == ("mine", [SB])
    assert set(await result.images_async()) == {"before", "after"}


async def test_the_blocking_form(configured: Served) -> None:
    """The blocking form returns the same."""

    def agent() -> HandoffResult:
        with Client() as client:
            result = request_handoff(client.list()[0], "captcha", "help")
            assert set(result.images()) == {"before", "after"}
            return result

    result, _ = await asyncio.gather(asyncio.to_thread(agent), configured.human())

    check(result)


class AsyncSession:
    """A CDP session of Playwright's asyncio API that knows `Baton.describe`."""

    async def send(self, method: str) -> dict[str, Any]:
        """Answer."""
        assert method == "Baton.describe"
        return {"sandbox": SB, "target": "T1"}

    async def detach(self) -> None:
        """Nothing."""


class SyncSession:
    """The same of the blocking API."""

    def send(self, method: str) -> dict[str, Any]:
        """Answer."""
        assert method == "Baton.describe"
        return {"sandbox": SB, "target": "T1"}

    def detach(self) -> None:
        """Nothing."""


def page_of(new_cdp_session: Callable[[Any], Any]) -> Any:
    """A page whose context opens such sessions."""
    context = SimpleNamespace(new_cdp_session=new_cdp_session, pages=[])
    return SimpleNamespace(context=context, is_closed=lambda: False)


async def new_async_session(_page: Any) -> AsyncSession:
    """Open one."""
    return AsyncSession()


async def test_a_page_of_the_asyncio_api(configured: Served) -> None:
    """A page tells which sandbox and tab it is; the call is awaited."""
    result, _ = await asyncio.gather(request_handoff(page_of(new_async_session), "captcha"), configured.human())

    check(result)


async def test_a_page_of_the_blocking_api(configured: Served) -> None:
    """A page of the blocking API blocks."""
    page = page_of(lambda _page: SyncSession())
    result, _ = await asyncio.gather(asyncio.to_thread(request_handoff, page, "captcha"), configured.human())

    check(result)


async def test_a_page_elsewhere_is_named(configured: Served) -> None:
    """A page of a browser that is not Baton's gets an error that says how to connect."""

    class Stranger(AsyncSession):
        async def send(self, method: str) -> dict[str, Any]:
            raise RuntimeError(f"Protocol error ({method}): '{method}' wasn't found")

    async def opened(_page: Any) -> Stranger:
        return Stranger()

    with pytest.raises(NotASandbox, match="connect_over_cdp"):
        await request_handoff(page_of(opened), "captcha")


async def test_the_wrong_client_for_a_page(configured: Served) -> None:
    """A client of the other kind, or something that is no page, is refused before anything is sent."""
    with Client() as client, pytest.raises(InvalidRequest, match="AsyncClient"):
        request_handoff(page_of(new_async_session), "captcha", client=client)
    with pytest.raises(InvalidRequest, match="page or a sandbox"):
        request_handoff(object(), "captcha")  # type: ignore[call-overload]


async def test_a_lost_answer_makes_no_second_handoff(configured: Served) -> None:
    """When the answer to the request is lost it is sent again under the same key."""
    configured.dropped = 2
    async with AsyncClient() as client:
        human = asyncio.create_task(configured.human())
        result = await request_handoff((await client.list())[0], "captcha")
        await human

    check(result)
    assert configured.asked == 3


async def test_a_restart_during_the_wait_loses_nothing(configured: Served) -> None:
    """The server dies while the agent waits; the call returns its result from the next one."""
    async with AsyncClient() as client:
        sandbox = (await client.list())[0]
        asking = asyncio.create_task(request_handoff(sandbox, "captcha"))
        await soon(lambda: bool(configured.world.notifier.told))
        await asyncio.sleep(0.1)
        await configured.stop()
        await asyncio.sleep(0.3)
        await configured.start()
        await configured.human()

        check(await asking)


async def test_reattaching_by_id(configured: Served) -> None:
    """Another process waits for a handoff that an earlier one asked for; an ended one answers at once."""
    async with AsyncClient() as client:
        sandbox = (await client.list())[0]
        first = asyncio.create_task(request_handoff(sandbox, "captcha", idempotency_key="k"))
        await soon(lambda: bool(configured.world.notifier.told))
        handoff = configured.world.notifier.told[0]["id"]
        first.cancel()
        again, _ = await asyncio.gather(reattach(handoff, client), configured.human())
        third = await asyncio.to_thread(lambda: reattach(handoff, Client()))

    check(again)
    assert third == again


async def test_waiting_in_pieces(configured: Served) -> None:
    """Who may not wait long asks again and again by id, across a restart, and gets the result once it is there."""
    async with AsyncClient() as client:
        handoff = (await client.begin(SB, {"kind": "captcha"}, 60))["id"]
        still = await client.wait(handoff, 0.05)
        await configured.stop()
        with pytest.raises(ServerUnreachable, match="reattach") as caught:
            await client.wait(handoff, 0.2)
        waiting = asyncio.create_task(client.wait(handoff, 20))
        await configured.start()
        await configured.human()
        result = await waiting
        again = await asyncio.to_thread(lambda: Client().wait(handoff, 0))

    assert still is None
    assert caught.value.handoff == handoff
    assert result is not None
    check(result)
    assert again == result


async def test_letting_a_handoff_wait_longer(configured: Served) -> None:
    """The deadline moves on; of a handoff that is over it does not."""
    async with AsyncClient() as client:
        asked = await client.begin(SB, {"kind": "captcha"}, 60)
        longer = await client.extend(asked["id"], 600)
        with Client() as blocking:
            same = await asyncio.to_thread(blocking.extend, asked["id"], 5)
        with pytest.raises(InvalidRequest, match="at most"):
            await client.extend(asked["id"], 1e9)
        await client.cancel(asked["id"])
        with pytest.raises(HandoffEnded):
            await client.extend(asked["id"], 600)

    assert longer["deadline_at"] == same["deadline_at"] == asked["deadline_at"] + 540


async def test_a_server_that_stays_away(configured: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server stays away past the deadline the error names the handoff and how to go on."""
    monkeypatch.setattr("agent_bridge.client.flows.POLL_S", 0.1)
    async with AsyncClient() as client:
        from agent_bridge.client import flows

        loop = asyncio.get_running_loop()
        flow = flows.ask(SB, {"kind": "captcha"}, 0.2, loop.time, grace_s=0.3)
        asking = asyncio.create_task(client.run(flow))
        await soon(lambda: bool(configured.world.notifier.told))
        await asyncio.sleep(0.05)
        await configured.stop()
        with pytest.raises(ServerUnreachable, match="reattach") as caught:
            await asking

    assert caught.value.handoff == configured.world.notifier.told[0]["id"]


async def test_errors_say_what_to_do(configured: Served) -> None:
    """Each refusal of the server comes out as its own error with the server's sentence."""
    async with AsyncClient() as client:
        sandbox = (await client.list())[0]
        with pytest.raises(InvalidCondition, match="condition"):
            await request_handoff(sandbox, "captcha", condition={"colour": "red"})
        with pytest.raises(InvalidRequest, match="kind must be one of"):
            await request_handoff(sandbox, "banana")
        with pytest.raises(TooLarge, match="instructions"):
            await request_handoff(sandbox, "captcha", "x" * 10_000_000)
        with pytest.raises(SandboxNotFound, match="sb_none"):
            await client.ask("sb_none", {"kind": "captcha"}, 5)
        with pytest.raises(HandoffNotFound, match="ho_none"):
            await client.handoff("ho_none")
        waiting = asyncio.create_task(request_handoff(sandbox, "captcha"))
        await soon(lambda: bool(configured.world.notifier.told))
        handoff = configured.world.notifier.told[0]["id"]
        with pytest.raises(HandoffOpen) as caught:
            await request_handoff(sandbox, "captcha")
        await client.cancel(handoff)
        result = await waiting
        with pytest.raises(HandoffEnded, match="cancelled"):
            await client.cancel(handoff)

    assert caught.value.handoff == handoff
    assert result.outcome is Outcome.CANCELLED


async def test_a_wrong_token(configured: Served) -> None:
    """A token that the server does not know is an error of its own, and never repeated."""
    async with AsyncClient(token="bt_wrong") as client:
        with pytest.raises(NotAuthorized) as caught:
            await client.list()

    assert "bt_wrong" not in str(caught.value)
    assert "bt_wrong" not in repr(client.server)


def test_without_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token the error names the variable and the command."""
    monkeypatch.delenv("BATON_TOKEN", raising=False)
    with pytest.raises(NotConfigured, match="BATON_TOKEN"):
        Client()
    with pytest.raises(NotConfigured, match="http"):
        Client("ftp://host", "t")


def test_nobody_listens() -> None:
    """Without a server the error asks whether it runs."""
    with Client("http://127.0.0.1:9", "t") as client, pytest.raises(ServerUnreachable, match="is it running"):
        client.list()


def test_outcomes_are_the_servers() -> None:
    """The client's outcomes are the ones the server speaks of."""
    assert {one.value for one in Outcome} == {one.value for one in Ours}


def test_the_top_of_the_package_has_the_client() -> None:
    """`from agent_bridge import request_handoff, Client` works; other names are errors."""
    assert agent_bridge.request_handoff is request_handoff
    assert agent_bridge.Client is Client
    with pytest.raises(AttributeError):
        _ = agent_bridge.banana
