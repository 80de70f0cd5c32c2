"""Approvals: one action of the agent that one operator allows once. Pure: what is said of one, and what it becomes.

An approval is bound to the epoch it was asked under and to what the page meant then. Nobody has to void it when control
moves: under another epoch it is void, whatever is stored (`standing`). `TABLE` holds every other change.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from agent_bridge.control.errors import ApprovalOver, NotApproved, PageChanged
from sandbox.words import Epoch, OperatorId, SandboxId

type Json = dict[str, Any]


class ApprovalState(StrEnum):
    """Where an approval stands; the last four are final."""

    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"
    VOID = "void"
    EXPIRED = "expired"
    USED = "used"

    @property
    def live(self) -> bool:
        """Whether it may still come to be used."""
        return self in {ApprovalState.PENDING, ApprovalState.APPROVED}


@dataclass(frozen=True, slots=True)
class Approval:
    """One command that waits for an operator's word. Times are seconds since 1970.

    `summary` is what people are shown of the command, `digest` a keyed digest of all of it; the command itself stays in
    the keeper. `page_state` is the keeper's keyed digest of what the page meant when it was asked. `url` carries
    neither query nor fragment. `operator` and `by` are id and name of who decided.
    """

    id: str
    sandbox: SandboxId
    target: str
    method: str
    summary: str
    reason: str
    epoch: Epoch
    asked_at: float
    deadline_at: float
    url: str = ""
    title: str = ""
    digest: str = field(default="", repr=False)
    page_state: str = field(default="", repr=False)
    state: ApprovalState = ApprovalState.PENDING
    operator: OperatorId | None = None
    by: str | None = None
    note: str = ""
    decided_at: float | None = None

    def to_wire(self) -> Json:
        """Return what the API and the agent are shown."""
        return {
            "id": self.id, "sandbox": self.sandbox, "target": self.target, "url": self.url, "title": self.title,
            "method": self.method, "summary": self.summary, "reason": self.reason, "epoch": self.epoch,
            "state": self.state.value, "asked_at": self.asked_at, "deadline_at": self.deadline_at,
            "decided_by": self.by, "decided_at": self.decided_at, "note": self.note,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Approve:
    """An operator allows it."""

    operator: OperatorId
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """An operator declines, also after having approved, as long as it is not used."""

    operator: OperatorId
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """The keeper is about to send the command, in a page that means `page_state`."""

    page_state: str = field(repr=False)


type Word = Approve | Refuse | Use
type Decide = Callable[[Approval, Any, float], Approval]


def standing(approval: Approval, epoch: Epoch | None, now: float) -> Approval:
    """Return what an approval is worth at `now` under the sandbox's present epoch (None: the sandbox has ended)."""
    if not approval.state.live:
        return approval
    if approval.epoch != epoch:
        return replace(approval, state=ApprovalState.VOID, decided_at=now)
    if now >= approval.deadline_at:
        return replace(approval, state=ApprovalState.EXPIRED, decided_at=now)
    return approval


def decide(approval: Approval, word: Word, now: float) -> Approval:
    """Return what an approval, as it stands, becomes. Raises `ApprovalOver`, `NotApproved`, `PageChanged`."""
    rule = TABLE.get((approval.state, type(word)))
    if rule is None:
        raise ApprovalOver(
            f"approval {approval.id} is {approval.state}; ask again if the action is still wanted",
            approval=approval.id, state=approval.state.value,
        )  # fmt: skip
    return rule(approval, word, now)


def _approve(approval: Approval, word: Approve, now: float) -> Approval:
    return _decided(approval, word, now, ApprovalState.APPROVED)


def _decline(approval: Approval, word: Refuse, now: float) -> Approval:
    return _decided(approval, word, now, ApprovalState.DECLINED)


def _decided(approval: Approval, word: Approve | Refuse, now: float, state: ApprovalState) -> Approval:
    return replace(approval, state=state, operator=word.operator, by=word.name, note=word.note, decided_at=now)


def _again(approval: Approval, _word: Word, _now: float) -> Approval:
    return approval


def _too_soon(approval: Approval, _word: Use, _now: float) -> Approval:
    raise NotApproved(
        f"approval {approval.id} is pending: no operator has decided yet; wait for Baton.approvalDecided",
        approval=approval.id, state=approval.state.value,
    )  # fmt: skip


def _use(approval: Approval, word: Use, _now: float) -> Approval:
    if not hmac.compare_digest(word.page_state.encode(), approval.page_state.encode()):
        raise PageChanged(
            "the page has changed since approval was asked for; look again, then ask again", approval=approval.id
        )
    return replace(approval, state=ApprovalState.USED)


_S: Final = ApprovalState

TABLE: Final[MappingProxyType[tuple[ApprovalState, type[Word]], Decide]] = MappingProxyType(
    {
        (_S.PENDING, Approve): _approve,
        (_S.PENDING, Refuse): _decline,
        (_S.PENDING, Use): _too_soon,
        (_S.APPROVED, Approve): _again,
        (_S.APPROVED, Refuse): _decline,
        (_S.APPROVED, Use): _use,
        (_S.DECLINED, Refuse): _again,
    }
)
"""What is not here is refused: what is over stays over, and nothing but an operator's word approves."""
