"""What the API reads and writes, for people, OpenAPI and pydantic.

Request models are strict: an unknown field is an error and every text has a bound. Response models describe; the
routes send the wire form of the services as it is.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent_bridge.control.approvals import ApprovalState
from agent_bridge.control.words import How, Phase
from agent_bridge.words import Blocker, HandoffState, Outcome
from sandbox.blockers.policy import Policy
from sandbox.blockers.words import BlockerKind

type Short = Annotated[str, StringConstraints(max_length=200)]
type Note = Annotated[str, StringConstraints(max_length=4000)]
KINDS = Literal[tuple(kind.value for kind in BlockerKind)]  # type: ignore[valid-type] # made from the words
POLICIES = Literal[tuple(policy.value for policy in Policy)]  # type: ignore[valid-type] # made from the words
type Address = Annotated[str, StringConstraints(max_length=8000)]


class Strict(BaseModel):
    """A request body: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class OpenSandbox(Strict):
    """What an agent says to open a sandbox; all of it may be left out."""

    url: Address | None = Field(None, description="Where its first tab goes; http or https.")
    width: int | None = Field(None, ge=320, le=4096, description="Pixels; even.", multiple_of=2)
    height: int | None = Field(None, ge=240, le=4096, description="Pixels; even.", multiple_of=2)
    name: Annotated[str, StringConstraints(max_length=80)] | None = Field(None, description="Shown to operators.")
    blockers: dict[KINDS, POLICIES] | None = Field(  # type: ignore[valid-type] # made from the words
        None, description="What to do about blockers by kind; what is not named is as the server's setting says."
    )
    while_held: Literal["refuse", "wait"] | None = Field(
        None, description="What becomes of its commands while it does not hold control; the server's setting if absent."
    )


class AskHandoff(Strict):
    """What an agent says to ask for a human."""

    kind: Literal[tuple(b.value for b in Blocker)] = Field(description="What stopped the agent.")  # type: ignore[valid-type] # made from the words
    instructions: str = Field(description="What the human is to do, in a sentence or two.")
    condition: dict[str, Any] | None = Field(None, description="What must hold before Done counts as done.")
    timeout_s: float | None = Field(None, gt=0, description="Seconds until the handoff expires.")
    idempotency_key: Short | None = Field(None, description="Asking again with the same key returns the same handoff.")
    target: Short | None = Field(None, description="The CDP target (tab) that is blocked.")


class Take(Strict):
    """Which handoff the operator means to claim; without one, whatever is open, or an unasked take-over."""

    handoff: Short | None = None
    force: bool = Field(False, description="Take control from another operator too; supervisors only.")


class AtEpoch(Strict):
    """The epoch of the operator's lease."""

    epoch: int = Field(ge=0)


class Done(AtEpoch):
    """The operator says it is solved."""

    note: Note = ""
    override: Note | None = Field(None, description="Why it is done although a condition does not hold.", min_length=1)


class Failed(AtEpoch):
    """The operator could not solve it."""

    note: Note = ""


class Declined(AtEpoch):
    """The operator refuses, and says why."""

    note: Note = Field(min_length=1)


class Extend(AtEpoch):
    """The operator needs longer than one lease may last, and says why."""

    reason: Note = Field(min_length=1)


class RequestControl(Strict):
    """An operator asks the one who holds control for it."""

    note: Note = ""


class ToOperator(AtEpoch):
    """The holder answers an operator who asked for control."""

    operator: Short


class ExtendHandoff(Strict):
    """Let a handoff wait longer."""

    timeout_s: float = Field(gt=0, description="Seconds from now; it never waits shorter than before.")


class AskApproval(Strict):
    """What an agent says to have one action approved."""

    target: Short = Field(description="The CDP target (tab) it is for.")
    method: Short = Field(description="The CDP command.")
    params: dict[str, Any] = Field(default_factory=dict, description="Its parameters; kept in the sandbox only.")
    reason: Note = Field(min_length=1, description="Why; an operator reads it.")
    timeout_s: float | None = Field(None, gt=0, description="Seconds until it expires.")


class Decide(Strict):
    """An operator's word on an approval."""

    note: Note = ""


class RedeemLink(Strict):
    """The secret of a one-use link, which the page read from its own fragment."""

    token: Short


