"""What is known here of the conditions that keepers look at while operators work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent_bridge.control.words import Change
from sandbox.words import SandboxId

type Wire = dict[str, Any]


class ConditionBoard:
    """The last report on each open handoff's condition, as consoles are told it."""

    def __init__(self) -> None:
        self._reports: dict[str, Wire] = {}
        self._listeners: list[Callable[[Wire], None]] = []

    def __repr__(self) -> str:
        return f"<ConditionBoard [handoffs: {len(self._reports)}]>"

    def subscribe(self, listener: Callable[[Wire], None]) -> Callable[[], None]:
        """Call `listener` with `{"sandbox", "handoff", "met", "parts"}` for each; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def to_wire(self) -> list[Wire]:
        """Return all reports."""
        return list(self._reports.values())

    def heard(self, sandbox: SandboxId, report: Mapping[str, Any]) -> None:
        """Take a keeper's event `condition`."""
        wire = {"sandbox": sandbox, **{name: report[name] for name in ("handoff", "met", "parts")}}
        self._reports[str(report["handoff"])] = wire
        for listener in list(self._listeners):
            listener(wire)

    def changed(self, change: Change) -> None:
        """Forget what was said of a handoff that is over."""
        if change.ended is not None:
            self._reports.pop(change.ended.id, None)
