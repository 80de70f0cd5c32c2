"""Policies are read strictly, are judged by confidence, and an agent never loosens what the server asks for."""

from __future__ import annotations

import pytest

from sandbox.blockers.policy import Policies, Policy, instructions, override, parse_policies, read_policies
from sandbox.blockers.words import BlockerKind, Finding
from sandbox.words import BadRequest, NotAllowed


def test_unnamed_kinds_are_offered() -> None:
    """What nobody spoke about is offered to the agent."""
    policies = parse_policies(" captcha=ask, consent = ignore ,")

    assert (policies.of("captcha"), policies.of("consent"), policies.of("credentials")) == (
        Policy.ASK, Policy.IGNORE, Policy.OFFER,
    )  # fmt: skip
    assert set(policies.to_wire()) == set(BlockerKind)


@pytest.mark.parametrize("text", ["captcha", "captcha=maybe", "hunger=ask", "captcha=ask=ask"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """Each mistake is named instead of being passed over."""
    with pytest.raises(BadRequest):
        parse_policies(text)


@pytest.mark.parametrize(
    ("policy", "confidence", "judged"),
    [
        (Policy.ASK, 0.9, Policy.ASK),
        (Policy.ASK, 0.7, Policy.OFFER),
        (Policy.ASK, 0.4, Policy.IGNORE),
        (Policy.OFFER, 0.95, Policy.OFFER),
        (Policy.OFFER, 0.4, Policy.IGNORE),
        (Policy.IGNORE, 1.0, Policy.IGNORE),
    ],
)
def test_a_policy_needs_confidence(policy: Policy, confidence: float, judged: Policy) -> None:
    """Stopping an agent takes more than telling it."""
    assert Policies({"captcha": policy}).judge(Finding("captcha", "recaptcha", confidence)) is judged


def test_an_agent_makes_it_stricter_but_never_looser() -> None:
    """What the server asks for stays asked for; an admin may change it."""
    base = parse_policies("captcha=ask,consent=offer")

    mine = override(base, read_policies({"consent": "ignore", "credentials": "ask", "captcha": "ask"}), by_agent=True)
    assert mine.to_wire() | {"captcha": "ask", "consent": "ignore", "credentials": "ask"} == mine.to_wire()
    for milder in ("offer", "ignore"):
        with pytest.raises(NotAllowed, match="captcha"):
            override(base, read_policies({"captcha": milder}), by_agent=True)
    assert override(base, read_policies({"captcha": "ignore"}), by_agent=False).of("captcha") is Policy.IGNORE


def test_everything_ignored_is_idle() -> None:
    """Then the pages need not be looked at."""
    assert Policies(dict.fromkeys(BlockerKind, Policy.IGNORE)).idle
    assert not Policies({"captcha": Policy.IGNORE}).idle


def test_every_kind_has_instructions() -> None:
    """A human is told what to do for each kind, more exactly where the sort is known."""
    said = {instructions(kind, "") for kind in BlockerKind}

    assert len(said) == len(BlockerKind)
    assert instructions("credentials", "basic_auth") != instructions("credentials", "login")
    assert instructions("something new", "")