class Rename(Strict):
    """An operator's new display name."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Error(BaseModel):
    """Every error: what happened and what to do, with the things it names as further fields."""

    model_config = ConfigDict(extra="allow")

    error: str = Field(description="The error's name, as `HeldByAnother`.")
    kind: str = Field(description="Its kind; decides the status.")
    message: str


class HolderOut(BaseModel):
    """Who may act."""

    side: Literal["agent", "operator", "nobody"]
    operator: str | None
    name: str | None


class SandboxOut(BaseModel):
    """A sandbox."""

    id: str
    name: str
    state: str
    holder: HolderOut
    epoch: int
    cdp_url: str | None = Field(description="Where CDP clients connect; carries its own right only when just opened.")
    created_at: float
    width: int
    height: int
    isolation: str


class LeaseOut(BaseModel):
    """An operator's lease. Times are seconds since 1970."""

    operator: dict[str, str]
    epoch: int
    since: float
    expires_at: float = Field(description="When it ends without a heartbeat.")
    idle_at: float = Field(description="When it ends without input.")
    ends_at: float = Field(description="When it ends in any case.")
    extended: bool = Field(description="Whether this operator has lengthened it; that is possible once.")


class ReservationOut(BaseModel):
    """The operator whose heartbeat was lost may come back until then; nobody else may claim."""

    operator: dict[str, str]
    until: float


class RequestOut(BaseModel):
    """An operator who asks for control."""

    operator: dict[str, str]
    note: str
    at: float


class MoveOut(BaseModel):
    """Who moved control last, and from whom, by name."""

    model_config = ConfigDict(populate_by_name=True)

    how: How
    by: str
    before: str = Field(alias="from")
    at: float


class ResultOut(BaseModel):
    """What the agent gets back."""

    handoff: str
    outcome: Outcome
    note: str
    operator: str | None
    duration_s: float
    waited_s: float
    verification: dict[str, Any]
    diff: dict[str, Any]
    text: str
    unknown: list[dict[str, Any]]
    exposure: str | None
    images: list[str]
    stale: dict[str, Any] = Field(description="Which of the agent's handles are gone; empty where none is.")


class HandoffOut(BaseModel):
    """A handoff."""

    id: str
    sandbox: str
    state: HandoffState
    kind: Blocker
    instructions: str
    condition: dict[str, Any] | None
    site: str
    url: str
    title: str
    asked_by: str
    created_at: float
    deadline_at: float
    waited_s: float
    lease: LeaseOut | None
    reserved: ReservationOut | None
    result: ResultOut | None
    late: list[dict[str, Any]] = Field(description="What operators said after the end.")


class HandoffsOut(BaseModel):
    """The queue."""

    handoffs: list[HandoffOut]


class SandboxesOut(BaseModel):
    """Sandboxes the caller may see."""

    sandboxes: list[SandboxOut]


class TakenOut(BaseModel):
    """Control was granted."""

    epoch: int
    lease: LeaseOut
    handoff: HandoffOut | None


class ControlOut(BaseModel):
    """Who has control of a sandbox."""

    sandbox: str
    phase: Phase
    holder: HolderOut
    epoch: int
    since: float
    handoff: HandoffOut | None
    trouble: str | None
    requests: list[RequestOut]
    last: MoveOut | None


class LimitsOut(BaseModel):
    """The durations of control, in seconds; the settings of the same names."""

    lease_s: float
    heartbeat_s: float
    grace_s: float
    idle_s: float
    idle_warning_s: float
    ceiling_s: float
    extension_s: float
    deadline_s: float
    max_deadline_s: float
    drain_s: float


class CheckOut(BaseModel):
    """Whether the completion condition holds, part by part."""

    met: bool | None
    parts: list[dict[str, Any]]


class ApprovalOut(BaseModel):
    """One action that waits for an operator's word. Times are seconds since 1970."""

    id: str
    sandbox: str
    target: str
    url: str
    title: str
    method: str
    summary: str = Field(description="The action, for people; nothing that is typed.")
    reason: str = Field(description="Why, in the agent's words.")
    epoch: int = Field(description="It is void under any other.")
    state: ApprovalState
    asked_at: float
    deadline_at: float
    decided_by: str | None
    decided_at: float | None
    note: str


class ApprovalsOut(BaseModel):
    """Approvals."""

    approvals: list[ApprovalOut]


class FindingOut(BaseModel):
    """A blocker that was found."""

    kind: str
    sort: str = Field(description="The finer kind: recaptcha, login, totp, cookie_consent, rate_limited…")
    confidence: float = Field(description="0 to 1.")
    where: dict[str, Any] | None = Field(description="CDP frame, CSS selector in it, and box.")
    why: str
    policy: str = Field(description="ask or offer")


class BlockedPageOut(BaseModel):
    """A tab with blockers."""

    target: str
    url: str
    title: str
    findings: list[FindingOut]


class BlockersOut(BaseModel):
    """What stops the agent in a sandbox."""

    policies: dict[str, str]
    pages: list[BlockedPageOut]


class MeOut(BaseModel):
    """Who is calling."""

    id: str
    role: str
    operator: dict[str, str] | None


class RedeemedOut(BaseModel):
    """The sign-in worked; the cookie came with it."""

    operator: dict[str, str]
    sandbox: str | None
    handoff: str | None
    take: bool
    location: str = Field(description="The page to go to.")
