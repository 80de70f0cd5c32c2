"""Deciding what blocks: rules over facts. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sandbox.blockers.facts import Facts, Mark, Native
from sandbox.blockers.features import View
from sandbox.blockers.rules import RULES, Evidence, Rule, Scope
from sandbox.blockers.words import BlockerKind, Finding, Where

LIKELY: Final = 0.5
"""Findings below this confidence are not told."""

STUCK_AFTER: Final = 3
"""The same action on the same page state so many times is being stuck."""

_NATIVE: Final[dict[Native, tuple[BlockerKind, str]]] = {
    Native.ALERT: (BlockerKind.DIALOG, "an alert is open"),
    Native.CONFIRM: (BlockerKind.DIALOG, "the page wants a confirmation"),
    Native.PROMPT: (BlockerKind.DIALOG, "the page asks for a line of text"),
    Native.BEFOREUNLOAD: (BlockerKind.DIALOG, "the page asks whether to leave it"),
    Native.FILE_CHOOSER: (BlockerKind.UPLOAD, "a file chooser is open"),
    Native.PERMISSION: (BlockerKind.CONSENT, "the page asks for a permission"),
    Native.BASIC_AUTH: (BlockerKind.CREDENTIALS, "the server asks for a name and a password"),
    Native.PASSKEY: (BlockerKind.PASSKEY, "the page asks for a passkey"),
    Native.PAYMENT: (BlockerKind.PAYMENT, "the page has opened the browser's payment sheet"),
}


_HIDDEN: Final = frozenset(
    f"{rule.name}/{at}" for rule in RULES for at, each in enumerate(rule.evidence) if each.hidden
)
"""The elements that count though they are not shown."""


def detect(facts: Facts) -> tuple[Finding, ...]:
    """Return the blockers of a page, the surest first; one for each kind and sort.

    Looks at nothing but `facts`; takes about a millisecond. What the browser signals by itself has confidence 1.
    """
    found: dict[tuple[str, str], Finding] = {}
    general: set[tuple[str, str]] = set()
    for rule, finding in [*_native(facts), *_judged(facts)]:
        key = (finding.kind, finding.sort)
        if key not in found or finding.confidence > found[key].confidence:
            found[key] = finding
        if rule is not None and rule.general:
            general.add(key)
    special = {kind for kind, sort in found if (kind, sort) not in general}
    told = [each for key, each in found.items() if key not in general or each.kind not in special]
    return tuple(sorted(told, key=lambda each: -each.confidence))


def _native(facts: Facts) -> Iterator[tuple[None, Finding]]:
    for signal in facts.signals:
        kind, why = _NATIVE[signal.native]
        where = Where(signal.frame) if signal.frame else None
        told = f"{why} ({signal.detail})" if signal.detail else why
        yield None, Finding(kind.value, signal.native.value, 1.0, where, told)
    if facts.stuck and facts.stuck.times >= STUCK_AFTER:
        told = f"the agent sent {facts.stuck.action} {facts.stuck.times} times and the page stayed as it was"
        yield None, Finding(BlockerKind.STUCK.value, "repeated_action", 1.0, None, told)


def _judged(facts: Facts) -> Iterator[tuple[Rule, Finding]]:
    if not facts.frames:
        return
    subjects, marks = _subjects(facts), _marks(facts)
    for rule in RULES:
        for view, where in subjects[rule.scope]:
            verdict = _judge(rule, view, marks)
            if verdict.confidence >= LIKELY:
                place = verdict.place or where
                why = ", ".join(verdict.why)
                yield rule, Finding(rule.kind.value, _sort(rule, view), verdict.confidence, place, why)


@dataclass(slots=True)
class _Verdict:
    confidence: float
    why: list[str]
    place: Where | None


def score(rule: Rule, view: View, marks: dict[str, Where]) -> tuple[float, list[Evidence], Where | None]:
    """Return a rule's score for one subject, the evidence that holds, and where the first element of it stands."""
    total, held, place = rule.bias, list[Evidence](), None
    for number, evidence in enumerate(rule.evidence):
        mark = marks.get(f"{rule.name}/{number}") if evidence.css else None
        holds = (mark is not None) if evidence.css else _holds(evidence, view)
        if holds is not evidence.negated:
            total += evidence.weight
            held.append(evidence)
            place = place or mark
    return total, held, place


def _judge(rule: Rule, view: View, marks: dict[str, Where]) -> _Verdict:
    total, held, place = score(rule, view, marks)
    strongest = sorted((each for each in held if each.weight > 0), key=lambda each: -each.weight)[:3]
    return _Verdict(1 / (1 + math.exp(-total)), [each.why for each in strongest], place)


def _sort(rule: Rule, view: View) -> str:
    return next((finer.sort for finer in rule.refine if view.matches(finer.see, finer.like)), rule.sort)


def _holds(evidence: Evidence, view: View) -> bool:
    if evidence.like is not None:
        return view.matches(evidence.see, evidence.like)
    seen = view.see(evidence.see)
    return isinstance(seen, int | float) and evidence.low <= seen <= evidence.high


def _subjects(facts: Facts) -> dict[Scope, list[tuple[View, Where]]]:
    page = View(facts)
    subjects: dict[Scope, list[tuple[View, Where]]] = {scope: [] for scope in Scope}
    subjects[Scope.PAGE].append((page, Where(facts.frames[0].frame)))
    for frame in facts.frames:
        if frame.visible:
            for scope, held in ((Scope.FORM, frame.forms), (Scope.OVERLAY, frame.overlays)):
                for each in held:
                    place = Where(frame.frame, each.selector, each.box)
                    subjects[scope].append((View(facts, each, page), place))
    return subjects


def _marks(facts: Facts) -> dict[str, Where]:
    found: dict[str, Where] = {}
    for frame in facts.frames:
        for mark in frame.marks:
            if (mark.visible and frame.visible) or mark.name in _HIDDEN:
                found.setdefault(mark.name, _place(frame.frame, mark))
    return found


def _place(frame: str, mark: Mark) -> Where:
    return Where(frame, mark.selector, mark.box)
