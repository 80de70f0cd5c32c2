"""What can happen to control (events), and what is to be done about it (effects). All of it is data."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent_bridge.control.words import Control, Handoff, Json, Verification
from agent_bridge.journal.words import Entry
from sandbox.words import Epoch, HandoffId, Holder, OperatorId, SandboxId


@dataclass(frozen=True, slots=True)
class Ask:
    """The agent asks for a human."""

    handoff: Handoff


@dataclass(frozen=True, slots=True)
class TakeOver:
    """An operator takes over unasked; `handoff` is the one that records it."""

    operator: Holder
    handoff: Handoff


@dataclass(frozen=True, slots=True)
class GateClosed:
    """The keeper stopped the agent and took the snapshot *before*; `unknown` commands had not finished."""

    epoch: Epoch
    unknown: tuple[Json, ...] = ()
    url: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """An operator wants this handoff, or whichever is open; `force` takes it from whoever holds it or may come back."""

    operator: Holder
    force: bool = False
    handoff: HandoffId | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The holder's console is alive."""

    operator: OperatorId
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class HeartbeatLost:
    """The lease ran out."""


@dataclass(frozen=True, slots=True)
class Active:
    """The keeper got input of an operator."""

    operator: OperatorId


@dataclass(frozen=True, slots=True)
class Stay:
    """The holder says that they are there, without any input."""

    operator: OperatorId
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class IdleTooLong:
    """The holder gave no input for too long."""


@dataclass(frozen=True, slots=True)
class CeilingReached:
    """The holder has had control for as long as anybody may."""


@dataclass(frozen=True, slots=True)
class ExtendLease:
    """The holder needs longer than the ceiling, and says why."""

    operator: OperatorId
    epoch: Epoch
    reason: str


@dataclass(frozen=True, slots=True)
class GraceOver:
    """The operator whose heartbeat was lost did not come back in time."""


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The clock of the day was moved by so many seconds; negative: back."""

    by: float


@dataclass(frozen=True, slots=True)
class RequestControl:
    """An operator asks the holder for control."""

    operator: Holder
    note: str = ""


@dataclass(frozen=True, slots=True)
class Give:
    """The holder gives control to an operator who asked for it."""

    operator: OperatorId
    epoch: Epoch
    to: OperatorId


@dataclass(frozen=True, slots=True)
class Deny:
    """The holder does not give control to an operator who asked for it."""

    operator: OperatorId
    epoch: Epoch
    to: OperatorId


@dataclass(frozen=True, slots=True)
class Done:
    """The operator says the blocker is solved; `override` is the reason to go on although conditions do not hold."""

    operator: OperatorId
    epoch: Epoch
    note: str = ""
    override: str | None = None


@dataclass(frozen=True, slots=True)
class ConditionsChecked:
    """The keeper evaluated the agent's condition for a `Done`."""

    done: Done
    verification: Verification


@dataclass(frozen=True, slots=True)
class Failed:
    """The operator could not solve it."""

    operator: OperatorId
    epoch: Epoch
    note: str = ""


@dataclass(frozen=True, slots=True)
class Declined:
    """The operator refuses, with a reason."""

    operator: OperatorId
    epoch: Epoch
    note: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """The operator gives control back without solving it."""

    operator: OperatorId
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Expire:
    """The deadline passed."""


@dataclass(frozen=True, slots=True)
class ExtendDeadline:
    """The agent, or an operator, lets the handoff wait until then; `actor` is their id, or `agent`."""

    handoff: HandoffId
    deadline_at: float
    actor: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The agent withdraws its request: this one, or whichever is open."""

    handoff: HandoffId | None = None


@dataclass(frozen=True, slots=True)
class Diffed:
    """The keeper compared *after* with *before*."""

    diff: Json = field(default_factory=dict)
    text: str = ""
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateOpened:
    """The agent is back in control; `notes` say what it should know, `stale` which of its handles are gone."""

    epoch: Epoch
    notes: tuple[str, ...] = ()
    stale: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AgentCode:
    """The keeper found code that the agent had left in `tabs`, when it was told of a new holder."""

    epoch: Epoch
    tabs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BrowserDied:
    """Browser or keeper ended by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    """The sandbox is closed on purpose."""

    reason: str = "the sandbox was closed"


@dataclass(frozen=True, slots=True)
class ServerRestarted:
    """A new server took over what an earlier one left."""


type Event = (
    Ask | TakeOver | GateClosed | Claim | Heartbeat | HeartbeatLost | GraceOver | Active | Stay | IdleTooLong
    | CeilingReached | ExtendLease | RequestControl | Give | Deny | Done | ConditionsChecked | Failed | Declined
    | Release | ExtendDeadline | Expire | Cancel | Diffed | GateOpened | AgentCode | BrowserDied | Close
    | ClockJumped | ServerRestarted
)  # fmt: skip

EVENTS = (
    Ask, TakeOver, GateClosed, Claim, Heartbeat, HeartbeatLost, GraceOver, Active, Stay, IdleTooLong,
    CeilingReached, ExtendLease, RequestControl, Give, Deny, Done, ConditionsChecked, Failed, Declined, Release,
    ExtendDeadline, Expire, Cancel, Diffed, GateOpened, AgentCode, BrowserDied, Close, ClockJumped,
    ServerRestarted,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CloseGate:
    """Stop the agent, then take the snapshot *before*. Answered by `GateClosed`."""

    epoch: Epoch
    holder: Holder
    since: float
    handoff: Handoff


@dataclass(frozen=True, slots=True)
class PushControl:
    """Tell the keeper who holds control while the gate stays shut."""

    epoch: Epoch
    holder: Holder
    since: float
    handoff: Handoff | None


@dataclass(frozen=True, slots=True)
class Check:
    """Evaluate the agent's condition. Answered by `ConditionsChecked`."""

    condition: Json


@dataclass(frozen=True, slots=True)
class Diff:
    """Take the snapshot *after* and compare. Answered by `Diffed`."""

    handoff: Handoff


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Give control back to the agent. Answered by `GateOpened` while the phase is opening."""

    epoch: Epoch
    since: float


@dataclass(frozen=True, slots=True)
class Complete:
    """Tell the CDP session that asked."""

    handoff: Handoff


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell operators outside the console, once of each handoff; `again` where it has come back to the queue."""

    handoff: Handoff
    again: bool = False


type Effect = CloseGate | PushControl | Check | Diff | OpenGate | Complete | Notify


@dataclass(frozen=True, slots=True)
class Step:
    """What one event leads to.

    `control` and `ended` (a handoff that is over) are stored with `entries`, in one transaction, before any of
    `effects` is carried out. A step that is not `durable` changes nothing a restart would need.
    """

    control: Control
    effects: tuple[Effect, ...] = ()
    entries: tuple[Entry, ...] = ()
    ended: Handoff | None = None
    durable: bool = True

    @property
    def sandbox(self) -> SandboxId:
        """The sandbox it is about."""
        return self.control.sandbox
