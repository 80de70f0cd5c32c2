"""The words every room shares: ids, epoch, holder, clock and the root of all errors.

Error tree (each room adds its own leaves; each leaf names a `Kind`, and `CODES` below is the one table
that says what a kind looks like over HTTP, WebSocket, CDP and MCP):

    BatonError
    ├── BadRequest          invalid    what was sent cannot be read or is not allowed to be said
    ├── NotAllowed          denied     the caller may not do this, whatever the state
    ├── NotFound            missing    the thing named does not exist
    ├── Conflict            conflict   the state does not allow it now
    │   ├── HeldByAnother   conflict   somebody else has control
    │   └── StaleEpoch      stale      it was admitted under an epoch that has passed
    ├── Gone                gone       the thing existed and has ended
    ├── TooLarge            too_large  a bound was crossed
    └── Unavailable         down       a part that is needed does not answer
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, NewType, Protocol, Self

SandboxId = NewType("SandboxId", str)
SessionId = NewType("SessionId", str)
HandoffId = NewType("HandoffId", str)
OperatorId = NewType("OperatorId", str)
ViewerId = NewType("ViewerId", str)
Epoch = NewType("Epoch", int)
"""Rises by one whenever the holder changes, also to nobody; persisted; checked at the last step before an action."""


def new_id(prefix: str) -> str:
    """Return `prefix_` and 20 random hex digits: unguessable enough to name a thing, never to authorise it."""
    return f"{prefix}_{secrets.token_hex(10)}"


class Clock(Protocol):
    """Where time comes from; tests inject their own."""

    def now(self) -> float:
        """Seconds since 1970, UTC: for what is stored and shown."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: for measuring durations inside one process."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()


class Side(StrEnum):
    """On which side control lies, and who asked for a human."""

    AGENT = "agent"
    OPERATOR = "operator"
    NOBODY = "nobody"
    PLATFORM = "platform"
    """Baton itself, by policy. It asks, and never holds control."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who may act on a sandbox: the agent, one operator, or nobody."""

    side: Side
    operator: OperatorId | None = None
    name: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: `{"side", "operator", "name"}`."""
        return {"side": self.side.value, "operator": self.operator, "name": self.name}

    @classmethod
    def from_wire(cls, data: dict[str, Any]) -> Self:
        """Read the JSON form back."""
        return cls(Side(data["side"]), data.get("operator"), data.get("name"))

    def __str__(self) -> str:
        return self.name or self.operator or f"the {self.side}" if self.side is Side.OPERATOR else self.side.value


THE_AGENT: Final = Holder(Side.AGENT)
NOBODY: Final = Holder(Side.NOBODY)


class Kind(StrEnum):
    """What sort of thing went wrong; decides every code a caller sees."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    DENIED = "denied"
    MISSING = "missing"
    CONFLICT = "conflict"
    STALE = "stale"
    GONE = "gone"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    DOWN = "down"
    BUG = "bug"


@dataclass(frozen=True, slots=True)
class Codes:
    """One kind's code on each wire: HTTP status, WebSocket close code, CDP and MCP (JSON-RPC) error codes."""

    http: int
    ws: int
    cdp: int
    mcp: int


CODES: Final[MappingProxyType[Kind, Codes]] = MappingProxyType(
    {
        Kind.INVALID: Codes(422, 4422, -32602, -32602),
        Kind.UNAUTHENTICATED: Codes(401, 4401, -32001, -32001),
        Kind.DENIED: Codes(403, 4403, -32003, -32003),
        Kind.MISSING: Codes(404, 4404, -32004, -32004),
        Kind.CONFLICT: Codes(409, 4409, -32009, -32009),
        Kind.STALE: Codes(409, 4410, -32010, -32010),
        Kind.GONE: Codes(410, 4411, -32011, -32011),
        Kind.TOO_LARGE: Codes(413, 4413, -32013, -32013),
        Kind.TOO_MANY: Codes(429, 4429, -32029, -32029),
        Kind.DOWN: Codes(503, 4503, -32050, -32050),
        Kind.BUG: Codes(500, 4500, -32603, -32603),
    }
)


class BatonError(Exception):
    """Root of every error Baton raises.

    `str(error)` says what happened and what to do; `fields` carries the things it names, JSON-serialisable
    and free of secrets.
    """

    kind: ClassVar[Kind] = Kind.BUG

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    @property
    def codes(self) -> Codes:
        """This error's code on each wire."""
        return CODES[self.kind]

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form every wire carries: `{"error", "kind", "message", ...fields}`."""
        return {"error": type(self).__name__, "kind": self.kind.value, "message": self.message, **self.fields}


class BadRequest(BatonError):
    """What was sent cannot be read, or is not allowed to be said."""

    kind = Kind.INVALID


class Unauthenticated(BatonError):
    """No valid token or sign-in came with the request."""

    kind = Kind.UNAUTHENTICATED


class NotAllowed(BatonError):
    """The caller may not do this, whatever the state."""

    kind = Kind.DENIED


class NotFound(BatonError):
    """The thing named does not exist."""

    kind = Kind.MISSING


class Conflict(BatonError):
    """The state does not allow this now."""

    kind = Kind.CONFLICT


class HeldByAnother(Conflict):
    """Somebody else has control."""


class StaleEpoch(Conflict):
    """It was admitted under an epoch that has passed; look again, then ask again."""

    kind = Kind.STALE


class Gone(BatonError):
    """The thing existed and has ended."""

    kind = Kind.GONE


class TooLarge(BatonError):
    """A bound was crossed; the message names it."""

    kind = Kind.TOO_LARGE


class TooMany(BatonError):
    """Too many at once, or too fast."""

    kind = Kind.TOO_MANY


class Unavailable(BatonError):
    """A part that is needed does not answer."""

    kind = Kind.DOWN


_BY_KIND: Final[dict[Kind, type[BatonError]]] = {
    Kind.INVALID: BadRequest, Kind.UNAUTHENTICATED: Unauthenticated, Kind.DENIED: NotAllowed, Kind.MISSING: NotFound,
    Kind.CONFLICT: Conflict, Kind.STALE: StaleEpoch, Kind.GONE: Gone, Kind.TOO_LARGE: TooLarge,
    Kind.TOO_MANY: TooMany, Kind.DOWN: Unavailable,
}  # fmt: skip


def error_from_wire(data: dict[str, Any]) -> BatonError:
    """Rebuild an error that crossed a process boundary: the class by its kind, message and fields unchanged."""
    fields = {k: v for k, v in data.items() if k not in {"error", "kind", "message"}}
    return _BY_KIND.get(Kind(data.get("kind", "bug")), BatonError)(str(data.get("message", "")), **fields)
