"""What agents import: open sandboxes, ask for a human, get back what changed.

Needs httpx, nothing else of Baton's; a Playwright page of either API can be handed in as it is.
"""

from agent_bridge.client.clients import AsyncClient, Client, Sandbox, SyncSandbox
from agent_bridge.client.errors import (
    BatonClientError,
    HandoffEnded,
    HandoffNotFound,
    HandoffOpen,
    InvalidCondition,
    InvalidRequest,
    NotASandbox,
    NotAuthorized,
    NotConfigured,
    NotPossibleNow,
    SandboxGone,
    SandboxNotFound,
    ServerError,
    ServerUnreachable,
    TooLarge,
    TooMany,
)
from agent_bridge.client.handoff import reattach, request_handoff
from agent_bridge.client.values import HandoffResult, Outcome, Verification

__all__ = [
    "AsyncClient",
    "BatonClientError",
    "Client",
    "HandoffEnded",
    "HandoffNotFound",
    "HandoffOpen",
    "HandoffResult",
    "InvalidCondition",
    "InvalidRequest",
    "NotASandbox",
    "NotAuthorized",
    "NotConfigured",
    "NotPossibleNow",
    "Outcome",
    "Sandbox",
    "SandboxGone",
    "SandboxNotFound",
    "ServerError",
    "ServerUnreachable",
    "SyncSandbox",
    "TooLarge",
    "TooMany",
    "Verification",
    "reattach",
    "request_handoff",
]
