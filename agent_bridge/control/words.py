"""The values of control: phases, leases, handoffs, results, and who holds a sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, Self
from urllib.parse import urlsplit, urlunsplit

from agent_bridge.words import SECRET_BLOCKERS, Blocker, HandoffState, Outcome
from sandbox.words import NOBODY, Epoch, HandoffId, Holder, OperatorId, SandboxId, Side

type Json = dict[str, Any]


class Phase(StrEnum):
    """Where control of one sandbox stands."""

    AGENT = "agent"
    CLOSING = "closing"
    WAITING = "waiting"
    HELD = "held"
    PARKED = "parked"
    RETURNING = "returning"
    OPENING = "opening"
    CLOSED = "closed"


class Person(Protocol):
    """Any operator: who they are and what to call them."""

    @property
    def id(self) -> OperatorId:
        """The operator's id."""
        ...

    @property
    def name(self) -> str:
        """The operator's display name."""
        ...


def as_holder(person: Person) -> Holder:
    """Return an operator as a holder of control."""
    return Holder(Side.OPERATOR, person.id, person.name)


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Durations in seconds, sizes in characters.

    `deadline_s` runs while a handoff waits or is parked. While an operator holds control nothing expires; it ends with
    the lease at the earliest. `keeper_s` is how long one call to a keeper may take, `grant_s` how long taking control
    may take in all, `settle_s` how long Done waits for the agent's return before it answers as it stands. After a lost
    heartbeat a handoff never expires before `grace_s`, and an unasked take-over that was left behind does
    after `unasked_s`.
    """

    lease_s: float = 20.0
    heartbeat_s: float = 5.0
    grace_s: float = 20.0
    unasked_s: float = 300.0
    drain_s: float = 2.0
    deadline_s: float = 1800.0
    max_deadline_s: float = 86400.0
    max_instructions: int = 16384
    max_note: int = 4096
    max_condition: int = 16384
    keeper_s: float = 10.0
    grant_s: float = 15.0
    settle_s: float = 15.0
    retry_s: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Lease:
    """One operator's time-limited right to act, under one epoch."""

    operator: Holder
    epoch: Epoch
    since: float
    expires_at: float

    def to_wire(self) -> Json:
        """Return the JSON form: `{"operator": {"id", "name"}, "epoch", "since", "expires_at"}`."""
        who = {"id": self.operator.operator, "name": self.operator.name}
        return {"operator": who, "epoch": self.epoch, "since": self.since, "expires_at": self.expires_at}

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        """Read the JSON form back."""
        who = Holder(Side.OPERATOR, OperatorId(data["operator"]["id"]), data["operator"]["name"])
        return cls(who, Epoch(data["epoch"]), data["since"], data["expires_at"])


@dataclass(frozen=True, slots=True)
class Verification:
    """What the agent's completion condition said. `verified` is None where there was nothing to check."""

    verified: bool | None = None
    parts: tuple[Json, ...] = ()
    overridden: str | None = None

    def to_wire(self) -> Json:
        """Return the JSON form: `{"verified", "parts", "overridden"}`."""
        return {"verified": self.verified, "parts": list(self.parts), "overridden": self.overridden}

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        """Read the JSON form back."""
        return cls(data["verified"], tuple(data["parts"]), data["overridden"])


@dataclass(frozen=True, slots=True)
class Ending:
    """How a handoff is about to end, while the sandbox goes back to the agent."""

    outcome: Outcome
    note: str = ""
    operator: str | None = None
    verification: Verification = Verification()

    def to_wire(self) -> Json:
        """Return the JSON form."""
        return {
            "outcome": self.outcome.value, "note": self.note, "operator": self.operator,
            "verification": self.verification.to_wire(),
        }  # fmt: skip

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        """Read the JSON form back."""
        verification = Verification.from_wire(data["verification"])
        return cls(Outcome(data["outcome"]), data["note"], data["operator"], verification)


