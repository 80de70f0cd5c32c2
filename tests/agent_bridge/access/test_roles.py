"""Roles and what they permit."""

from __future__ import annotations

import pytest

from agent_bridge.access.roles import PERMISSIONS, Permission, may
from agent_bridge.words import Role


def test_every_role_has_permissions() -> None:
    """The table names every role."""
    assert set(PERMISSIONS) == set(Role)


def test_every_permission_is_somebodys() -> None:
    """No permission exists that nobody can have."""
    assert set().union(*PERMISSIONS.values()) == set(Permission)


@pytest.mark.parametrize(
    "permission",
    [
        Permission.CONTROL,
        Permission.CONTROL_FORCE,
        Permission.WATCH,
        Permission.EVENTS,
        Permission.QUEUE_READ,
        Permission.IMAGES,
        Permission.APPROVAL_READ,
        Permission.APPROVAL_DECIDE,
    ],
)
def test_an_agent_can_never_claim_approve_or_watch(permission: Permission) -> None:
    """An agent's token is refused whatever belongs to operators."""
    assert not may(Role.AGENT, permission)


def test_only_a_supervisor_takes_control_by_force() -> None:
    """A supervisor is an operator with one right more, which nobody else has."""
    assert PERMISSIONS[Role.SUPERVISOR] == PERMISSIONS[Role.OPERATOR] | {Permission.CONTROL_FORCE}
    assert [role for role in Role if may(role, Permission.CONTROL_FORCE)] == [Role.SUPERVISOR]


def test_asking_and_answering_never_meet() -> None:
    """No role may do both what agents and what operators are for."""
    assert PERMISSIONS[Role.AGENT].isdisjoint(PERMISSIONS[Role.SUPERVISOR])
    for role in Role:
        assert not (may(role, Permission.HANDOFF_ASK_OWN) and may(role, Permission.CONTROL))
        assert not (may(role, Permission.APPROVAL_ASK_OWN) and may(role, Permission.APPROVAL_DECIDE))
