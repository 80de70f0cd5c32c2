"""Counting what was found against what is there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """How well something was found: right, false and missed ones of `n` pages."""

    right: int
    false: int
    missed: int
    n: int

    @property
    def precision(self) -> float:
        """The share of what was found that was there; 1 when nothing was found."""
        found = self.right + self.false
        return self.right / found if found else 1.0

    @property
    def recall(self) -> float:
        """The share of what was there that was found; 1 when nothing was there."""
        there = self.right + self.missed
        return self.right / there if there else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        total = 2 * self.right + self.false + self.missed
        return 2 * self.right / total if total else 1.0

    def __str__(self) -> str:
        return (
            f"F1 {self.f1:.3f}  precision {self.precision:.3f}  recall {self.recall:.3f}  "
            f"({self.right} right, {self.false} false, {self.missed} missed, n={self.n})"
        )


def scored(cases: Iterable[tuple[bool, bool]]) -> Score:
    """Count pairs of (found, there)."""
    pairs = list(cases)
    return Score(
        right=sum(found and there for found, there in pairs),
        false=sum(found and not there for found, there in pairs),
        missed=sum(there and not found for found, there in pairs),
        n=len(pairs),
    )
