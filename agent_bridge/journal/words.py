"""What may be written in the journal: the one catalogue of event names, and what each may say.

A kind that is not here, or a key its kind does not list, is refused: what an operator types, tokens, cookies and
page contents have no key to travel under. Names are `domain/verb`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from sandbox.words import BadRequest, HandoffId, SandboxId

CATALOGUE: Final[MappingProxyType[str, frozenset[str]]] = MappingProxyType(
    {
        kind: frozenset(keys.split())
        for kind, keys in {
            "server/started": "version pid sandboxes",
            "server/stopped": "reason",
            "sandbox/opened": "name width height isolation owner epoch",
            "sandbox/closed": "reason epoch",
            "sandbox/died": "reason epoch phase",
            "control/closed": "epoch unknown",
            "control/granted": "epoch holder expires_at how before",
            "control/parked": "epoch holder reason",
            "control/released": "epoch holder reason",
            "control/grace_over": "epoch holder",
            "control/requested": "epoch note",
            "control/denied": "epoch to",
            "control/extended": "epoch ends_at reason",
            "control/returned": "epoch notes",
            "control/trouble": "epoch reason",
            "control/clock": "by",
            "handoff/asked": "blocker asked_by deadline_at site condition epoch",
            "handoff/claimed": "epoch",
            "handoff/extended": "deadline_at",
            "handoff/refused": "epoch parts",
            "handoff/ending": "outcome note epoch verified overridden",
            "handoff/ended": "outcome duration_s waited_s verified",
            "handoff/late": "outcome note epoch",
            "approval/asked": "approval method digest epoch deadline_at",
            "approval/decided": "approval state note epoch",
            "approval/over": "approval state epoch",
            "token/created": "id name role expires_at",
            "token/revoked": "id",
            "link/created": "id role sandbox handoff take expires_at",
            "link/redeemed": "id operator",
            "sign_in/started": "id operator role",
            "sign_in/ended": "id",
            "operator/renamed": "id name",
            "notify/delivered": "service tries final error",
            "notify/failed": "service tries final error",
            "download/finished": "name state bytes",
        }.items()
    }
)

MAX_DATA: Final = 32_768
"""The longest canonical form of one entry's data, in bytes."""


class UnknownKind(BadRequest):
    """The journal's catalogue does not list this kind of event."""


class ForbiddenData(BadRequest):
    """The catalogue does not let this kind of event say that."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, not yet written. `actor` is an id, `agent` or `server`."""

    kind: str
    at: float
    sandbox: SandboxId | None = None
    handoff: HandoffId | None = None
    actor: str = "server"
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what the catalogue does not list. Raises `UnknownKind`, `ForbiddenData`."""
        allowed = CATALOGUE.get(self.kind)
        if allowed is None:
            raise UnknownKind(
                f"the journal knows no event {self.kind!r}; add it to agent_bridge/journal/words.py", event=self.kind
            )
        if extra := sorted(self.data.keys() - allowed):
            raise ForbiddenData(f"{self.kind} may not say {', '.join(extra)}", event=self.kind, keys=extra)
        _check(self.kind, self.data)


def _check(kind: str, value: object) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ForbiddenData(f"{kind}: keys are text", event=kind)
            _check(kind, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(kind, inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ForbiddenData(f"{kind}: a number must be finite", event=kind)
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise ForbiddenData(f"{kind}: {type(value).__name__} has no place in a record", event=kind)


@dataclass(frozen=True, slots=True)
class Record:
    """One entry in its place: `digest` is SHA-256 over `previous` and everything else."""

    seq: int
    entry: Entry
    previous: str
    digest: str
