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
    the lease at the earliest. `approval_s` is how long an approval waits, and is good for, where the agent names no
    time. `keeper_s` is how long one call to a keeper may take, `grant_s` how long taking control may take in all,
    `settle_s` how long Done waits for the agent's return before it answers as it stands.

    A lease lasts `lease_s` after a heartbeat, `idle_s` after the last input, and `ceiling_s` in all, once lengthened by
    `extension_s` where the operator says why. After a lost heartbeat the handoff is kept for that operator, and does
    not expire, for `grace_s`; an unasked take-over that was left behind ends after `unasked_s`. The console warns
    `idle_warning_s` before a lease ends.
    """

    lease_s: float = 20.0
    heartbeat_s: float = 5.0
    grace_s: float = 20.0
    idle_s: float = 600.0
    idle_warning_s: float = 30.0
    ceiling_s: float = 3600.0
    extension_s: float = 1800.0
    unasked_s: float = 300.0
    drain_s: float = 2.0
    deadline_s: float = 1800.0
    max_deadline_s: float = 86400.0
    approval_s: float = 600.0
    max_instructions: int = 16384
    max_note: int = 4096
    max_condition: int = 16384
    max_requests: int = 20
    keeper_s: float = 10.0
    grant_s: float = 15.0
    settle_s: float = 15.0
    retry_s: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)

    def limits(self) -> dict[str, float]:
        """Return the durations that people are shown, by name, in seconds."""
        return {
            "lease_s": self.lease_s, "heartbeat_s": self.heartbeat_s, "grace_s": self.grace_s, "idle_s": self.idle_s,
            "idle_warning_s": self.idle_warning_s, "ceiling_s": self.ceiling_s, "extension_s": self.extension_s,
            "deadline_s": self.deadline_s, "max_deadline_s": self.max_deadline_s, "drain_s": self.drain_s,
        }  # fmt: skip


def _person(operator: Holder) -> Json:
    return {"id": operator.operator, "name": operator.name}


def _holder(data: Json) -> Holder:
    return Holder(Side.OPERATOR, OperatorId(data["id"]), data["name"])


@dataclass(frozen=True, slots=True)
class Lease:
    """One operator's time-limited right to act, under one epoch.

    It ends at `expires_at` without a heartbeat, at `idle_at` without input, and at `ends_at` in any case. `extended`:
    this operator has lengthened it in this handoff, which is possible once.
    """

    operator: Holder
    epoch: Epoch
    since: float
    expires_at: float
    idle_at: float
    ends_at: float
    extended: bool = False

    def to_wire(self) -> Json:
        """Return the JSON form: `{"operator": {"id", "name"}, "epoch", "since", …}`, the rest named as here."""
        return {
            "operator": _person(self.operator), "epoch": self.epoch, "since": self.since,
            "expires_at": self.expires_at, "idle_at": self.idle_at, "ends_at": self.ends_at, "extended": self.extended,
        }  # fmt: skip

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        """Read the JSON form back; one that an older version wrote has no limits but its heartbeat."""
        since, expires_at = float(data["since"]), float(data["expires_at"])
        return cls(
            _holder(data["operator"]), Epoch(data["epoch"]), since, expires_at, data.get("idle_at", expires_at),
            data.get("ends_at", expires_at), data.get("extended", False),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reservation:
    """A parked handoff is kept for the operator whose heartbeat was lost, until then."""

    operator: Holder
    until: float

    def to_wire(self) -> Json:
        """Return the JSON form: `{"operator": {"id", "name"}, "until"}`."""
        return {"operator": _person(self.operator), "until": self.until}

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        """Read the JSON form back."""
        return cls(_holder(data["operator"]), data["until"])


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """Another operator asks the holder for control."""

    operator: Holder
    note: str
    at: float

    def to_wire(self) -> Json:
        """Return the JSON form: `{"operator": {"id", "name"}, "note", "at"}`."""
        return {"operator": _person(self.operator), "note": self.note, "at": self.at}

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        """Read the JSON form back."""
        return cls(_holder(data["operator"]), data["note"], data["at"])


class How(StrEnum):
    """How control moved."""

    ASKED = "asked"
    TAKEN = "taken"
    CLAIMED = "claimed"
    GIVEN = "given"
    FORCED = "forced"
    RELEASED = "released"
    RETURNED = "returned"
    IDLE = "idle"
    CEILING = "ceiling"
    HEARTBEAT = "heartbeat"
    RESTARTED = "restarted"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Move:
    """Who moved control last, and from whom; names for people: an operator's, or agent, nobody, server."""

    how: How
    by: str
    before: str
    at: float

    def to_wire(self) -> Json:
        """Return the JSON form: `{"how", "by", "from", "at"}`."""
        return {"how": self.how.value, "by": self.by, "from": self.before, "at": self.at}

    @classmethod
    def from_wire(cls, data: Json) -> Self:
        """Read the JSON form back."""
        return cls(How(data["how"]), data["by"], data["from"], data["at"])


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

    `reserved` keeps a parked one for whoever lost the connection. `leases` are all leases there were, newest last, as
    they were granted or extended; `late` is what operators said after the end. `agent_code` are the tabs in which the
    agent had left code when an operator got control. `url` and `site` carry neither query nor fragment. `result` is
    the wire form, complete once `state` is final.
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
    reserved: Reservation | None = None
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
            "reserved": self.reserved.to_wire() if self.reserved else None,
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

    `claim` is the operator who gets the lease as soon as the gate has acknowledged its close. `requests` are the
    operators who ask the holder for control, the oldest first; `last` says how the holder came to be who it is.
    """

    sandbox: SandboxId
    phase: Phase = Phase.AGENT
    holder: Holder = NOBODY
    epoch: Epoch = field(default=Epoch(0))
    since: float = 0.0
    handoff: Handoff | None = None
    claim: Holder | None = None
    requests: tuple[ControlRequest, ...] = ()
    last: Move | None = None

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
    requests: tuple[ControlRequest, ...] = ()
    last: Move | None = None

    def to_wire(self, now: float) -> Json:
        """Return the JSON form."""
        return {
            "sandbox": self.sandbox, "phase": self.phase.value, "holder": self.holder.to_wire(), "epoch": self.epoch,
            "since": self.since, "handoff": self.handoff.to_wire(now) if self.handoff else None,
            "trouble": self.trouble, "requests": [request.to_wire() for request in self.requests],
            "last": self.last.to_wire() if self.last else None,
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
