"""The values of access, and its errors.

Conflict and Gone leaves: a link that was used, that has expired, that never was: three different sentences, because
three different things are to be done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from agent_bridge.words import Role
from sandbox.words import Gone, HandoffId, NotFound, OperatorId, SandboxId, TooMany, Unauthenticated


class LinkUsed(Gone):
    """A one-use link was redeemed before."""


class LinkExpired(Gone):
    """A one-use link was not redeemed in time."""


class LinkUnknown(NotFound):
    """No such link was ever made here, or it was cut short on its way."""


class TokenRefused(Unauthenticated):
    """A token or sign-in is unknown, expired or revoked."""


class TooManyFailures(TooMany):
    """One address has tried too many wrong tokens or links."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A human who takes over."""

    id: OperatorId
    name: str

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: `{"id", "name"}`."""
        return {"id": self.id, "name": self.name}


@dataclass(frozen=True, slots=True)
class Token:
    """A long-lived right to act in one role. The secret itself is shown once and never stored."""

    id: str
    name: str
    role: Role
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    hash: str = field(default="", repr=False)
    operator: OperatorId | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A right to sign in once."""

    id: str
    role: Role
    created_at: float
    expires_at: float
    name: str | None = None
    sandbox: SandboxId | None = None
    handoff: HandoffId | None = None
    take: bool = False
    used_at: float | None = None
    hash: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SignIn:
    """A browser that redeemed a link: good until `expires_at`, which moves with use."""

    id: str
    role: Role
    operator: OperatorId
    created_at: float
    expires_at: float
    ended_at: float | None = None
    hash: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking: one token or one sign-in, in one role."""

    id: str
    role: Role
    operator: Operator | None = None
    sign_in: bool = False


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What redeeming a link gives: the sign-in's secret for the cookie, and where to go."""

    link: Link
    operator: Operator
    caller: Caller
    secret: str = field(repr=False)


class AccessRecords(Protocol):
    """What access keeps; the store implements it."""

    async def add_operator(self, operator: Operator, at: float) -> None:
        """Keep a new operator."""
        ...

    async def operator(self, operator: OperatorId) -> Operator | None:
        """Return an operator, or None."""
        ...

    async def rename_operator(self, operator: OperatorId, name: str) -> None:
        """Change an operator's display name."""
        ...

    async def add_token(self, token: Token) -> None:
        """Keep a new token."""
        ...

    async def token_by_hash(self, hashed: str) -> Token | None:
        """Return the token with this hash, or None."""
        ...

    async def tokens(self) -> list[Token]:
        """Return all tokens, oldest first."""
        ...

    async def revoke_token(self, token: str, at: float) -> bool:
        """Mark a token revoked; False when there is none or it was."""
        ...

    async def add_link(self, link: Link) -> None:
        """Keep a new link."""
        ...

    async def link_by_hash(self, hashed: str) -> Link | None:
        """Return the link with this hash, or None."""
        ...

    async def use_link(self, hashed: str, at: float) -> bool:
        """Mark a link used, in one atomic step; False when it was used already."""
        ...

    async def add_sign_in(self, sign_in: SignIn) -> None:
        """Keep a new sign-in."""
        ...

    async def sign_in_by_hash(self, hashed: str) -> SignIn | None:
        """Return the sign-in with this hash, or None."""
        ...

    async def extend_sign_in(self, sign_in: str, expires_at: float) -> None:
        """Move a sign-in's expiry."""
        ...

    async def end_sign_in(self, sign_in: str, at: float) -> bool:
        """Mark a sign-in ended; False when there is none or it was."""
        ...
