"""What the gate refuses with.

HeldByAnother
└── AgentStopped     somebody else has control, or it is just changing hands
Conflict
└── OutcomeUnknown   it was on its way when control changed hands; nobody can say whether it happened
NotAllowed
└── MethodRefused    the table or a parameter's rule says no, whoever holds control
NotFound
└── NoSuchSession    the CDP session is not (or no longer) this client's
Gone
└── PageReplaced     its page was closed while a human had control; names the page to go on with
StaleEpoch
└── StaleHandle      the element it names left the page while a human had control
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sandbox.words import (
    BatonError,
    Conflict,
    Epoch,
    Gone,
    HeldByAnother,
    Holder,
    NotAllowed,
    NotFound,
    Side,
    StaleEpoch,
)


class AgentStopped(HeldByAnother):
    """The agent may neither act nor look now."""


class OutcomeUnknown(Conflict):
    """It was sent to the browser and had not answered when control changed hands."""


class MethodRefused(NotAllowed):
    """No agent may do this in a sandbox."""


class NoSuchSession(NotFound):
    """The CDP session named is not one of this client's."""


class PageReplaced(Gone):
    """The page of this CDP session was closed while a human had control."""


class StaleHandle(StaleEpoch):
    """The element that was named is not on the page any more."""


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


def stale_handle(method: str) -> StaleHandle:
    """Return the refusal of a command that names an element of before."""
    return StaleHandle(
        f"{method} names an element that left the page while a human had control. Nothing was done. "
        "Look again: find the element anew (a locator does), then decide.",
        method=method,
    )


def page_replaced(session: str, target: str, present: tuple[str, str] | None) -> PageReplaced:
    """Return the refusal on a page that is gone; `present` is the target and the address to go on with."""
    on = f"continue on target {present[0]} at {present[1]}" if present else "open a new page"
    return PageReplaced(
        f"the page was closed by the human; {on}", session=session, target=target,
        continue_on=None if present is None else {"target": present[0], "url": present[1]},
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
