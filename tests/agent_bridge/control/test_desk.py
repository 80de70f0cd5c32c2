"""Approvals on a real database, beside a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from agent_bridge.control.asking import HandoffRequest
from agent_bridge.control.broker import Broker
from agent_bridge.control.desk import MOST, ApprovalDesk
from agent_bridge.control.errors import ApprovalOver, InvalidAsk, NotApproved, PageChanged, TooManyApprovals
from agent_bridge.control.testing import QUICK, SB, World, soon
from agent_bridge.store.approvals import SqlApprovalStore
from agent_bridge.words import Blocker
from sandbox.words import Epoch, Holder, NotFound, OperatorId, SandboxId, Side, StaleEpoch, TooLarge, Unavailable

ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")
SECRET = "hunter2-never-shown"


@dataclass
class Ann:
    """An operator."""

    id: OperatorId = field(default=OperatorId("op_ann"))
    name: str = "Ann"


@dataclass
class Office:
    """A desk beside a broker, and whom it told."""

    world: World
    broker: Broker
    desk: ApprovalDesk
    told: list[tuple[SandboxId, str, dict[str, Any]]] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    silent: bool = False

    async def tell(self, sandbox: SandboxId, approval: str, wire: dict[str, Any]) -> None:
        """Remember it, unless the keeper is gone."""
        if self.silent:
            raise Unavailable("its keeper is not connected")
        self.told.append((sandbox, approval, wire))

    async def key(self) -> bytes:
        """The server's key."""
        return b"k" * 32

    async def ask(self, **said: Any) -> str:
        """Ask, as the keeper does for its agent."""
        return (await self.desk.ask(SB, {**await self.said(), **said})).id

    async def said(self) -> dict[str, Any]:
        """What a keeper says."""
        return {
            "target": "t1", "url": "https://u@shop.example/pay?card=4242#x", "title": "Pay",
            "method": "Input.insertText", "params": {"text": SECRET}, "reason": "to pay", "page_state": "as it was",
            "epoch": (await self.broker.view(SB)).epoch, "timeout_s": None, "client": "c",
        }  # fmt: skip

    async def again(self) -> ApprovalDesk:
        """The desk of the next server."""
        desk = ApprovalDesk(
            SqlApprovalStore(self.world.database), self.broker, self.tell, self.key, self.world.clock, QUICK
        )
        await desk.recover()
        return desk


@pytest_asyncio.fixture
async def office(world: World) -> AsyncIterator[Office]:
    """One sandbox that its agent holds."""
    broker = await world.broker()
    await broker.sandbox_opened(SB)
    made = Office(world, broker, None)  # type: ignore[arg-type] # made in the next line
    made.desk = await made.again()
    broker.subscribe(made.desk.changed)
    made.desk.subscribe(made.heard.append)
    yield made
    await made.desk.stop()


async def test_asked_approved_used(office: Office) -> None:
    """The agent asks, an operator approves, it is spent once; everybody who should know is told."""
    approval = await office.ask()
    assert [a.id for a in await office.desk.list()] == [approval]
    with pytest.raises(NotApproved):
        await office.desk.use(SB, approval, "as it was")
    await office.desk.approve(approval, Ann(), "fine")
    await soon(lambda: bool(office.told))
    assert (office.told[0][1], office.told[0][2]["state"], office.told[0][2]["decided_by"]) == (
        approval,
        "approved",
        "Ann",
    )
    with pytest.raises(PageChanged):
        await office.desk.use(SB, approval, "otherwise")
    assert (await office.desk.use(SB, approval, "as it was")).state == "used"
    with pytest.raises(ApprovalOver):
        await office.desk.use(SB, approval, "as it was")
    assert [wire["state"] for wire in office.heard] == ["pending", "approved", "used"]
    assert [kind for kind in await office.world.kinds() if kind.startswith("approval/")] == [
        "approval/asked", "approval/decided", "approval/over",
    ]  # fmt: skip
    assert await office.desk.list() == []
    assert [a.state for a in await office.desk.list(pending_only=False)] == ["used"]


async def test_two_who_use_it_at_once_are_one(office: Office) -> None:
    """Exactly one of many gets it."""
    approval = await office.ask()
    await office.desk.approve(approval, Ann())
    used = await asyncio.gather(*(office.desk.use(SB, approval, "as it was") for _ in range(8)), return_exceptions=True)
    assert sum(not isinstance(each, BaseException) for each in used) == 1
    assert all(isinstance(each, ApprovalOver) for each in used if isinstance(each, BaseException))


@pytest.mark.parametrize("approved", [False, True])
async def test_a_take_over_voids_a_pending_approval(office: Office, approved: bool) -> None:
    """Also one that was approved already, also after control has come back, also for the next server."""
    approval = await office.ask()
    if approved:
        await office.desk.approve(approval, Ann())
    epoch = (await office.broker.take(SB, Ann())).epoch
    assert (await office.desk.get(approval)).state == "void"
    await soon(lambda: any(wire["state"] == "void" for *_, wire in office.told))
    for desk in (office.desk, await office.again()):
        with pytest.raises(ApprovalOver, match="void"):
            await desk.approve(approval, Ann())
    await office.broker.release(SB, Ann(), epoch)
    assert (await office.broker.view(SB)).holder.side is Side.AGENT
    with pytest.raises(ApprovalOver, match="void"):
        await office.desk.use(SB, approval, "as it was")
    assert office.heard[-1]["state"] == "void"


