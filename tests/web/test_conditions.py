"""The board of conditions keeps the last report of each open handoff."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent_bridge.control.room import Room
from agent_bridge.control.words import Change, Control, Handoff
from agent_bridge.words import Blocker
from sandbox.words import HandoffId, SandboxId, Side
from web.conditions import ConditionBoard

ONE = SandboxId("sb_1")
HANDOFF = Handoff(HandoffId("ho_1"), ONE, Blocker.CAPTCHA, "", Side.AGENT, 0.0, 1.0)


def test_the_last_report_counts_until_the_handoff_is_over() -> None:
    """Consoles hear each; one that comes later finds the last."""
    board, heard = ConditionBoard(), list[dict[str, Any]]()
    end = board.subscribe(heard.append)
    for met in (False, True):
        board.heard(ONE, {"handoff": "ho_1", "met": met, "parts": [], "more": "left out"})
    assert [wire["met"] for wire in heard] == [False, True]
    assert board.to_wire() == [{"sandbox": ONE, "handoff": "ho_1", "met": True, "parts": []}]
    end()
    board.changed(Change(Room(Control(ONE)).view()))
    assert len(board.to_wire()) == 1
    board.changed(Change(Room(Control(ONE)).view(), replace(HANDOFF)))
    assert (board.to_wire(), len(heard)) == ([], 2)
