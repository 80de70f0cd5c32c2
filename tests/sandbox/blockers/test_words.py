"""The words of detection."""

from __future__ import annotations

from agent_bridge.words import Blocker
from sandbox.blockers.words import BlockerKind, Finding, Where


def test_kinds_are_the_words_of_the_bridge() -> None:
    """Every kind that is found can be asked for as a handoff."""
    assert {each.value for each in BlockerKind} < {each.value for each in Blocker}


def test_findings_survive_the_wire() -> None:
    """A finding read back is the finding that was sent."""
    finding = Finding("captcha", "hcaptcha", 0.97, Where("F1", "#box", (1, 2, 300, 78)), "a hCaptcha widget")

    assert Finding.from_wire(finding.to_wire()) == finding
    assert Finding.from_wire(Finding("stuck", "repeated_action", 1.0).to_wire()).where is None
