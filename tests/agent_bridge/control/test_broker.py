"""The broker over a real database, with keepers that are fakes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from agent_bridge.access.words import Operator
from agent_bridge.control.asking import HandoffRequest
from agent_bridge.control.broker import Broker
from agent_bridge.control.errors import (
    ConditionsNotMet,
    HandoffEnded,
    HandoffOpen,
    KeeperSilent,
    LeaseLost,
    SandboxClosed,
    TakenByAnother,
)
from agent_bridge.control.testing import QUICK, SB, World, soon
from agent_bridge.control.words import Change, Handoff, Phase
from agent_bridge.words import Blocker, HandoffState, Outcome
from sandbox.words import THE_AGENT, BadRequest, Epoch, HandoffId, NotFound, OperatorId, SandboxId, Side, Unavailable

ANN = Operator(OperatorId("op_ann"), "Ann")
BOB = Operator(OperatorId("op_bob"), "Bob")
HELP = HandoffRequest(Blocker.CAPTCHA, "help")

type AskFor = Callable[..., Awaitable[Handoff]]


async def test_a_handoff_from_ask_to_result(world: World, broker: Broker, ask: AskFor) -> None:
    """Ask, take, done: the agent is stopped and started once, and gets everything that is to be told."""
    world.link.unknown = [{"method": "Input.dispatchMouseEvent", "target": "t", "sent_ms_ago": 5}]
    handoff = await ask()
    world.clock.advance(8)
    taken = await broker.take(SB, ANN)
    holder = world.link.holder
    world.clock.advance(4)
    done = await broker.done(SB, ANN, taken.epoch, "typed it")

    assert holder.name == "Ann"
    assert (handoff.site, handoff.url) == ("https://shop.example", "https://shop.example/cart")
    assert done.state is HandoffState.RESOLVED
    assert done.result == {
        "handoff": handoff.id, "outcome": "resolved", "note": "typed it", "operator": "Ann", "duration_s": 4.0,
        "waited_s": 8.0, "verification": {"verified": None, "parts": [], "overridden": None},
        "diff": {"label": handoff.id}, "text": "one field changed", "unknown": world.link.unknown, "exposure": None,
        "notes": [], "images": ["before", "after"], "stale": {},
    }  # fmt: skip
    assert world.link.opened == [1, 5]
    assert world.link.holder == THE_AGENT
    assert set(world.images.kept) == {(handoff.id, "before"), (handoff.id, "after")}
    await soon(lambda: bool(world.link.completed))
    assert world.link.completed == [(handoff.id, done.result)]


async def test_a_handoff_is_in_the_queue_before_the_gate_is_closed(world: World, broker: Broker) -> None:
    """Operators see a handoff, and are told outside the console, while the gate still closes."""
    world.link.hold["gate_close"] = asyncio.Event()
    asked = await broker.ask(SB, HELP)
    await soon(lambda: bool(world.notifier.told))

    assert [handoff.id for handoff in await broker.queue()] == [asked.handoff.id]
    assert (await broker.view(SB)).phase is Phase.CLOSING
    assert world.notifier.told[0]["id"] == asked.handoff.id


async def test_a_lease_waits_for_the_gate(world: World, broker: Broker) -> None:
    """Taking control does not return, and nobody holds it, before the keeper has acknowledged the close."""
    gate = world.link.hold["gate_close"] = asyncio.Event()
    await broker.ask(SB, HELP)
    taking = asyncio.create_task(broker.take(SB, ANN))
    await soon(lambda: broker.views()[0].phase is Phase.CLOSING)
    await asyncio.sleep(0.05)

    assert not taking.done()
    assert world.link.holder.side is Side.NOBODY
    gate.set()
    assert (await taking).epoch == world.link.fence.epoch


async def test_the_first_input_after_taking_control_passes(world: World, broker: Broker, ask: AskFor) -> None:
    """When taking control returns, the keeper knows the holder under the epoch of the lease."""
    await ask()
    taken = await broker.take(SB, ANN)

    world.link.fence.check_operator(ANN.id, taken.epoch)


async def test_two_operators_claim_at_once(broker: Broker, ask: AskFor) -> None:
    """Of two operators who claim at the same moment one gets control and the other is told who has it."""
    await ask()
    first, second = await asyncio.gather(broker.take(SB, ANN), broker.take(SB, BOB), return_exceptions=True)

    assert not isinstance(first, BaseException)
    assert isinstance(second, TakenByAnother)
    assert "Ann" in second.message


async def test_an_operator_takes_over_unasked(world: World, broker: Broker) -> None:
    """Without a handoff an operator stops the agent and gets control; release gives it back with a diff."""
    taken = await broker.take(SB, ANN)
    stopped = world.link.gate_is_open
    released = await broker.release(SB, ANN, taken.epoch)

    assert taken.handoff.asked_by is Side.OPERATOR
    assert not stopped
    assert released.state is HandoffState.RESOLVED
    assert world.link.gate_is_open
    assert world.notifier.told == []


async def test_one_idempotency_key_makes_one_handoff(broker: Broker) -> None:
    """Asking again with the same key returns the same handoff, open or over; without a key it is refused."""
    keyed = HandoffRequest(Blocker.CAPTCHA, "help", idempotency_key="k1")
    first, again = await asyncio.gather(broker.ask(SB, keyed), broker.ask(SB, keyed))

    with pytest.raises(HandoffOpen, match=first.handoff.id):
        await broker.ask(SB, HELP)
    await broker.cancel(first.handoff.id)
    after = await broker.ask(SB, keyed)

    assert (first.new, again.new, after.new) == (True, False, False)
    assert first.handoff.id == again.handoff.id == after.handoff.id
    assert after.handoff.state is HandoffState.CANCELLED


async def test_waiting_wakes_on_the_outcome(broker: Broker, ask: AskFor) -> None:
    """A long poll answers when the handoff is final, many at once, and as it stands when its time is over."""
    handoff = await ask()
    still = await broker.wait(handoff.id, 0.01)
    waiting = [asyncio.create_task(broker.wait(handoff.id, 5)) for _ in range(3)]
    taken = await broker.take(SB, ANN)
    await broker.failed(SB, ANN, taken.epoch, "cannot read it")

    assert still.state is HandoffState.WAITING
    assert [(await task).state for task in waiting] == [HandoffState.FAILED] * 3


async def test_a_condition_is_checked_at_done(world: World, broker: Broker, ask: AskFor) -> None:
    """Done is refused with the parts while the condition does not hold, and the refusal is journalled."""
    await ask(condition={"url": "*ok*"})
    taken = await broker.take(SB, ANN)
    parts = [{"condition": {"url": "*ok*"}, "met": False, "why": "the page is elsewhere"}]
    world.link.check_answer = {"met": False, "parts": parts}

    with pytest.raises(ConditionsNotMet) as caught:
        await broker.done(SB, ANN, taken.epoch)
    shown = await broker.check(SB, ANN, taken.epoch)
    over = await broker.done(SB, ANN, taken.epoch, override="the site moved")

    assert caught.value.fields["parts"] == parts
    assert shown == {"met": False, "parts": parts}
    assert over.result is not None
    assert over.result["verification"] == {"verified": False, "parts": parts, "overridden": "the site moved"}
    assert "handoff/refused" in await world.kinds()


@pytest.mark.parametrize("kind", ["credentials", "one_time_code", "payment"])
async def test_of_a_secret_handoff_the_agent_hears_the_whole_alone(
    world: World, broker: Broker, ask: AskFor, kind: str
) -> None:
    """Parts could spell out what was typed: they are the operator's, the agent's result has one verdict."""
    condition = {"any": [{"text": "a"}, {"text": "b"}]}
    await ask(kind, condition=condition)
    taken = await broker.take(SB, ANN)
    parts = [{"condition": {"text": each}, "met": each == "b", "why": f"why {each}"} for each in "ab"]
    world.link.check_answer = {"met": True, "parts": parts}

    shown = await broker.check(SB, ANN, taken.epoch)
    over = await broker.done(SB, ANN, taken.epoch)

    assert shown["parts"] == parts
    assert over.result is not None
    whole = [{"condition": condition, "met": True, "why": ""}]
    assert over.result["verification"] == {"verified": True, "parts": whole, "overridden": None}


async def test_a_condition_that_throws_does_not_hold(world: World, broker: Broker, ask: AskFor) -> None:
    """A condition that cannot be evaluated is not met and says why; the operator can override it."""
    await ask(condition={"url": "*ok*"})
    taken = await broker.take(SB, ANN)
    world.link.failing["check"] = BadRequest("this selector cannot be read")

    with pytest.raises(ConditionsNotMet) as caught:
        await broker.done(SB, ANN, taken.epoch)

    assert caught.value.fields["parts"][0]["why"] == "this selector cannot be read"


async def test_a_lost_heartbeat_parks_and_can_be_claimed_again(world: World, broker: Broker, ask: AskFor) -> None:
    """Without heartbeats the operator's input stops passing, the agent stays stopped, and a new claim goes on."""
    await ask()
    taken = await broker.take(SB, ANN)
    world.clock.advance(15)
    await broker.heartbeat(SB, ANN, taken.epoch)
    world.clock.advance(15)
    await broker.tick()
    kept = (await broker.view(SB)).phase
    world.clock.advance(6)
    await broker.tick()
    await soon(lambda: world.link.holder.side is Side.NOBODY)

    assert kept is Phase.HELD
    assert (await broker.queue())[0].state is HandoffState.PARKED
    assert not world.link.gate_is_open
    with pytest.raises(LeaseLost):
        await broker.done(SB, ANN, taken.epoch)
    assert (await broker.take(SB, ANN)).epoch > taken.epoch


