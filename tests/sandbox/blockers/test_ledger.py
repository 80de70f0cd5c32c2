"""A finding is told once, when it has settled, and told as gone when it goes."""

from __future__ import annotations

from sandbox.blockers.ledger import BUSY_S, CONFIRM_S, PATIENCE_S, Judged, Ledger
from sandbox.blockers.policy import Policy
from sandbox.blockers.words import Finding

QUIET = 99.0


def found(*kinds: str, policy: Policy = Policy.OFFER) -> dict[str, Judged]:
    """Findings of these kinds."""
    return {kind: Judged(Finding(kind, "sort", 0.9), policy) for kind in kinds}


def test_a_finding_is_told_when_it_was_seen_twice() -> None:
    """The first look only makes it look again."""
    ledger = Ledger()

    first = ledger.see("doc", found("captcha"), 0.0, QUIET)
    assert (first.new, first.again_s) == ((), CONFIRM_S)
    second = ledger.see("doc", found("captcha"), CONFIRM_S, QUIET)
    assert [judged.finding.kind for judged in second.new] == ["captcha"]
    assert second.again_s is None


def test_what_is_gone_at_the_second_look_is_never_told() -> None:
    """A dialog that the agent answers, a page that is just passing."""
    ledger = Ledger()
    ledger.see("doc", found("dialog"), 0.0, QUIET)

    told = ledger.see("doc", {}, CONFIRM_S, QUIET)
    assert (told.new, told.gone, told.again_s) == ((), (), None)
    assert ledger.see("doc", found("dialog"), 10.0, QUIET).new == ()


def test_it_is_told_once_for_each_document() -> None:
    """Not when it flickers; again in the next document."""
    ledger = Ledger()
    ledger.see("doc", found("captcha"), 0.0, QUIET)
    assert ledger.see("doc", found("captcha"), 1.0, QUIET).new
    assert ledger.see("doc", found("captcha"), 2.0, QUIET).new == ()
    assert ledger.see("doc", {}, 3.0, QUIET).gone == ("captcha",)
    ledger.see("doc", found("captcha"), 4.0, QUIET)
    assert ledger.see("doc", found("captcha"), 5.0, QUIET).new == ()
    assert len(ledger.current) == 1

    assert ledger.see("next", found("captcha"), 6.0, QUIET).gone == ("captcha",)
    assert ledger.see("next", found("captcha"), 7.0, QUIET).new


def test_an_agent_in_the_middle_of_something_is_let_finish() -> None:
    """It is not interrupted while it acts, but not for ever; being stuck is told however busy it is."""
    ledger = Ledger()
    ledger.see("doc", found("credentials"), 0.0, 0.0)
    waits = ledger.see("doc", found("credentials"), CONFIRM_S, 0.2)
    assert waits.new == ()
    assert waits.again_s == BUSY_S - 0.2
    assert ledger.see("doc", found("credentials"), PATIENCE_S, 0.0).new

    other = Ledger()
    other.see("doc", found("stuck"), 0.0, 0.0)
    assert other.see("doc", found("stuck"), CONFIRM_S, 0.0).new


def test_a_finding_that_becomes_surer_is_asked_for() -> None:
    """What was only offered is told again when it reaches the policy's confidence, and then not again."""
    ledger = Ledger()
    ledger.see("doc", found("captcha"), 0.0, QUIET)
    ledger.see("doc", found("captcha"), 1.0, QUIET)

    told = ledger.see("doc", found("captcha", policy=Policy.ASK), 2.0, QUIET)
    assert [judged.policy for judged in told.new] == [Policy.ASK]
    for at, policy in enumerate((Policy.OFFER, Policy.ASK), 3):
        assert ledger.see("doc", found("captcha", policy=policy), at, QUIET).new == ()
