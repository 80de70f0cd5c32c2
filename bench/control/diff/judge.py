"""Compares what a diff claims with the truth of a session. Pure.

The rules, all of them:
- What the diff marks as noise is not claimed: where the human did it, it is missed; where not, nothing is wrong.
- One claim answers one change of the truth, and each change is answered once. Kind, operation and name must be equal:
  "added" does not answer "changed". Names are compared with spaces squeezed, without case, and for labels without a
  colon or an asterisk at the end; a name of the truth that ends in "…" is a beginning. A role counts where the truth
  names one. Texts of fields must be equal; a secret field must be told as secret, without its text.
- Whatever else is claimed is wrong, with two exceptions, which count neither way. (1) Elements of a tab that, as the
  truth says, has a new document: every element of a new page is new, and listing them all proves nothing. (What the
  truth names there, headings and what the page says about what was done, is wanted all the same.) (2) A second claim
  of a change that is found already, with another role: a list item and the link in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench.control.diff.truth import Change


@dataclass(frozen=True, slots=True)
class Claim:
    """One change as the diff tells it, in the words of `Change`; `tab` is the tab's id, where it has one."""

    kind: str
    op: str
    what: str
    value: str = ""
    role: str = ""
    tab: str = ""
    noise: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one session."""

    found: tuple[Change, ...]
    missed: tuple[Change, ...]
    wrong: tuple[Claim, ...]


def claims(diff: Mapping[str, Any]) -> list[Claim]:
    """Return everything that a diff on the wire says has changed, also what it marks as noise."""
    found: list[Claim] = []
    for op, entries in diff["tabs"].items():
        kind = "tab" if op in {"opened", "closed"} else "page"
        found += [_claim(kind, op, _path(entry.get("to") or entry["url"]), entry) for entry in entries]
    for op, entries in diff["cookies"].items():
        found += [_claim("cookie", op, entry["name"], entry) for entry in entries]
    for op, entries in diff["storage"].items():
        found += [_claim("storage", op, f"{entry['area']}:{entry['key']}", entry) for entry in entries]
    for entry in diff["fields"]:
        op = entry["change"] if entry.get("secret") else "changed"
        found.append(_claim("field", op, entry["label"], entry, entry.get("after", "")))
    for op, entries in diff["elements"].items():
        found += [_claim("element", op, entry["after" if op == "changed" else "name"], entry) for entry in entries]
    found += [_claim("download", entry["state"], entry["name"], entry) for entry in diff["downloads"]]
    for entry in diff["dialogs"]:
        found.append(_claim("dialog", entry["kind"], "accepted" if entry["accepted"] else "dismissed", entry))
    return found


def judge(truth: Sequence[Change], claimed: Sequence[Claim]) -> Verdict:
    """Match claims with the truth. Each change is found or missed; each claim is right, wrong or counts neither way."""
    open_changes = list(truth)
    found: list[Change] = []
    answers: list[Claim] = []
    rest: list[Claim] = []
    for claim in claimed:
        if claim.noise:
            continue
        change = next((each for each in open_changes if answers_to(claim, each)), None)
        if change is None:
            rest.append(claim)
            continue
        open_changes.remove(change)
        found.append(change)
        answers.append(claim)
    new = _new_documents(truth, claimed)
    wrong = [claim for claim in rest if not _consequence(claim, new) and not _again(claim, answers)]
    return Verdict(tuple(found), tuple(open_changes), tuple(wrong))


def answers_to(claim: Claim, change: Change) -> bool:
    """Whether a claim tells exactly this change."""
    if (claim.kind, claim.op) != (change.kind, change.op) or change.role not in {"", claim.role}:
        return False
    if change.kind == "field":
        return _label(claim.what) == _label(change.what) and claim.value == change.value
    if change.kind != "element":
        return claim.what == change.what
    name, wanted = _plain(claim.what), _plain(change.what)
    return name.startswith(wanted[:-1]) if wanted.endswith("…") else name == wanted


def _claim(kind: str, op: str, what: str, entry: Mapping[str, Any], value: str = "") -> Claim:
    tab, noise = entry.get("tab", ""), entry.get("noise", False)
    return Claim(kind, op, what, value, entry.get("role", ""), tab, noise)


def _new_documents(truth: Sequence[Change], claimed: Sequence[Claim]) -> set[str]:
    """The tabs whose document is new, as the truth says it."""
    told = [each for each in truth if each.document]
    return {claim.tab for claim in claimed if any(answers_to(claim, change) for change in told)}


def _consequence(claim: Claim, new: set[str]) -> bool:
    return claim.kind == "element" and claim.op in {"added", "removed", "changed"} and claim.tab in new


def _again(claim: Claim, answers: Sequence[Claim]) -> bool:
    return claim.kind == "element" and any(
        (claim.op, _plain(claim.what)) == (each.op, _plain(each.what)) and claim.role != each.role
        for each in answers
        if each.kind == "element"
    )


def _path(url: str) -> str:
    return urlsplit(url).path or url


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _label(name: str) -> str:
    return _plain(name).rstrip(":* ")