async def test_a_deadline_gives_control_back(world: World, broker: Broker, ask: AskFor) -> None:
    """A handoff that nobody claims expires at its deadline, and the agent goes on."""
    handoff = await ask(timeout_s=60)
    world.clock.advance(61)
    await broker.tick()
    final = await broker.wait(handoff.id, 2)

    assert final.state is HandoffState.EXPIRED
    assert world.link.gate_is_open


async def test_a_deadline_does_not_take_control_from_a_human(world: World, broker: Broker, ask: AskFor) -> None:
    """While an operator holds control the deadline does nothing."""
    await ask(timeout_s=60)
    world.clock.advance(50)
    taken = await broker.take(SB, ANN)
    for _ in range(5):
        world.clock.advance(10)
        await broker.heartbeat(SB, ANN, taken.epoch)
        await broker.tick()

    assert (await broker.done(SB, ANN, taken.epoch)).state is HandoffState.RESOLVED


async def test_a_late_done_is_kept(world: World, broker: Broker, ask: AskFor) -> None:
    """Done after expiry is recorded on the handoff, once, and can be fetched by id; the agent is not resumed."""
    handoff = await ask(timeout_s=60)
    taken = await broker.take(SB, ANN)
    world.clock.advance(70)
    await broker.tick()
    world.clock.advance(30)
    await broker.tick()
    assert (await broker.wait(handoff.id, 2)).state is HandoffState.EXPIRED
    opened = list(world.link.opened)
    late = await broker.done(SB, ANN, taken.epoch, "solved after all")
    await broker.done(SB, ANN, taken.epoch, "solved after all")
    found = await broker.get(handoff.id)

    assert late.state is HandoffState.EXPIRED
    assert [(word["outcome"], word["note"]) for word in found.late] == [("resolved", "solved after all")]
    assert world.link.opened == opened
    assert (await world.kinds()).count("handoff/late") == 1


