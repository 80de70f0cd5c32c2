"""Which findings of one page are told when. Pure.

A finding is told when it was seen twice on the settled page, some time apart, while the agent was not in the middle of
something; once for each document and kind. It is told as gone when it is not seen any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sandbox.blockers.policy import Policy
from sandbox.blockers.words import BlockerKind, Finding

CONFIRM_S: Final = 0.5
BUSY_S: Final = 1.0
"""An agent that has done something so short a time ago may be just about to deal with it."""
PATIENCE_S: Final = 6.0
"""The longest that an agent's bustle keeps a finding from being told."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding and what is to be done about it."""

    finding: Finding
    policy: Policy


@dataclass(frozen=True, slots=True)
class Told:
    """What one look came to: `new` is told now, `gone` names kinds that went, `again_s` when to look again."""

    new: tuple[Judged, ...] = ()
    gone: tuple[str, ...] = ()
    again_s: float | None = None


class Ledger:
    """The findings of one page."""

    def __init__(self) -> None:
        self._document = ""
        self._first: dict[str, float] = {}
        self._once: set[tuple[str, Policy]] = set()
        self._current: dict[str, Judged] = {}

    def __repr__(self) -> str:
        return f"<Ledger {sorted(self._current)} waiting={sorted(self._first.keys() - self._current.keys())}>"

    @property
    def current(self) -> tuple[Judged, ...]:
        """What was told, or would have been but for having been told in this document before, and is still there."""
        return tuple(self._current.values())

    def see(self, document: str, found: Mapping[str, Judged], now: float, quiet_s: float) -> Told:
        """Take what a look found (by kind). `quiet_s` is how long ago the agent last did something here."""
        gone = [kind for kind in self._current if document != self._document or kind not in found]
        if document != self._document:
            self._document = document
            self._first.clear()
            self._once.clear()
        for kind in gone:
            del self._current[kind]
        for kind in self._first.keys() - found.keys():
            del self._first[kind]
        new: list[Judged] = []
        again: list[float] = []
        for kind, judged in found.items():
            known = self._current.get(kind)
            if known is not None and (judged.policy is not Policy.ASK or known.policy is Policy.ASK):
                # What was sure once stays so: a page that is half covered for a moment asks nobody twice.
                self._current[kind] = Judged(judged.finding, known.policy)
                continue
            quiet = BUSY_S if kind == BlockerKind.STUCK else quiet_s
            wait = self._wait(self._first.setdefault(kind, now), now, quiet)
            if wait > 0:
                again.append(wait)
                continue
            self._current[kind] = judged
            if (kind, judged.policy) not in self._once:
                self._once.add((kind, judged.policy))
                new.append(judged)
        return Told(tuple(new), tuple(gone), min(again, default=None))

    def forget(self, kind: str) -> None:
        """Tell this kind again, if it is still there."""
        self._current.pop(kind, None)
        self._first.pop(kind, None)
        self._once = {each for each in self._once if each[0] != kind}

    @staticmethod
    def _wait(first: float, now: float, quiet_s: float) -> float:
        seen = now - first
        if seen >= PATIENCE_S:
            return 0.0
        return max(CONFIRM_S - seen, min(BUSY_S - quiet_s, PATIENCE_S - seen))
