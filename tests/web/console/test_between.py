"""Between operators, and against the clock: asking, giving, taking, being idle, needing longer."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from agent_bridge.access.words import Caller
from agent_bridge.words import Role
from tests.web.console.conftest import ME, Console, a_handoff, axe, nobody, person

KIM = {"id": "op_kim", "name": "Kim"}


@pytest.fixture
def driving(console: Console, page: Page) -> Page:
    """The live view of an operator who has just taken control."""
    console.canned.wait()
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    expect(page.locator("#holder")).to_contain_text("You have control")
    return page


def asks(console: Console, *operators: dict[str, str], note: str = "") -> None:
    """Let others ask for control."""
    view = console.canned.control["sb_1"]
    requests = [{"operator": operator, "note": note, "at": time.time()} for operator in operators]
    console.canned.control["sb_1"] = view = {**view, "requests": requests}
    console.canned.tell({"type": "control", "control": view})


def test_an_idle_operator_is_asked_and_can_stay(console: Console, page: Page) -> None:
    """Before control goes back for want of input the operator sees the seconds, and one press keeps it."""
    console.canned.wait()
    console.canned.idle_s = 25
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    strip = page.locator("#strip")
    expect(strip).to_contain_text("Are you still there?")
    expect(strip.locator("time")).to_contain_text("0:2")
    assert axe(page) == []

    strip.get_by_role("button", name="m here").click()

    expect(strip).to_be_hidden()
    assert console.canned.asked[-1][0] in {"stay", "heartbeat"}
    assert "stay" in [verb for verb, _ in console.canned.asked]


def test_the_ceiling_can_be_moved_once(console: Console, page: Page) -> None:
    """Near the end of the longest lease the operator is told, and gets longer for a reason, once."""
    console.canned.wait()
    console.canned.ceiling_s = 200
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take control").click()
    strip = page.locator("#strip")
    expect(strip).to_contain_text("Your time is nearly up.")
    strip.get_by_role("button", name="I need longer").click()
    dialog = page.get_by_role("dialog", name="Do you need longer?")
    expect(dialog).to_contain_text("30 minutes more")
    assert axe(page) == []
    dialog.get_by_role("button", name="I wait for a code").click()
    dialog.get_by_role("button", name="Give me longer").click()

    expect(strip).to_be_hidden()
    assert next(body for verb, body in console.canned.asked if verb == "extend")["reason"] == "I wait for a code"


def test_a_request_can_be_granted(console: Console, driving: Page) -> None:
    """Who asks for control is named with their note; one press gives it to them, and both are told."""
    asks(console, KIM, {"id": "op_lee", "name": "Lee"}, note="I know this site")
    strip = driving.locator("#strip")
    expect(strip).to_contain_text("Kim asks for control: “I know this site” · 1 more")
    assert axe(driving) == []
    strip.get_by_role("button", name="Give it to Kim").click()

    expect(driving.locator("#holder")).to_contain_text("Kim has control")
    expect(strip).to_be_hidden()
    assert ("give", {"epoch": 5, "operator": "op_kim"}) in console.canned.asked


def test_a_request_can_wait(console: Console, driving: Page) -> None:
    """Not now keeps control, and the next who asks is shown."""
    asks(console, KIM, {"id": "op_lee", "name": "Lee"})
    driving.locator("#strip").get_by_role("button", name="Not now").click()

    expect(driving.locator("#strip")).to_contain_text("Lee asks for control")
    expect(driving.locator("#holder")).to_contain_text("You have control")


def test_a_watcher_asks(console: Console, page: Page) -> None:
    """Who watches another operator asks once, and then waits for the answer; taking it is not offered."""
    console.canned.open(holder=person("op_kim", "Kim"), phase="held", handoff=a_handoff(state="held"))
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Ask for control").click()

    expect(page.get_by_role("button", name="You have asked")).to_be_disabled()
    expect(page.get_by_role("button", name="Take it from Kim…")).to_have_count(0)

    handoff = {**a_handoff(state="held"), "lease": {"operator": ME.to_wire(), "epoch": 5, **console.canned.lease()}}
    move = {"how": "given", "by": "Kim", "from": "Kim", "at": time.time()}
    console.canned.hold("sb_1", person(ME.id, ME.name), "held", handoff, move)
    expect(page.get_by_text("Kim gave you control.")).to_be_visible()
    expect(page.locator("#holder")).to_contain_text("You have control")


def test_a_supervisor_may_take_it(console: Console, page: Page) -> None:
    """Whoever has the right can take control from another operator, after one more look."""
    console.canned.caller = Caller("si_1", Role.SUPERVISOR, ME, sign_in=True)
    console.canned.open(holder=person("op_kim", "Kim"), phase="held", handoff=a_handoff(state="held"))
    page.goto(f"{console.url}/sandboxes/sb_1")
    page.get_by_role("button", name="Take it from Kim…").click()
    dialog = page.get_by_role("dialog", name="Take control from Kim?")
    expect(dialog).to_contain_text("are told that it was you")
    assert axe(page) == []
    dialog.get_by_role("button", name="Take control").click()

    expect(page.locator("#holder")).to_contain_text("You have control")
    assert console.canned.asked[0] == ("take", {"handoff": "ho_sb_1", "force": True})


@pytest.mark.parametrize(
    ("move", "words"),
    [
        ({"how": "forced", "by": "Sam", "from": "Ada"}, "Sam took control from you."),
        ({"how": "idle", "by": "server", "from": "Ada"}, "Nothing came from you for a while"),
        ({"how": "ceiling", "by": "server", "from": "Ada"}, "Your time in control was up"),
    ],
)
def test_who_loses_control_is_told_by_whom(console: Console, driving: Page, move: dict[str, Any], words: str) -> None:
    """Control that moves by somebody else's doing says so, by name or by reason."""
    console.canned.hold("sb_1", nobody(), "waiting", a_handoff(), {**move, "at": time.time()})

    expect(driving.get_by_text(words)).to_be_visible()


@pytest.mark.parametrize("mine", [True, False])
def test_what_is_kept_for_whom_is_said(console: Console, page: Page, mine: bool) -> None:
    """A parked handoff is kept for whoever lost the connection: they take it again, others see until when."""
    operator = ME.to_wire() if mine else KIM
    reserved = {"operator": operator, "until": time.time() + 50}
    console.canned.open(holder=nobody(), phase="parked", handoff=a_handoff(state="parked", reserved=reserved))
    page.goto(f"{console.url}/sandboxes/sb_1")

    if mine:
        expect(page.get_by_role("heading", name="Kept for you")).to_be_visible()
        expect(page.get_by_role("button", name="Take control")).to_be_enabled()
    else:
        expect(page.get_by_role("heading", name="Kept for Kim")).to_be_visible()
        expect(page.get_by_role("button", name="Kept for Kim")).to_be_disabled()
