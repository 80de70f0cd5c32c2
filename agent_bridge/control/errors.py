"""What control refuses.

Conflict
├── NotNow               this event is not possible in this phase
├── HandoffOpen          there is a handoff open in this sandbox already
├── HandoffEnded         it ended before
├── NotAsked             this operator does not ask for control (any more)
├── ExtendedBefore       a lease is extended once by each operator of a handoff
├── ApprovalOver         an approval is declined, void, expired or used
├── NotApproved          no operator has approved it yet
├── PageChanged          the page means something else than when approval was asked for
└── ConditionsNotMet     the agent's completion condition does not hold; `parts` say why
HeldByAnother
└── TakenByAnother       another operator has control
StaleEpoch
└── LeaseLost            the lease this was said under is no more
TooMany
├── TooManyRequests      too many operators ask for control
└── TooManyApprovals     too many actions of one sandbox wait for approval
BadRequest
├── InvalidAsk           the request for a human cannot be read
└── InvalidCondition     the completion condition cannot be read
Gone
└── SandboxClosed        the sandbox has ended
Unavailable
└── KeeperSilent         the sandbox's keeper does not answer; the agent stays stopped
"""

from __future__ import annotations

from sandbox.words import BadRequest, Conflict, Gone, HeldByAnother, StaleEpoch, TooMany, Unavailable


class NotNow(Conflict):
    """This event is not possible in this phase."""


class HandoffOpen(Conflict):
    """There is a handoff open in this sandbox already."""


class HandoffEnded(Conflict):
    """The handoff ended before."""


class NotAsked(Conflict):
    """This operator does not ask for control, or not any more."""


class ExtendedBefore(Conflict):
    """This operator has extended their lease in this handoff before."""


class ApprovalOver(Conflict):
    """An approval is declined, void, expired or used."""


class NotApproved(Conflict):
    """No operator has approved it yet."""


class PageChanged(Conflict):
    """The page means something else than when approval was asked for."""


class TooManyRequests(TooMany):
    """Too many operators ask for control."""


class TooManyApprovals(TooMany):
    """Too many actions of one sandbox wait for approval."""


class ConditionsNotMet(Conflict):
    """The agent's completion condition does not hold."""


class TakenByAnother(HeldByAnother):
    """Another operator has control, or is about to get it."""


class LeaseLost(StaleEpoch):
    """The lease under which this was said is no more."""


class InvalidAsk(BadRequest):
    """The request for a human cannot be read."""


class InvalidCondition(BadRequest):
    """The completion condition cannot be read."""


class SandboxClosed(Gone):
    """The sandbox has ended."""


class KeeperSilent(Unavailable):
    """The sandbox's keeper does not answer; the agent stays stopped."""
