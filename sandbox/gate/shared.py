"""What all clients of one gate share: the switch, the counters, and the way to the browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.authority import Authority
from sandbox.cdp import Connection
from sandbox.fence import Fence
from sandbox.gate.guard import Place
from sandbox.gate.methods import Rule, method_table
from sandbox.gate.standing import Table, standing_table
from sandbox.pages import Pages
from sandbox.words import Clock, SandboxId, Side


@dataclass(frozen=True, slots=True)
class GateStatistics:
    """What the gate has done so far."""

    clients: int
    admitted: int
    refused: int
    dropped: int
    """Events and late replies that were not passed on because the agent did not hold control."""
    unknown: int


@dataclass(slots=True)
class Shared:
    """One gate's parts and state; only `Gate` turns the switch."""

    connection: Connection
    pages: Pages
    fence: Fence
    authority: Authority
    sandbox: SandboxId
    downloads: Path
    uploads: Path
    clock: Clock
    methods: Mapping[str, Rule] = field(default_factory=method_table)
    standing: Table = field(default_factory=standing_table)
    opened: bool = False
    draining: bool = False
    """Between the close and its end: replies to what was already on its way still pass."""
    planted: set[str] = field(default_factory=set)
    """Pages in whose present document the agent ran or left code."""
    workers: set[str] = field(default_factory=set)
    """Service workers in which the agent ran code: they are stopped at the close, and start anew from their site."""
    carried: set[str] = field(default_factory=set)
    """Pages whose next document may be, or hold, what the agent made, whoever holds control when it comes."""
    on_command: Callable[[str | None, str, dict[str, Any]], None] | None = None
    """Hears each command of the agent that acts, behind the pipe: (target, None for the browser; method; params)."""
    page_state: Callable[[str], Awaitable[str]] | None = None
    """Returns the keyed digest of what a page means now, by its target; approvals are bound to it."""
    admitted: int = 0
    refused: int = 0
    dropped: int = 0
    unknown: int = 0

    @property
    def flowing(self) -> bool:
        """Whether the agent may act and look at this moment."""
        return self.opened and self.fence.holder.side is Side.AGENT

    def place(self, browser: bool) -> Place:
        """Return what the parameter rules need to know."""
        return Place(browser, self.downloads, self.uploads)
