"""The blocking forms by themselves, for code that never awaits."""

from agent_bridge.client.clients import Client, SyncSandbox
from agent_bridge.client.handoff import request_handoff
from agent_bridge.client.values import HandoffResult

__all__ = ["Client", "HandoffResult", "SyncSandbox", "request_handoff"]
