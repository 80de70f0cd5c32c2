"""Words between agent and human: blockers, handoff states, outcomes, and the values that travel in the API."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Blocker(StrEnum):
    """What stopped the agent."""

    CAPTCHA = "captcha"
    CREDENTIALS = "credentials"
    ONE_TIME_CODE = "one_time_code"
    PASSKEY = "passkey"
    PAYMENT = "payment"
    APPROVAL = "approval"
    DIALOG = "dialog"
    UPLOAD = "upload"
    CONSENT = "consent"
    BLOCKED_PAGE = "blocked_page"
    STUCK = "stuck"
    UNKNOWN = "unknown"


SECRET_BLOCKERS: Final = frozenset({Blocker.CREDENTIALS, Blocker.ONE_TIME_CODE, Blocker.PAYMENT})
"""In a handoff of these kinds all text the operator types is secret, whatever the field."""


class Outcome(StrEnum):
    """How a handoff ended."""

    RESOLVED = "resolved"
    FAILED = "failed"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class HandoffState(StrEnum):
    """Where a handoff stands; the last five are its outcomes and final."""

    ASKED = "asked"
    WAITING = "waiting"
    HELD = "held"
    PARKED = "parked"
    RETURNING = "returning"
    RESOLVED = "resolved"
    FAILED = "failed"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more happens to a handoff in this state (but a late Done may still be recorded)."""
        return self.value in Outcome


class Role(StrEnum):
    """What a token or sign-in may be used for."""

    AGENT = "agent"
    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    QA = "qa"
    ADMIN = "admin"
