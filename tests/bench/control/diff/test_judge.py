"""The judge of diffs accepts what is right, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.control.diff import judged
from bench.control.diff.human import Human
from bench.control.diff.judge import Claim, claims, judge
from bench.control.diff.play import Played
from bench.control.diff.sessions import Place, Session
from bench.control.diff.truth import Change, came, cookie, field, gone, now, secret, went

ADDED = Claim("element", "added", "Milk", role="button", tab="t")


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        (came("Milk"), ADDED),
        (came(" milk ", "button"), ADDED),
        (came("Mi…"), ADDED),
        (cookie("sid"), Claim("cookie", "added", "sid")),
        (field("Name", "Ann"), Claim("field", "changed", "Name *:", "Ann", "textbox", "t")),
        (secret("Password"), Claim("field", "filled", "Password", "", "textbox", "t")),
    ],
)
def test_the_right_claim_is_found(change: Change, claim: Claim) -> None:
    """Nothing is missed and nothing is wrong."""
    verdict = judge([change], [claim])
    assert (verdict.found, verdict.missed, verdict.wrong) == ((change,), (), ())


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        (gone("Milk"), ADDED),
        (now("Milk"), ADDED),
        (came("Milk", "link"), ADDED),
        (came("Bread"), ADDED),
        (came("Mil"), ADDED),
        (cookie("sid"), Claim("cookie", "changed", "sid")),
        (cookie("sid"), Claim("cookie", "added", "SID")),
        (field("Name", "Ann"), Claim("field", "changed", "Name", "ann", "textbox", "t")),
        (field("Name", "Ann"), Claim("field", "changed", "City", "Ann", "textbox", "t")),
        (secret("Password"), Claim("field", "changed", "Password", "open sesame", "textbox", "t")),
        (went("/a"), Claim("page", "navigated", "/b", tab="t")),
    ],
)
def test_another_claim_is_wrong(change: Change, claim: Claim) -> None:
    """The change is missed and the claim is wrong."""
    verdict = judge([change], [claim])
    assert (verdict.found, verdict.missed, verdict.wrong) == ((), (change,), (claim,))


def test_what_is_marked_as_noise_is_not_claimed() -> None:
    """It is missed where the human did it, and not wrong where not."""
    quiet = Claim("element", "added", "Milk", role="button", tab="t", noise=True)
    assert judge([came("Milk")], [quiet]).missed == (came("Milk"),)
    assert judge([], [quiet]).wrong == ()
    assert judge([], [ADDED]).wrong == (ADDED,)


def test_a_claim_answers_once() -> None:
    """The same told twice is wrong once; two changes need two claims; another level of the page counts neither way."""
    assert judge([came("Milk")], [ADDED, ADDED]).wrong == (ADDED,)
    assert judge([came("Milk"), came("Milk")], [ADDED]).missed == (came("Milk"),)
    assert judge([came("Milk")], [ADDED, Claim("element", "added", "Milk", role="link", tab="t")]).wrong == ()


def test_elements_of_a_new_document_count_neither_way() -> None:
    """But only on that tab, only if the truth says that it is new, and not for fields or cookies."""
    moved = Claim("page", "navigated", "/a", tab="t")
    assert judge([went("/a")], [moved, ADDED]).wrong == ()
    assert judge([went("/a"), came("Bread")], [moved, ADDED]).missed == (came("Bread"),)
    elsewhere = Claim("element", "added", "Milk", role="button", tab="u")
    filled = Claim("field", "changed", "Name", "Ann", "textbox", "t")
    assert judge([went("/a")], [moved, elsewhere, filled]).wrong == (elsewhere, filled)
    assert judge([], [moved, ADDED]).wrong == (moved, ADDED)


def test_every_part_of_a_diff_is_claimed() -> None:
    """Whatever the wire form can say comes before the judge."""
    element = {"role": "button", "tab": "t"}
    diff = {
        "tabs": {
            "opened": [{"tab": "o", "url": "http://h/o"}], "closed": [{"tab": "c", "url": "http://h/c"}],
            "navigated": [{"tab": "t", "from": "http://h/", "to": "http://h/n", "noise": True}],
            "reloaded": [{"tab": "r", "url": "http://h/r"}],
        },
        "cookies": {"added": [{"name": "a"}], "removed": [], "changed": []},
        "storage": {"added": [], "removed": [{"area": "local", "key": "k"}], "changed": []},
        "fields": [{"tab": "t", "label": "P", "role": "textbox", "secret": True, "change": "filled"},
                   {"tab": "t", "label": "N", "role": "textbox", "before": "", "after": "x"}],
        "elements": {"added": [{**element, "name": "A"}], "removed": [{**element, "name": "B"}],
                     "changed": [{**element, "before": "C", "after": "D"}]},
        "downloads": [{"name": "f", "state": "completed"}], "dialogs": [{"kind": "confirm", "accepted": False}],
    }  # fmt: skip
    told = [(each.kind, each.op, each.what, each.value, each.noise) for each in claims(diff)]
    assert told == [
        ("tab", "opened", "/o", "", False), ("tab", "closed", "/c", "", False),
        ("page", "navigated", "/n", "", True), ("page", "reloaded", "/r", "", False),
        ("cookie", "added", "a", "", False), ("storage", "removed", "local:k", "", False),
        ("field", "filled", "P", "", False), ("field", "changed", "N", "x", False),
        ("element", "added", "A", "", False), ("element", "removed", "B", "", False),
        ("element", "changed", "D", "", False), ("download", "completed", "f", "", False),
        ("dialog", "confirm", "dismissed", "", False),
    ]  # fmt: skip


@pytest.mark.parametrize("says", ["nothing", "everything", "everything as noise"])
def test_a_differ_that_tells_nothing_apart_is_rejected(says: str) -> None:
    """Neither silence nor a list of all that there is reaches both goals; what is right does."""
    truth = (came("Milk"), cookie("sid"), field("Name", "Ann"))
    right = [
        ADDED, Claim("cookie", "added", "sid"), Claim("field", "changed", "Name", "Ann", "textbox", "t"),
    ]  # fmt: skip
    rest = [Claim("element", op, f"Row {row}", tab="t") for row in range(50) for op in ("added", "removed", "changed")]
    told = {
        "nothing": [],
        "everything": [*rest, *right],
        "everything as noise": [replace(each, noise=True) for each in (*rest, *right)],
    }
    assert min(_shares(truth, told[says])) < 0.95
    assert _shares(truth, right) == [1.0, 1.0]


def _shares(truth: tuple[Change, ...], told: list[Claim]) -> list[float]:
    """Precision and recall of one session."""

    async def nothing(_human: Human, _place: Place) -> None:
        """Not played."""

    session = Session("s", "own", "/", nothing, truth)
    return [each.value for each in judged([Played(session, judge(truth, told), {}, 0.0, (), ())])[:2]]
