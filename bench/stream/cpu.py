"""The processor time of a sandbox's stream, from /proc: who belongs to it is decided purely, reading is at the edge."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STREAM: Final = "stream"
XVFB: Final = "xvfb"
CHROMIUM: Final = "chromium"
AUDIO: Final = "audio"


@dataclass(frozen=True, slots=True)
class Task:
    """One process: its command line, parent and processor time so far (user and system, of all its threads)."""

    pid: int
    parent: int
    name: str
    arguments: tuple[str, ...]
    ticks: int


def task(pid: int, stat: str, cmdline: bytes) -> Task:
    """Read /proc/PID/stat and cmdline (proc(5)). The name stands in parentheses and may contain both kinds itself."""
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    fields = stat[stat.rindex(")") + 2 :].split()
    arguments = tuple(part.decode(errors="replace") for part in cmdline.split(b"\0") if part)
    return Task(pid, int(fields[1]), name, arguments, int(fields[11]) + int(fields[12]))


def tasks() -> list[Task]:
    """Return every process there is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found.append(task(int(entry.name), (entry / "stat").read_text(), (entry / "cmdline").read_bytes()))
    return found


def shares(all_tasks: Sequence[Task], state: str) -> dict[str, int]:
    """Return ticks by group for the server on the state directory `state` and everything below its keepers.

    `stream`: the server, the keepers, and what keepers started that is none of the others. `xvfb`, `chromium`, `audio`
    (a private sound server) are counted apart.
    """
    groups: dict[str, int] = {STREAM: 0, XVFB: 0, CHROMIUM: 0, AUDIO: 0}
    children: dict[int, list[Task]] = {}
    for one in all_tasks:
        children.setdefault(one.parent, []).append(one)
    keepers = [one for one in all_tasks if "keeper" in one.arguments and _within(one, state)]
    servers = [one for one in all_tasks if "serve" in one.arguments and state in one.arguments]
    for one in servers:
        groups[STREAM] += one.ticks
    waiting, seen = list(keepers), set[int]()
    while waiting:
        one = waiting.pop()
        if one.pid in seen:
            continue
        seen.add(one.pid)
        groups[group(one)] += one.ticks
        waiting += children.get(one.pid, [])
    return groups


def _within(one: Task, state: str) -> bool:
    return any(argument.startswith(f"{state}/") for argument in one.arguments)


def group(one: Task) -> str:
    """Say to which group a keeper or one of its descendants belongs."""
    if one.name.startswith("Xvfb"):
        return XVFB
    if one.name.startswith(("pulseaudio", "pipewire", "wireplumber")):
        return AUDIO
    if one.name.startswith(("chrom", "google-chrome", "cat", "nacl_helper")):
        return CHROMIUM
    return STREAM


def percent(before: Mapping[str, int], after: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Return what each group used of one core between two readings, in percent."""
    hertz = os.sysconf("SC_CLK_TCK")
    return {name: round((after[name] - before[name]) * 100 / hertz / seconds, 2) for name in after}