@dataclass(frozen=True, slots=True)
class Handoff:
    """One request for a human, from asking to its outcome.

    `leases` are all leases there were, newest last; `late` is what operators said after the end. `agent_code` are
    the tabs in which the agent had left code when an operator got control. `url` and `site`
    carry neither query nor fragment. `result` is the wire form, complete once `state` is final.
    """

    id: HandoffId
    sandbox: SandboxId
    kind: Blocker
    instructions: str
    asked_by: Side
    created_at: float
    deadline_at: float
    state: HandoffState = HandoffState.ASKED
    condition: Json | None = None
    site: str = ""
    url: str = ""
    title: str = ""
    idempotency_key: str | None = None
    target: str | None = None
    client: str | None = None
    lease: Lease | None = None
    leases: tuple[Lease, ...] = ()
    unknown: tuple[Json, ...] = ()
    claimed_at: float | None = None
    ended_at: float | None = None
    ending: Ending | None = None
    result: Json | None = None
    late: tuple[Json, ...] = ()
    agent_code: tuple[str, ...] = ()

    @property
    def secret(self) -> bool:
        """Whether all text an operator types in it is secret."""
        return self.kind in SECRET_BLOCKERS

    @property
    def exposure(self) -> str | None:
        """What operator and agent are told where code of the agent may have seen what was typed."""
        if not (self.secret and self.agent_code):
            return None
        return f"exposure possible: the agent had left code in {len(self.agent_code)} tab(s) before the human typed"

    def waited_s(self, now: float) -> float:
        """How long it waited, or has waited so far, for the first operator."""
        until = self.claimed_at if self.claimed_at is not None else self.ended_at if self.ended_at is not None else now
        return max(0.0, round(until - self.created_at, 3))

    def to_wire(self, now: float) -> Json:
        """Return what the API shows (docs/architecture.md, *A handoff on the wire*)."""
        return {
            "id": self.id, "sandbox": self.sandbox, "state": self.state.value, "kind": self.kind.value,
            "instructions": self.instructions, "condition": self.condition, "site": self.site, "url": self.url,
            "title": self.title, "asked_by": self.asked_by.value, "created_at": self.created_at,
            "deadline_at": self.deadline_at, "waited_s": self.waited_s(now),
            "lease": self.lease.to_wire() if self.lease else None,
            "agent_code": list(self.agent_code), "exposure": self.exposure,
            "result": self.result if self.state.final else None, "late": list(self.late),
        }  # fmt: skip

    def at(self, url: str, title: str) -> Self:
        """Return it with the page it is about, the URL cut before query and fragment."""
        parts = urlsplit(url)
        shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        site = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else parts.scheme
        return replace(self, url=shown, site=site, title=title)


@dataclass(frozen=True, slots=True)
class Control:
    """Who may act on one sandbox, and the handoff that is open in it. The aggregate the machine steps.

    `claim` is the operator who gets the lease as soon as the gate has acknowledged its close.
    """

    sandbox: SandboxId
    phase: Phase = Phase.AGENT
    holder: Holder = NOBODY
    epoch: Epoch = field(default=Epoch(0))
    since: float = 0.0
    handoff: Handoff | None = None
    claim: Holder | None = None

    @property
    def lease(self) -> Lease | None:
        """The live lease."""
        return self.handoff.lease if self.handoff else None


@dataclass(frozen=True, slots=True)
class ControlView:
    """What may be shown of control. `trouble` is a sentence while the keeper does not answer."""

    sandbox: SandboxId
    phase: Phase
    holder: Holder
    epoch: Epoch
    since: float
    handoff: Handoff | None
    trouble: str | None = None

    def to_wire(self, now: float) -> Json:
        """Return the JSON form."""
        return {
            "sandbox": self.sandbox, "phase": self.phase.value, "holder": self.holder.to_wire(), "epoch": self.epoch,
            "since": self.since, "handoff": self.handoff.to_wire(now) if self.handoff else None,
            "trouble": self.trouble,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taken:
    """What an operator gets who took control."""

    epoch: Epoch
    lease: Lease
    handoff: Handoff

    def to_wire(self, now: float) -> Json:
        """Return the JSON form: `{"epoch", "lease", "handoff"}`."""
        return {"epoch": self.epoch, "lease": self.lease.to_wire(), "handoff": self.handoff.to_wire(now)}


@dataclass(frozen=True, slots=True)
class Change:
    """Control of a sandbox changed; `ended` is the handoff that ended with it."""

    view: ControlView
    ended: Handoff | None = None
