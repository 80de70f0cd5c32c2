"""Between agent and human: control, journal, store, notifications, and the client agents import.

The client's names can be had from here; they are looked up when asked for, so that a keeper does not load httpx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent_bridge.client import (
        AsyncClient,
        BatonClientError,
        Client,
        HandoffResult,
        Outcome,
        Sandbox,
        SyncSandbox,
        reattach,
        request_handoff,
    )

__all__ = [
    "AsyncClient",
    "BatonClientError",
    "Client",
    "HandoffResult",
    "Outcome",
    "Sandbox",
    "SyncSandbox",
    "reattach",
    "request_handoff",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agent_bridge import client

    return getattr(client, name)
