"""One CDP session in a client's tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.gate.handles import Elements, Handles
from sandbox.gate.line import Line
from sandbox.gate.standing import Standing
from sandbox.gate.view import View


@dataclass(slots=True)
class Node:
    """A CDP session of a client, on the browser (`parent` is None) or on a target."""

    id: str
    parent: str | None
    info: dict[str, Any]
    view: View
    standing: Standing
    unhook: Callable[[], None]
    waiting: bool = False
    """Its target may stand still until somebody lets it run."""
    suspended: bool = False
    elements: Elements = field(default_factory=Elements)
    handles: Handles | None = None
    """None until control came back for the first time in this session's life."""
    worker_scripts: set[str] = field(default_factory=set)
    """Paused requests (Fetch) for scripts of service workers."""
    line: Line = field(default_factory=Line)
    """Commands behind one whose handles are being looked at."""

    @property
    def target(self) -> str | None:
        """The target's id; None for the browser."""
        return None if self.parent is None else str(self.info.get("targetId"))


@dataclass(frozen=True, slots=True)
class Pending:
    """A command on its way: the client's id for it, the session it went to, when it was sent."""

    client_id: int
    node: Node
    method: str
    params: dict[str, Any]
    sent: float
    delivered: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """A command whose outcome nobody knows: it was sent and had not answered when the gate had closed."""

    client: str
    method: str
    target: str | None
    sent_ms_ago: int

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: `{"client", "method", "target", "sent_ms_ago"}`."""
        return {"client": self.client, "method": self.method, "target": self.target, "sent_ms_ago": self.sent_ms_ago}
