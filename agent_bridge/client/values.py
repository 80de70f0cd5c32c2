"""What the client hands back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

type Fetch = Callable[[str], bytes]
type AsyncFetch = Callable[[str], Awaitable[bytes]]


class Outcome(StrEnum):
    """How a handoff ended."""

    RESOLVED = "resolved"
    FAILED = "failed"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the completion condition held when the operator pressed Done.

    `verified` is None where there was no condition, or no Done. `overridden` is the operator's reason to go on all the
    same. Each part is `{"condition", "met", "why"}`.
    """

    verified: bool | None = None
    parts: tuple[Mapping[str, Any], ...] = ()
    overridden: str | None = None


@dataclass(frozen=True, slots=True)
class HandoffResult:
    """What came of a handoff.

    `text` says what changed while the human drove, for a language model, at most 6,000 characters, what matters
    first; `diff` is the same as data. `unknown` lists commands that were in flight when the agent was stopped and
    whose outcome nobody knows, `stale` which of the agent's handles are gone; `notes` what the agent should know
    before it goes on. `waited_s` is the time until a human took control, `duration_s` from then to the return. `late`
    is what an operator said after the end.
    """

    handoff: str
    outcome: Outcome
    note: str = ""
    operator: str | None = None
    verification: Verification = Verification()
    diff: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    duration_s: float = 0.0
    waited_s: float = 0.0
    unknown: tuple[Mapping[str, Any], ...] = ()
    exposure: str | None = None
    stale: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    late: tuple[Mapping[str, Any], ...] = ()
    pictures: tuple[str, ...] = ()
    _fetch: Fetch | None = field(default=None, repr=False, compare=False)
    _async_fetch: AsyncFetch | None = field(default=None, repr=False, compare=False)

    @property
    def resolved(self) -> bool:
        """Whether the human solved it."""
        return self.outcome is Outcome.RESOLVED

    def images(self) -> dict[str, bytes]:
        """Fetch the masked JPEGs of before and after, by name. Blocks; see `images_async`."""
        if self._fetch is None:
            return {}
        return {name: self._fetch(f"/handoffs/{self.handoff}/images/{name}.jpg") for name in self.pictures}

    async def images_async(self) -> dict[str, bytes]:
        """Fetch the masked JPEGs of before and after, by name."""
        if self._async_fetch is None:
            return {}
        return {name: await self._async_fetch(f"/handoffs/{self.handoff}/images/{name}.jpg") for name in self.pictures}

    @classmethod
    def from_wire(
        cls, handoff: Mapping[str, Any], fetch: Fetch | None = None, async_fetch: AsyncFetch | None = None
    ) -> Self:
        """Read the result out of a final handoff."""
        data = handoff["result"]
        checked = data["verification"]
        return cls(
            handoff=handoff["id"], outcome=Outcome(data["outcome"]), note=data["note"], operator=data["operator"],
            verification=Verification(checked["verified"], tuple(checked["parts"]), checked["overridden"]),
            diff=data["diff"], text=data["text"], duration_s=data["duration_s"], waited_s=data["waited_s"],
            unknown=tuple(data["unknown"]), exposure=data["exposure"], stale=data.get("stale", {}),
            notes=tuple(data.get("notes", ())), late=tuple(handoff.get("late", ())), pictures=tuple(data["images"]),
            _fetch=fetch, _async_fetch=async_fetch,
        )  # fmt: skip