async def test_done_twice_is_done_once(world: World, broker: Broker, ask: AskFor) -> None:
    """A Done that is sent again, at once or after the end, returns the same handoff and resumes nobody again."""
    handoff = await ask()
    taken = await broker.take(SB, ANN)
    both = await asyncio.gather(broker.done(SB, ANN, taken.epoch), broker.done(SB, ANN, taken.epoch))
    again = await broker.done(SB, ANN, taken.epoch)

    assert [one.id for one in (*both, again)] == [handoff.id] * 3
    assert again.late == ()
    assert world.link.opened == [1, again.leases[-1].epoch + 2]


async def test_cancelling_while_a_human_holds_control(world: World, broker: Broker, ask: AskFor) -> None:
    """The agent's cancel takes control from the human, compares, and opens the gate; the human's Done is late."""
    handoff = await ask()
    taken = await broker.take(SB, ANN)
    cancelled = await broker.cancel(handoff.id)
    late = await broker.done(SB, ANN, taken.epoch)

    assert cancelled.state is HandoffState.CANCELLED
    assert world.link.gate_is_open
    assert late.late[0]["outcome"] == "resolved"
    with pytest.raises(HandoffEnded, match="cancelled"):
        await broker.cancel(handoff.id)


@pytest.mark.parametrize("stage", ["closing", "waiting", "held", "parked"])
async def test_the_browsers_death_ends_the_handoff(world: World, broker: Broker, stage: str) -> None:
    """In every state the browser's death ends the handoff as failed with the reason; later verbs say so too."""
    if stage == "closing":
        world.link.hold["gate_close"] = asyncio.Event()
    handoff = (await broker.ask(SB, HELP)).handoff
    if stage in {"held", "parked"}:
        await broker.take(SB, ANN)
    if stage == "parked":
        world.clock.advance(60)
        await broker.tick()
    waiting = asyncio.create_task(broker.wait(handoff.id, 5))
    await asyncio.sleep(0)
    await broker.keeper_event(SB, "browser.died", {"reason": "out of memory"})
    final = await waiting

    assert final.state is HandoffState.FAILED
    assert final.result is not None
    assert "out of memory" in final.result["note"]
    assert await broker.queue() == []
    with pytest.raises(SandboxClosed):
        await broker.take(SB, ANN)
    await broker.sandbox_gone(SB, "again")