async def test_void_whatever_was_stored(office: Office) -> None:
    """A server that died before it wrote "void" makes no difference."""
    approval = await office.ask()
    await office.desk.approve(approval, Ann())
    other = await office.again()
    office.broker._listeners.clear()  # nobody hears of it
    await office.broker.ask(SB, HandoffRequest(Blocker.CAPTCHA))
    with pytest.raises(ApprovalOver, match="void"):
        await other.use(SB, approval, "as it was")


async def test_a_restart_keeps_what_was_approved(office: Office) -> None:
    """The next server knows it, and it is still spent only once between the two."""
    approval = await office.ask()
    await office.desk.approve(approval, Ann())
    after = await office.again()
    assert (await after.use(SB, approval, "as it was")).state == "used"
    with pytest.raises(ApprovalOver):
        await office.desk.use(SB, approval, "as it was")
    with pytest.raises(ApprovalOver):
        await office.desk.decline(approval, Ann())


async def test_time_ends_it(office: Office) -> None:
    """Pending or approved, after its deadline it is expired, and said to be."""
    approval = await office.ask(timeout_s=30)
    await office.desk.approve(approval, Ann())
    office.world.clock.advance(30)
    with pytest.raises(ApprovalOver, match="expired"):
        await office.desk.use(SB, approval, "as it was")
    await office.desk.tick()
    assert office.heard[-1]["state"] == "expired"
    assert (await office.again())._live == {}


async def test_another_sandboxs_approval_is_unknown(office: Office) -> None:
    """A keeper spends its own only."""
    approval = await office.ask()
    await office.desk.approve(approval, Ann())
    with pytest.raises(NotFound):
        await office.desk.use(SandboxId("sb_2"), approval, "as it was")
    with pytest.raises(NotFound):
        await office.desk.approve("ap_none", Ann())


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"reason": " "}, InvalidAsk), ({"reason": "x" * 5000}, TooLarge), ({"method": ""}, InvalidAsk),
        ({"params": []}, InvalidAsk), ({"timeout_s": -1}, InvalidAsk), ({"page_state": ""}, InvalidAsk),
        ({"epoch": 99}, StaleEpoch),
    ],
)  # fmt: skip
async def test_bad_asks_are_refused(office: Office, said: dict[str, Any], error: type[Exception]) -> None:
    """Nothing is kept of them."""
    with pytest.raises(error):
        await office.ask(**said)
    assert (office.desk._live, office.heard) == ({}, [])


async def test_nothing_is_asked_while_a_human_holds_or_is_awaited(office: Office) -> None:
    """Whatever epoch the keeper names."""
    said = await office.said()
    await office.broker.ask(SB, HandoffRequest(Blocker.CAPTCHA))
    for epoch in (said["epoch"], (await office.broker.view(SB)).epoch):
        with pytest.raises(StaleEpoch):
            await office.desk.ask(SB, {**said, "epoch": Epoch(epoch)})


async def test_their_number_is_bounded(office: Office) -> None:
    """Many at once wait; one more does not."""
    await asyncio.gather(*(office.ask() for _ in range(MOST)))
    with pytest.raises(TooManyApprovals):
        await office.ask()


async def test_a_database_that_is_gone_changes_nothing(office: Office) -> None:
    """What could not be stored was not approved, and not asked for."""
    approval = await office.ask()

    async def down(*_: Any) -> bool:
        raise Unavailable("the database is gone")

    put, office.desk._store.put = office.desk._store.put, down  # type: ignore[method-assign,assignment]
    with pytest.raises(Unavailable):
        await office.desk.approve(approval, Ann())
    office.desk._store.put = put  # type: ignore[method-assign]
    with pytest.raises(NotApproved):
        await office.desk.use(SB, approval, "as it was")
    office.desk._store.add = down  # type: ignore[method-assign,assignment]
    with pytest.raises(Unavailable):
        await office.ask()
    assert list(office.desk._live) == [approval]


async def test_a_keeper_that_is_gone_does_not_undo_a_decision(office: Office) -> None:
    """The agent asks how it stands when it is back."""
    office.silent = True
    approval = await office.ask()
    await office.desk.approve(approval, Ann())
    assert (await office.desk.get(approval)).state == "approved"


async def test_what_the_agent_types_is_written_nowhere(office: Office) -> None:
    """Neither in the database nor in what people are shown; the digest is keyed."""
    approval = await office.desk.get(await office.ask())
    assert (approval.url, approval.summary) == ("https://shop.example/pay", "Type a text")
    assert len(approval.digest) == 64
    for file in office.world.database.path.parent.iterdir():
        assert SECRET.encode() not in file.read_bytes(), file
    assert SECRET not in str(office.heard)
    assert not {"digest", "page_state", "params"} & office.heard[0].keys()
