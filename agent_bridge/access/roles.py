"""Roles and what they permit: one table of data, nothing elsewhere.

*Own* means: a sandbox that the same token opened, and the handoffs in it.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final

from agent_bridge.words import Role


class Permission(StrEnum):
    """One thing a caller may be allowed to do."""

    SANDBOX_OPEN = "sandbox.open"
    SANDBOX_READ_OWN = "sandbox.read.own"
    SANDBOX_READ = "sandbox.read"
    SANDBOX_CLOSE_OWN = "sandbox.close.own"
    SANDBOX_CLOSE = "sandbox.close"
    CDP_OWN = "cdp.own"
    HANDOFF_ASK_OWN = "handoff.ask.own"
    HANDOFF_READ_OWN = "handoff.read.own"
    HANDOFF_READ = "handoff.read"
    HANDOFF_CANCEL_OWN = "handoff.cancel.own"
    HANDOFF_CANCEL = "handoff.cancel"
    QUEUE_READ = "queue.read"
    IMAGES_OWN = "images.own"
    IMAGES = "images"
    HANDOFF_EXTEND_OWN = "handoff.extend.own"
    HANDOFF_EXTEND = "handoff.extend"
    APPROVAL_ASK_OWN = "approval.ask.own"
    APPROVAL_READ_OWN = "approval.read.own"
    APPROVAL_READ = "approval.read"
    APPROVAL_DECIDE = "approval.decide"
    CONTROL = "control"
    CONTROL_FORCE = "control.force"
    WATCH = "watch"
    EVENTS = "events"


_OPERATOR: Final = frozenset(
    {
        Permission.SANDBOX_READ, Permission.HANDOFF_READ, Permission.HANDOFF_EXTEND, Permission.QUEUE_READ,
        Permission.IMAGES, Permission.APPROVAL_READ, Permission.APPROVAL_DECIDE, Permission.CONTROL, Permission.WATCH,
        Permission.EVENTS,
    }
)  # fmt: skip

OPERATORS: Final = frozenset({Role.OPERATOR, Role.SUPERVISOR})
"""The roles that a human takes over in: whoever has one is an operator with a name."""

PERMISSIONS: Final[MappingProxyType[Role, frozenset[Permission]]] = MappingProxyType(
    {
        Role.AGENT: frozenset(
            {
                Permission.SANDBOX_OPEN, Permission.SANDBOX_READ_OWN, Permission.SANDBOX_CLOSE_OWN, Permission.CDP_OWN,
                Permission.HANDOFF_ASK_OWN, Permission.HANDOFF_READ_OWN, Permission.HANDOFF_CANCEL_OWN,
                Permission.HANDOFF_EXTEND_OWN, Permission.IMAGES_OWN, Permission.APPROVAL_ASK_OWN,
                Permission.APPROVAL_READ_OWN,
            }
        ),
        Role.OPERATOR: _OPERATOR,
        Role.SUPERVISOR: _OPERATOR | {Permission.CONTROL_FORCE},
        Role.QA: frozenset({Permission.QUEUE_READ}),
        Role.ADMIN: frozenset(
            {
                Permission.SANDBOX_OPEN, Permission.SANDBOX_READ, Permission.SANDBOX_CLOSE, Permission.HANDOFF_READ,
                Permission.HANDOFF_CANCEL, Permission.QUEUE_READ,
            }
        ),
    }
)  # fmt: skip
"""An agent's set and an operator's never meet: who asks for approval can never be who gives it."""


def may(role: Role, permission: Permission) -> bool:
    """Return whether a role permits something."""
    return permission in PERMISSIONS[role]
