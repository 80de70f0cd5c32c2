"""Draws docs/state-machine.md from the table: `python -m agent_bridge.control.diagram`."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from typing import Final

from agent_bridge.control.events import EVENTS, Event
from agent_bridge.control.machine import TABLE
from agent_bridge.control.words import Phase

HEAD: Final = """# The control state machine

Written from `agent_bridge/control/machine.py` by `python -m agent_bridge.control.diagram`; a test fails when it is
not current. Phases are those of one sandbox; what is not in the table is refused with an error that names event,
phase and holder.

The epoch rises whenever the holder changes, also to nobody: entering *closing*, *held*, *parked*, *waiting* from
*held*, *returning* from *held*, *opening* and *closed*, and from one operator to the next.

A lease ends without a heartbeat (*parked*, kept for that operator for the time of grace, then *waiting*), without
input for too long, or at its ceiling (*waiting* at once; back to the agent where nobody had asked). In *held* another
operator may ask for control and be given it (Give), or take it where their role permits (Claim by force): *held*
again, under another epoch.

Deadlines run in *closing*, *waiting* and *parked*. While an operator holds control nothing expires: a deadline that
passed meanwhile takes effect when the lease ends without a Done, after a lost heartbeat not before the time of grace
is over.

There is one way back to the agent: *returning* compares, *opening* waits for the gate's acknowledgement, and only
then is the handoff final.

"""
PHASES: Final = {
    Phase.AGENT: "the agent holds control",
    Phase.CLOSING: "nobody holds; the gate is being closed and the snapshot *before* taken",
    Phase.WAITING: "nobody holds; the handoff is in the queue",
    Phase.HELD: "one operator holds a lease",
    Phase.PARKED: "nobody holds; the operator's heartbeat was lost, the handoff is kept for them for a while",
    Phase.RETURNING: "nobody holds; *after* is being compared with *before*",
    Phase.OPENING: "the gate is being opened for the agent",
    Phase.CLOSED: "the sandbox has ended",
}


def edges() -> list[tuple[Phase, Phase, str]]:
    """Return the edges of the table as (from, to, events), in the order of the phases."""
    order = list(Phase)
    single = [(start, end, event.__name__) for (start, event), rule in TABLE.items() for end in rule.to]
    single.sort(key=lambda edge: (order.index(edge[0]), order.index(edge[1])))
    return [
        (start, end, ", ".join(name for _, _, name in group))
        for (start, end), group in groupby(single, key=lambda edge: edge[:2])
    ]


def render() -> str:
    """Return the page."""
    lines = ["| phase | meaning |", "|---|---|", *(f"| {p.value} | {text} |" for p, text in PHASES.items()), ""]
    lines += ["```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.AGENT.value}"]
    lines += [
        f"    {start.value} --> {end.value}: {events}"
        for start, end, events in edges()
        if start is not end and end is not Phase.CLOSED
    ]
    lines += ["```", "", "`BrowserDied` and `Close` lead from every phase to *closed*.", "", "## The table", ""]
    lines += ["| event | " + " | ".join(phase.value for phase in Phase) + " |", "|---" * (len(Phase) + 1) + "|"]
    lines += [f"| {event.__name__} | " + " | ".join(_cell(phase, event) for phase in Phase) + " |" for event in EVENTS]
    return HEAD + "\n".join(lines) + "\n"


def _cell(phase: Phase, event: type[Event]) -> str:
    rule = TABLE.get((phase, event))
    return " / ".join(end.value for end in rule.to) if rule else ""


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/state-machine.md").write_text(render(), encoding="utf-8")
