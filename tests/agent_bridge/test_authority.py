"""The Authority inside a keeper."""

from __future__ import annotations

from typing import Any

import pytest

from agent_bridge.authority import ControlAuthority
from sandbox.authority import Action, Answer, ApprovalAsk, Authority, HandoffAsk, Verb
from sandbox.words import NOBODY, THE_AGENT, Epoch, Holder, OperatorId, Side

ANN = Holder(Side.OPERATOR, OperatorId("op_ann"), "Ann")


class Link:
    """A server that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer."""
        self.asked.append((method, params))
        return {"id": "ho_1"}


def action(epoch: int) -> Action:
    """A command admitted under an epoch."""
    return Action(Verb.ACT, "Page.navigate", "t", Epoch(epoch))


def test_it_is_shut_until_the_first_push() -> None:
    """Without a push nothing is allowed."""
    assert ControlAuthority(Link()).permit(action(0)).answer is Answer.REFUSE


def test_the_agent_may_act_while_it_holds_control() -> None:
    """Commands of the present epoch pass while the agent is the holder; older ones do not."""
    authority: Authority = ControlAuthority(Link())
    authority.pushed(THE_AGENT, Epoch(4))

    assert authority.permit(action(4)).answer is Answer.ALLOW
    assert authority.permit(action(3)).answer is Answer.REFUSE


@pytest.mark.parametrize(("holder", "who"), [(ANN, "Ann"), (NOBODY, "nobody")])
def test_a_refusal_says_who_has_control(holder: Holder, who: str) -> None:
    """While somebody else has control the agent is told who, and what to do."""
    authority = ControlAuthority(Link())
    authority.pushed(holder, Epoch(5))
    verdict = authority.permit(action(5))

    assert verdict.answer is Answer.REFUSE
    assert who in verdict.reason
    assert "wait" in verdict.reason


async def test_handoffs_are_asked_of_the_server() -> None:
    """Asking, looking and cancelling go to the server with what it needs."""
    link = Link()
    authority = ControlAuthority(link)
    await authority.ask_handoff(HandoffAsk("t", "https://host/", "Title", {"kind": "captcha"}, "cl_1"))
    await authority.get_handoff("ho_1")
    await authority.cancel_handoff("ho_1")

    assert [method for method, _ in link.asked] == ["handoff.ask", "handoff.get", "handoff.cancel"]
    assert link.asked[0][1] == {
        "client": "cl_1", "target": "t", "url": "https://host/", "title": "Title", "params": {"kind": "captcha"},
    }  # fmt: skip


async def test_what_needs_an_operator_goes_to_the_server() -> None:
    """A longer wait and everything about an approval are the server's to decide."""
    link = Link()
    authority = ControlAuthority(link)
    await authority.extend_handoff("ho_1", 60)
    ask = ApprovalAsk("t", "https://host/", "Title", "Page.reload", {}, "it hangs", "digest", Epoch(5))
    await authority.ask_approval(ask)
    await authority.get_approval("ap_1")
    await authority.use_approval("ap_1", "digest")

    assert [method for method, _ in link.asked] == ["handoff.extend", "approval.ask", "approval.get", "approval.use"]
    assert link.asked[0][1] == {"handoff": "ho_1", "timeout_s": 60}
    assert link.asked[1][1] == {
        "target": "t", "url": "https://host/", "title": "Title", "method": "Page.reload", "params": {},
        "reason": "it hangs", "page_state": "digest", "epoch": 5, "timeout_s": None, "client": "",
    }  # fmt: skip
    assert link.asked[3][1] == {"approval": "ap_1", "page_state": "digest"}
