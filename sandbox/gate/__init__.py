"""The gate between an agent and its browser."""

from sandbox.gate.gate import Gate, Opened, Stale
from sandbox.gate.line import WhileHeld
from sandbox.gate.node import Unknown
from sandbox.gate.shared import GateStatistics
from sandbox.gate.socket import CdpConnection, Socket

__all__ = ["CdpConnection", "Gate", "GateStatistics", "Opened", "Socket", "Stale", "Unknown", "WhileHeld"]
