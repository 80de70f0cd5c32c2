"""What the gate refuses with.

HeldByAnother
└── AgentStopped     somebody else has control, or it is just changing hands
Conflict
└── OutcomeUnknown   it was on its way when control changed hands; nobody can say whether it happened
NotAllowed
└── MethodRefused    the table or a parameter's rule says no, whoever holds control
NotFound
└── NoSuchSession    the CDP session is not (or no longer) this client's
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sandbox.words import BatonError, Conflict, Epoch, HeldByAnother, Holder, NotAllowed, NotFound, Side


class AgentStopped(HeldByAnother):
    """The agent may neither act nor look now."""


class OutcomeUnknown(Conflict):
    """It was sent to the browser and had not answered when control changed hands."""


class MethodRefused(NotAllowed):
    """No agent may do this in a sandbox."""


class NoSuchSession(NotFound):
    """The CDP session named is not one of this client's."""


def clock_time(since: float) -> str:
    """Return a moment as the agent is told it."""
    return datetime.fromtimestamp(since, UTC).strftime("%H:%M:%S UTC")


def agent_stopped(holder: Holder, epoch: Epoch, since: float) -> AgentStopped:
    """Return the refusal that says who has control since when, and what to do."""
    if holder.side is Side.AGENT:
        who = "control is just coming back to the agent"
    elif holder.side is Side.NOBODY:
        who = f"nobody has control of this sandbox since {clock_time(since)}; a human is awaited"
    else:
        who = f"{holder} has control of this sandbox since {clock_time(since)}"
    return AgentStopped(
        f"{who}. Nothing was done. Wait for Baton.handoffCompleted (or ask Baton.getHandoff), then look again.",
        holder=str(holder), epoch=epoch, since=since,
    )  # fmt: skip


def outcome_unknown(method: str, holder: Holder, epoch: Epoch, sent_s_ago: float) -> OutcomeUnknown:
    """Return what the agent is told of a command that had not answered in time."""
    return OutcomeUnknown(
        f"Outcome unknown: {method} was sent {sent_s_ago:.1f} s before control changed hands and had not answered. "
        "It may or may not have happened. Wait for the handoff's result, then look again.",
        method=method, holder=str(holder), epoch=epoch,
    )  # fmt: skip


def cdp_error(error: BatonError) -> dict[str, Any]:
    """Return the CDP form of an error. `data` is JSON in a string: clients print it behind the message."""
    return {"code": error.codes.cdp, "message": error.message, "data": json.dumps(error.to_wire())}


def thrown(error: BatonError) -> dict[str, Any]:
    """Return the error as an exception of the code that was to be evaluated.

    Playwright takes every CDP error of an evaluation for a navigation and tries again until it times out; an
    exception it shows as it is, at once.
    """
    description = f"{type(error).__name__}: {error.message}"
    exception = {"type": "object", "subtype": "error", "className": type(error).__name__, "description": description}
    details = {
        "exceptionId": 0, "text": "Uncaught", "lineNumber": 0, "columnNumber": 0, "exception": exception,
        "exceptionMetaData": {"baton": json.dumps(error.to_wire())},
    }  # fmt: skip
    return {"result": exception, "exceptionDetails": details}
