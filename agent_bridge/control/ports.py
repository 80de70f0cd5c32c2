"""What the broker needs from others: where control is kept, the keepers, notifications, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agent_bridge.control.approvals import Approval, ApprovalState
from agent_bridge.control.words import Control, Handoff
from agent_bridge.journal.words import Entry
from sandbox.words import Epoch, HandoffId, Holder, SandboxId


class ControlStore(Protocol):
    """Where control and handoffs are kept. Every method raises `Unavailable` when the store does not answer."""

    async def save(self, control: Control, ended: Handoff | None, entries: Sequence[Entry]) -> None:
        """Keep control, its open handoff, a handoff that is over, and journal entries: all or none."""
        ...

    async def save_late(self, handoff: Handoff, entries: Sequence[Entry]) -> None:
        """Keep what was said after a handoff's end, with journal entries: all or none."""
        ...

    async def controls(self) -> list[Control]:
        """Return control of every sandbox that is not closed."""
        ...

    async def control(self, sandbox: SandboxId) -> Control | None:
        """Return control of one sandbox, closed ones too."""
        ...

    async def handoff(self, handoff: HandoffId) -> Handoff | None:
        """Return one handoff."""
        ...

    async def handoff_by_key(self, sandbox: SandboxId, key: str) -> Handoff | None:
        """Return the handoff that was asked for in `sandbox` under this idempotency key."""
        ...

    async def recent(self, sandbox: SandboxId | None = None, limit: int = 100) -> list[Handoff]:
        """Return handoffs, the newest first."""
        ...


class ApprovalStore(Protocol):
    """Where approvals are kept. Every method raises `Unavailable` when the store does not answer."""

    async def add(self, approval: Approval, entries: Sequence[Entry]) -> None:
        """Keep a new approval, with journal entries: all or none."""
        ...

    async def put(self, before: ApprovalState, approval: Approval, entries: Sequence[Entry]) -> bool:
        """Keep what an approval became, if it is still stored as `before`; returns whether it was. All or none."""
        ...

    async def live(self) -> list[Approval]:
        """Return what may still be used as far as is stored, the oldest first."""
        ...

    async def get(self, approval: str) -> Approval | None:
        """Return one approval."""
        ...

    async def recent(self, limit: int) -> list[Approval]:
        """Return approvals, the newest first."""
        ...


class SandboxLink(Protocol):
    """The keeper's side of control (docs/architecture.md, *Server → keeper*).

    Every method raises `Unavailable` when the keeper does not answer, and `Gone` when it has ended.
    All but `mark`, `diff` and `check` are idempotent for the same epoch.
    """

    async def gate_close(self, *, epoch: Epoch, holder: Holder, since: float, drain_s: float) -> list[dict[str, Any]]:
        """Stop the agent; returns the commands whose outcome is unknown."""
        ...

    async def control_push(
        self, *, epoch: Epoch, holder: Holder, since: float, secret: bool, handoff: HandoffId | None
    ) -> list[str]:
        """Tell who holds control while the gate stays shut; returns the tabs in which the agent has left code."""
        ...

    async def gate_open(self, *, epoch: Epoch, since: float) -> dict[str, Any]:
        """Give control to the agent; returns `{"notes", "stale"}`: what it should know, which handles are gone."""
        ...

    async def mark(self, label: str) -> dict[str, Any]:
        """Take the snapshot *before*; returns `{"url", "title"}`."""
        ...

    async def diff(self, label: str) -> dict[str, Any]:
        """Compare *after* with *before*; returns `{"diff", "text", "images"}`, images by name, in base64."""
        ...

    async def check(self, condition: dict[str, Any]) -> dict[str, Any]:
        """Evaluate a completion condition; returns `{"met", "parts"}`."""
        ...

    async def watch(self, handoff: HandoffId, condition: dict[str, Any]) -> None:
        """Look at a condition until the lease ends; the keeper tells by its event `condition`."""
        ...

    async def handoff_completed(self, handoff: HandoffId, result: dict[str, Any]) -> None:
        """Tell the CDP session that asked."""
        ...


class Keepers(Protocol):
    """The keepers this server is connected to."""

    def link(self, sandbox: SandboxId) -> SandboxLink:
        """Return the link to a sandbox's keeper. Raises `Unavailable` while there is none, `Gone` when it has ended."""
        ...


class Notifier(Protocol):
    """Tells operators outside the console."""

    async def announce(self, handoff: Mapping[str, Any], *, again: bool = False) -> None:
        """Tell of a waiting handoff (wire form), once; `again` where it has come back to the queue."""
        ...


class Images(Protocol):
    """Where a handoff's masked pictures are kept."""

    async def save(self, handoff: HandoffId, name: str, jpeg: bytes) -> None:
        """Keep one picture, over an earlier one of the same name."""
        ...


class JournalPort(Protocol):
    """Where the broker writes what is not a transition."""

    async def append(
        self,
        kind: str,
        *,
        sandbox: SandboxId | None = None,
        handoff: HandoffId | None = None,
        actor: str = "server",
        **data: Any,
    ) -> object:
        """Write one entry."""
        ...
