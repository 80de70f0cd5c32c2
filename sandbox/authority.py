"""The Authority: whom the sandbox asks before it lets anything act.

`agent_bridge` implements it; a keeper without one keeps its gate shut. `permit` must be quick and pure in what
was last pushed: it is called once per command, inside the gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from sandbox.words import Epoch, Holder


class Verb(StrEnum):
    """What sort of thing a command does; the gate's method table says which."""

    READ = "read"
    ACT = "act"
    STANDING = "standing"


@dataclass(frozen=True, slots=True)
class Action:
    """One command of the agent, as far as a decision may depend on it."""

    verb: Verb
    method: str
    target: str | None
    epoch: Epoch


class Answer(StrEnum):
    """The three possible answers."""

    ALLOW = "allow"
    REFUSE = "refuse"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer and, unless it allows, the sentence the agent is told."""

    answer: Answer
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HandoffAsk:
    """What `Baton.requestHandoff` said, and on which page."""

    target: str
    url: str
    title: str
    params: dict[str, Any]
    client: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalAsk:
    """What `Baton.requestApproval` said: one command on one page as it is now, under one epoch."""

    target: str
    url: str
    title: str
    method: str
    params: dict[str, Any]
    reason: str
    page_state: str
    """The keyed digest of what the page means now (the keeper's `state.token`)."""
    epoch: Epoch
    timeout_s: float | None = None
    client: str = ""


class Authority(Protocol):
    """What a keeper needs from whoever governs it."""

    def pushed(self, holder: Holder, epoch: Epoch) -> None:
        """Control changed hands; `permit` answers for this state from now on."""
        ...

    def permit(self, action: Action) -> Verdict:
        """Judge one command of the agent against the pushed state."""
        ...

    async def ask_handoff(self, ask: HandoffAsk) -> dict[str, Any]:
        """Ask for a human; returns the handoff in its wire form as soon as it is in the queue. Raises `BatonError`."""
        ...

    async def get_handoff(self, handoff: str) -> dict[str, Any]:
        """Return a handoff of this sandbox in its wire form. Raises `NotFound`."""
        ...

    async def cancel_handoff(self, handoff: str) -> dict[str, Any]:
        """Withdraw an open handoff of this sandbox. Raises `NotFound`, `Conflict`."""
        ...

    async def extend_handoff(self, handoff: str, timeout_s: float) -> dict[str, Any]:
        """Let an open handoff of this sandbox wait until `timeout_s` from now. Raises `NotFound`, `Conflict`."""
        ...

    async def ask_approval(self, ask: ApprovalAsk) -> dict[str, Any]:
        """Ask an operator to approve one command; returns the approval's wire form. Raises `BatonError`."""
        ...

    async def get_approval(self, approval: str) -> dict[str, Any]:
        """Return an approval of this sandbox in its wire form. Raises `NotFound`."""
        ...

    async def use_approval(self, approval: str, page_state: str) -> dict[str, Any]:
        """Spend an approval, once; returns its wire form.

        Raises `NotFound`, or `Conflict` unless it is approved and neither the epoch nor the page's state has changed.
        """
        ...
