"""Standing state: what a client left armed in one CDP session, how it is suspended and how it is restored.

The table is standing.toml; `Standing` keeps what one session has of it and says which commands to send. It sends
nothing itself. New-document scripts and bindings have keys of their own and are kept beside the table.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

type Params = dict[str, Any]
type Command = tuple[str, Params]

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Record:
    """One `[[record]]` of the table."""

    method: str
    neutral: Params | None
    unset: tuple[str, ...]
    suspend: tuple[Mapping[str, Any], ...]
    restore: tuple[Mapping[str, Any], ...]
    replay: bool

    def armed(self, params: Params) -> bool:
        """Whether the command with these parameters leaves anything behind."""
        return self.neutral is None or any(params.get(k, v) != v for k, v in self.neutral.items())


@dataclass(frozen=True, slots=True)
class Held:
    """One `[[held]]` of the table."""

    event: str
    key: str | None
    answers: frozenset[str]
    ended: str | None
    release: str
    params: Params

    def let_go(self, key: str) -> Command:
        """Return the command that lets one of these go on."""
        return self.release, {**({self.key: key} if self.key else {}), **self.params}


@dataclass(frozen=True)
class Table:
    """The whole of standing.toml."""

    records: Mapping[str, Record]
    held: tuple[Held, ...]

    @cached_property
    def events(self) -> frozenset[str]:
        """The events that `Standing.event` wants to hear of."""
        return frozenset(e for h in self.held for e in (h.event, h.ended) if e)

    def without(self, name: str) -> Table:
        """Return the table without one entry (a record's method or a held event): tests show that it is needed."""
        return Table(
            {k: v for k, v in self.records.items() if k != name}, tuple(h for h in self.held if h.event != name)
        )


@cache
def standing_table() -> Table:
    """Return the table that comes with Baton."""
    data = tomllib.loads(files("sandbox.gate").joinpath("standing.toml").read_text())
    records = {
        r["method"]: Record(
            r["method"], r.get("neutral"), tuple(r.get("unset", ())), tuple(r.get("suspend", ())),
            tuple(r.get("restore", ())), r.get("replay", True),
        )
        for r in data["record"]
    }  # fmt: skip
    held = tuple(
        Held(h["event"], h.get("key"), frozenset(h["answers"]), h.get("ended"), h["release"], h.get("params", {}))
        for h in data["held"]
    )
    return Table(records, held)


@dataclass(slots=True)
class Script:
    """One new-document script of the client: as it was added, under the client's name and the browser's."""

    params: Params
    client_id: str
    real_id: str | None
    remove: str = "Page.removeScriptToEvaluateOnNewDocument"

    @property
    def world(self) -> str | None:
        """The isolated world it makes in each document."""
        return self.params.get("worldName")

    @property
    def does_something(self) -> bool:
        """Whether it holds more than comments."""
        source = self.params.get("source") or self.params.get("scriptSource") or ""
        return bool(_COMMENT.sub("", source).strip())


@dataclass(slots=True)
class Standing:
    """What one client has armed in one CDP session."""

    table: Table
    armed: dict[str, Params] = field(default_factory=dict)
    enabled: set[str] = field(default_factory=set)
    """Domains whose `enable` was sent."""
    scripts: dict[str, Script] = field(default_factory=dict)
    bindings: dict[str, Params] = field(default_factory=dict)
    held: dict[tuple[str, str], Held] = field(default_factory=dict)
    script_counter: int = 0

    def sent(self, method: str, params: Params) -> None:
        """Note a command when it is sent: one that is cut off without an answer may still have armed something."""
        record = self.table.records.get(method)
        if record is not None:
            if record.armed(params):
                self.armed[method] = params
            else:
                self.armed.pop(method, None)
        domain, _, name = method.partition(".")
        if name == "enable":
            self.enabled.add(domain)
        elif name == "disable":
            self._disabled(domain)
        elif method == "Runtime.addBinding":
            self.bindings[str(params.get("name", ""))] = params
        elif method == "Runtime.removeBinding":
            self.bindings.pop(str(params.get("name", "")), None)
        else:
            self._answered(method, params)
            for other in self.table.records.values():
                if method in other.unset:
                    self.armed.pop(other.method, None)

    def failed(self, method: str) -> None:
        """Take back what `sent` noted: the browser refused it."""
        self.armed.pop(method, None)

    def event(self, method: str, params: Params) -> bool:
        """Note an event; returns whether something waits for an answer now."""
        for held in self.table.held:
            if held.event == method:
                key = str(params.get(held.key or "", ""))
                self.held[held.event, key] = held
                return True
            if held.ended == method:
                self.held = {k: v for k, v in self.held.items() if v is not held}
        return False

    def let_go(self) -> list[Command]:
        """Return the commands that answer everything held, and forget it."""
        commands = [held.let_go(key) for (_, key), held in self.held.items()]
        self.held.clear()
        return commands

    def suspend(self) -> list[Command]:
        """Return the commands that make the session harmless."""
        commands = [c for method in self.armed for c in _build(self.table.records[method].suspend, self.armed[method])]
        commands += [("Runtime.removeBinding", {"name": name}) for name in self.bindings]
        return commands

    def restore(self) -> list[Command]:
        """Return the commands that arm it again, in the table's order."""
        commands: list[Command] = []
        for method, record in self.table.records.items():
            if (params := self.armed.get(method)) is None:
                continue
            commands += _build(record.restore, params)
            if record.replay:
                commands.append((method, params))
        return commands + [("Runtime.addBinding", params) for params in self.bindings.values()]

    def worlds(self) -> Iterator[str]:
        """Return the isolated worlds the client's scripts make in each document."""
        yield from dict.fromkeys(s.world for s in self.scripts.values() if s.world)

    def new_script(self, params: Params, remove: str) -> Script:
        """Keep a new-document script under a name of our own, which stays when the browser's changes."""
        self.script_counter += 1
        script = Script(
            {k: v for k, v in params.items() if k != "runImmediately"}, str(self.script_counter), None, remove
        )
        self.scripts[script.client_id] = script
        return script

    def _disabled(self, domain: str) -> None:
        self.enabled.discard(domain)
        prefix = domain + "."
        for method in [m for m in self.armed if m.startswith(prefix)]:
            del self.armed[method]
        self.held = {k: v for k, v in self.held.items() if not k[0].startswith(prefix)}
        if domain == "Page":
            self.scripts.clear()
        elif domain == "Runtime":
            self.bindings.clear()

    def _answered(self, method: str, params: Params) -> None:
        for held in self.table.held:
            if method in held.answers:
                self.held.pop((held.event, str(params.get(held.key or "", ""))), None)


def _build(templates: Sequence[Mapping[str, Any]], recorded: Params) -> list[Command]:
    return [(t["method"], {**recorded, **t["merge"]} if "merge" in t else dict(t.get("params", {}))) for t in templates]