async def test_a_keeper_that_has_ended_is_noticed(world: World, broker: Broker) -> None:
    """A keeper that says it has ended while control changes hands closes the sandbox."""
    world.link.gone = "the browser of this sandbox has ended"
    handoff = (await broker.ask(SB, HELP)).handoff

    assert (await broker.wait(handoff.id, 3)).state is HandoffState.FAILED


@pytest.mark.parametrize("failure", [Unavailable("its keeper is not connected"), KeyError("a bug of ours")])
async def test_a_silent_keeper_leaves_the_agent_stopped(
    world: World, broker: Broker, ask: AskFor, failure: Exception
) -> None:
    """While the keeper does not answer nobody gets control, the error says so, and it goes on by itself afterwards."""
    world.link.failing["gate_close"] = failure
    asked = await broker.ask(SB, HELP)
    await soon(lambda: broker.views()[0].trouble is not None)

    with pytest.raises(KeeperSilent, match="agent stays stopped"):
        await broker.take(SB, ANN)
    world.link.failing.clear()
    broker.sandbox_adopted(SB)
    taken = await broker.take(SB, ANN)

    assert taken.handoff.id == asked.handoff.id
    assert (await broker.view(SB)).trouble is None
    assert "control/trouble" in await world.kinds()


async def test_a_snapshot_that_fails_keeps_nobody_waiting(world: World, broker: Broker, ask: AskFor) -> None:
    """Where before or after cannot be taken the handoff goes on, and the result says so."""
    world.link.failing["mark"] = BadRequest("the page has crashed")
    world.link.failing["diff"] = BadRequest("the page has crashed")
    await ask()
    taken = await broker.take(SB, ANN)
    done = await broker.done(SB, ANN, taken.epoch)

    assert done.result is not None
    assert "could not be compared (the page has crashed)" in done.result["text"]
    assert done.result["images"] == []


async def test_closing_a_sandbox_cancels_its_handoff(broker: Broker, ask: AskFor) -> None:
    """A handoff of a sandbox that is closed on purpose ends as cancelled; closing again changes nothing."""
    handoff = await ask()
    await broker.close(SB)
    await broker.close(SB)

    assert (await broker.get(handoff.id)).state is HandoffState.CANCELLED
    assert (await broker.view(SB)).phase is Phase.CLOSED


async def test_code_of_the_agent_comes_with_the_lease(world: World, broker: Broker, ask: AskFor) -> None:
    """Before an operator types a password they and the result are told where the agent left code."""
    world.link.agent_code = ["t1"]
    await ask("credentials")
    taken = await broker.take(SB, ANN)
    done = await broker.done(SB, ANN, taken.epoch)

    assert taken.handoff.agent_code == ("t1",)
    assert done.result is not None
    assert "exposure possible" in done.result["exposure"]
    pushed = [detail for method, detail in world.link.calls if method == "control_push"]
    assert pushed[0][2] is True


