"""What an approval becomes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bridge.control.approvals import (
    TABLE,
    Approval,
    ApprovalState,
    Approve,
    Refuse,
    Use,
    Word,
    decide,
    standing,
)
from agent_bridge.control.errors import ApprovalOver, NotApproved, PageChanged
from sandbox.words import Conflict, Epoch, OperatorId, SandboxId

ANN = OperatorId("op_ann")
ASKED = Approval(
    "ap_1", SandboxId("sb_1"), "t1", "Page.reload", "reloads the page", "it hangs", Epoch(3), 100.0, 200.0,
    page_state="as it was",
)  # fmt: skip
WORDS: tuple[Word, ...] = (Approve(ANN, "Ann"), Refuse(ANN, "Ann", "no"), Use("as it was"))


def test_approved_once_used_once() -> None:
    """The way it is meant to go; a second use is refused."""
    approved = decide(ASKED, Approve(ANN, "Ann", "fine"), 110)
    assert (approved.state, approved.by, approved.operator, approved.decided_at) == ("approved", "Ann", ANN, 110)
    used = decide(approved, Use("as it was"), 120)
    assert (used.state, used.decided_at) == (ApprovalState.USED, 110)
    with pytest.raises(ApprovalOver, match="is used"):
        decide(used, Use("as it was"), 121)


def test_what_is_not_approved_is_not_used() -> None:
    """Pending, declined, or for a page that means something else."""
    with pytest.raises(NotApproved, match="is pending"):
        decide(ASKED, Use("as it was"), 110)
    approved = decide(ASKED, Approve(ANN, "Ann"), 110)
    with pytest.raises(PageChanged, match="look again"):
        decide(approved, Use("otherwise"), 120)
    declined = decide(approved, Refuse(ANN, "Ann", "on second thoughts"), 120)
    assert (declined.state, declined.note) == ("declined", "on second thoughts")
    with pytest.raises(ApprovalOver, match="is declined"):
        decide(declined, Use("as it was"), 130)
    with pytest.raises(ApprovalOver, match="is declined"):
        decide(declined, Approve(ANN, "Ann"), 130)


@pytest.mark.parametrize(
    ("epoch", "now", "state"),
    [(3, 199.9, "approved"), (3, 200.0, "expired"), (4, 150.0, "void"), (2, 150.0, "void"), (None, 150.0, "void")],
)
def test_it_is_worth_something_under_its_own_epoch_only(epoch: int | None, now: float, state: str) -> None:
    """Control that moved voids it, however it is stored; so does the end of the sandbox."""
    approved = decide(ASKED, Approve(ANN, "Ann"), 110)
    assert standing(approved, None if epoch is None else Epoch(epoch), now).state == state
    assert standing(replace(approved, state=ApprovalState.USED), Epoch(9), now).state == "used"


def _model(state: str, word: Word) -> str | None:
    table = {
        ("pending", Approve): "approved", ("pending", Refuse): "declined",
        ("approved", Approve): "approved", ("approved", Refuse): "declined", ("approved", Use): "used",
        ("declined", Refuse): "declined",
    }  # fmt: skip
    return table.get((state, type(word)))


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([3, 3, 3, 4]), st.integers(0, 20)), max_size=12))
def test_no_order_of_words_uses_it_twice(said: list[tuple[Word, int, int]]) -> None:
    """Against a model: an approval is used at most once, after an approval, under its epoch, in time."""
    approval, now, uses = ASKED, 100.0, 0
    for word, epoch, seconds in said:
        now += seconds
        approval = standing(approval, Epoch(epoch), now)
        expected = _model(approval.state, word)
        if expected is None:
            with pytest.raises(Conflict):
                decide(approval, word, now)
            continue
        after = decide(approval, word, now)
        if isinstance(word, Use):
            uses += 1
            assert (approval.state, epoch, now < 200) == ("approved", 3, True)
        approval = after
        assert approval.state == expected
    assert uses <= 1


def test_only_an_operators_word_leads_to_approved() -> None:
    """The table has no other way there."""
    for (state, kind), rule in TABLE.items():
        word = next(word for word in WORDS if isinstance(word, kind))
        try:
            after = rule(replace(ASKED, state=state), word, 110)
        except Conflict:
            continue
        assert after.state != "approved" or kind is Approve
