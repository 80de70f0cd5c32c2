"""The method table: what each method of the protocol is to the gate. The data is in methods.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from sandbox.authority import Verb


@dataclass(frozen=True, slots=True)
class Rule:
    """What the table says of one method. `verb` is None where nobody may use it; then `why` says why."""

    method: str
    verb: Verb | None
    why: str = ""


def read_table(text: str) -> Mapping[str, Rule]:
    """Read a table in the form of methods.toml. Raises `ValueError` when it names a method twice."""
    data = tomllib.loads(text)
    rules: dict[str, Rule] = {}

    def add(group: Mapping[str, Any], verb: Verb | None, why: str) -> None:
        for domain, names in group.items():
            for name in names:
                method = f"{domain}.{name}"
                if method in rules:
                    raise ValueError(f"{method} is in the method table twice")
                rules[method] = Rule(method, verb, why)

    for verb in Verb:
        add(data.get(verb.value, {}), verb, "")
    for refusal in data.get("refuse", ()):
        add({k: v for k, v in refusal.items() if k != "why"}, None, refusal["why"])
    return MappingProxyType(rules)


@cache
def method_table() -> Mapping[str, Rule]:
    """Return the table that comes with Baton: method → rule."""
    return read_table(files("sandbox.gate").joinpath("methods.toml").read_text())