async def test_listeners_hear_every_change(broker: Broker, ask: AskFor) -> None:
    """The event feed hears every phase in order, the end with its handoff; a listener that throws harms nobody."""
    heard: list[Change] = []

    def broken(_change: Change) -> None:
        raise ValueError("a broken listener")

    broker.subscribe(broken)
    stop = broker.subscribe(heard.append)
    await ask()
    taken = await broker.take(SB, ANN)
    await broker.done(SB, ANN, taken.epoch)
    stop()
    await broker.ask(SB, HELP)

    assert [change.view.phase for change in heard] == [
        Phase.CLOSING, Phase.WAITING, Phase.HELD, Phase.RETURNING, Phase.OPENING, Phase.AGENT
    ]  # fmt: skip
    assert heard[-1].ended is not None
    assert heard[-1].ended.result is not None


async def test_unknown_things_are_named(broker: Broker) -> None:
    """A sandbox or handoff that does not exist is named in the error."""
    with pytest.raises(NotFound, match="sb_none"):
        await broker.ask(SandboxId("sb_none"), HELP)
    with pytest.raises(NotFound, match="ho_none"):
        await broker.get(HandoffId("ho_none"))


async def test_a_full_disk_changes_nothing(broker: Broker, ask: AskFor, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step cannot be stored the caller is told, nobody's control changes, and it works again later."""
    await ask()

    async def full(*_args: object) -> None:
        raise Unavailable("the database cannot be used (disk full)")

    with monkeypatch.context() as patch:
        patch.setattr(broker._store, "save", full)
        with pytest.raises(Unavailable, match="disk full"):
            await broker.take(SB, ANN)
        before = await broker.view(SB)

    assert before.phase is Phase.WAITING
    assert (await broker.take(SB, ANN)).lease.operator.name == "Ann"


async def test_a_caller_who_hangs_up_cuts_nothing_in_two(world: World, broker: Broker, ask: AskFor) -> None:
    """A request that is cancelled in the middle of a step leaves store and memory agreeing."""
    await ask()
    for pause in range(6):
        task = asyncio.create_task(broker.take(SB, ANN))
        for _ in range(pause):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    taken = await broker.take(SB, ANN)
    stored = await broker._store.control(SB)

    assert stored is not None
    assert (stored.epoch, stored.phase) == (taken.epoch, Phase.HELD)


async def test_the_clock_runs_by_itself(world: World) -> None:
    """`run` acts at the deadline without being asked."""
    broker = await world.broker()
    await broker.sandbox_opened(SB)
    running = asyncio.create_task(broker.run())
    handoff = (await broker.ask(SB, HandoffRequest(Blocker.STUCK, timeout_s=30))).handoff
    await soon(lambda: broker.views()[0].phase is Phase.WAITING)
    world.clock.advance(31)

    assert (await broker.wait(handoff.id, 5)).state is HandoffState.EXPIRED
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_many_sandboxes_do_not_wait_for_each_other(world: World) -> None:
    """A keeper that hangs holds up nobody but its own sandbox."""
    broker = await world.broker(QUICK)
    ids = [SandboxId(f"sb_{n}") for n in range(20)]
    await asyncio.gather(*(broker.sandbox_opened(one) for one in ids))
    world.keepers.links[ids[0]].hold["gate_close"] = asyncio.Event()
    await asyncio.gather(*(broker.ask(one, HELP) for one in ids))
    taken = await asyncio.gather(*(broker.take(one, ANN) for one in ids[1:]))

    assert len(taken) == 19
    assert broker.statistics().phases == {"closing": 1, "held": 19}
    assert broker.statistics().open_handoffs == 20


async def test_outcomes_of_giving_up(broker: Broker, ask: AskFor) -> None:
    """Declined comes back as an outcome with its reason."""
    await ask()
    taken = await broker.take(SB, ANN)
    declined = await broker.declined(SB, ANN, taken.epoch, "this is a payment to a stranger")

    assert declined.result is not None
    assert (declined.result["outcome"], declined.result["note"]) == (
        Outcome.DECLINED, "this is a payment to a stranger"
    )  # fmt: skip


async def test_input_of_an_old_epoch_is_refused_everywhere(world: World, broker: Broker, ask: AskFor) -> None:
    """After a transfer the old epoch passes neither the broker nor the keeper's fence."""
    await ask()
    taken = await broker.take(SB, ANN)
    await broker.release(SB, ANN, taken.epoch)
    await soon(lambda: world.link.holder.side is Side.NOBODY)

    with pytest.raises(LeaseLost):
        await broker.heartbeat(SB, ANN, taken.epoch)
    with pytest.raises(Exception, match="epoch"):
        world.link.fence.check_operator(ANN.id, Epoch(taken.epoch))
