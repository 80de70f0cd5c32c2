"""The gate between an agent and its browser."""

from sandbox.gate.gate import Gate, Opened, Stale
from sandbox.gate.line import WhileHeld
from sandbox.gate.node import Unknown
from sandbox.gate.outbox import Socket
from sandbox.gate.shared import GateStatistics

__all__ = ["Gate", "GateStatistics", "Opened", "Socket", "Stale", "Unknown", "WhileHeld"]
