"""Who needs a sandbox: an agent that is connected, somebody who looks, a human who holds control or is awaited."""

from __future__ import annotations

from sandbox.words import SandboxId
from web.idle import Idleness

ONE = SandboxId("sb_1")


def test_it_counts_from_when_nobody_was_there() -> None:
    """The time runs while nobody is there, begins anew when somebody was, and stands still while a human is awaited."""
    idle = Idleness()

    def idle_for(now: float, *, agent: bool = True) -> float:
        return idle.idle_for(ONE, now, agent_has_control=agent)

    assert (idle_for(100.0), idle_for(160.0)) == (0.0, 60.0)
    idle.agents(ONE, 1)
    assert idle_for(170.0) == 0.0
    idle.agents(ONE, 0)
    assert (idle_for(180.0), idle_for(190.0)) == (0.0, 10.0)
    with idle.looked_at(ONE), idle.looked_at(ONE):
        assert idle_for(200.0) == 0.0
    assert (idle_for(210.0), idle_for(215.0)) == (0.0, 5.0)
    assert idle_for(10**6, agent=False) == 0.0
    assert (idle_for(10**6 + 1.0), idle_for(10**6 + 3.0)) == (0.0, 2.0)
    idle.forget(ONE)
    assert idle_for(10**7) == 0.0
