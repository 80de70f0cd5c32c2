"""Access: makes and judges tokens, one-use links and sign-ins.

Secrets leave here once, when they are made; what is stored is their hash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from agent_bridge.access.roles import OPERATORS
from agent_bridge.access.secrets import TOKEN_PREFIX, digest, new_secret
from agent_bridge.access.words import (
    AccessRecords,
    Caller,
    Link,
    LinkExpired,
    LinkUnknown,
    LinkUsed,
    Operator,
    Redeemed,
    SignIn,
    Token,
    TokenRefused,
)
from agent_bridge.journal.journal import Journal
from agent_bridge.words import Role
from sandbox.words import BadRequest, Clock, HandoffId, NotFound, OperatorId, SandboxId, new_id

LINK_PREFIX: Final = "bl_"
SIGN_IN_PREFIX: Final = "bs_"
NAME_LIMIT: Final = 80
SLIDE_S: Final = 300.0
"""A sign-in's expiry is moved at most this often, so that reading costs no write."""


@dataclass(slots=True)
class Access:
    """The one judge of who is calling."""

    records: AccessRecords
    journal: Journal
    clock: Clock
    base_url: Callable[[], str]
    link_s: float = 3600
    sign_in_s: float = 43200
    _ended: list[Callable[[str], None]] = field(default_factory=list)

    def on_end(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the caller's id when a token is revoked or a sign-in ends; returns what ends that."""
        self._ended.append(listener)
        return lambda: self._ended.remove(listener) if listener in self._ended else None

    def _tell_ended(self, caller: str) -> None:
        for listener in list(self._ended):
            listener(caller)

    async def create_token(self, name: str, role: Role, *, expires_s: float | None = None) -> tuple[Token, str]:
        """Make a token; returns it and its secret, which cannot be had again. Raises `BadRequest` for an empty name."""
        now = self.clock.now()
        operator = await self._new_operator(name) if role in OPERATORS else None
        secret = new_secret(TOKEN_PREFIX)
        token = Token(
            new_id("tk"), clean_name(name), role, now, now + expires_s if expires_s is not None else None,
            hash=digest(secret), operator=operator.id if operator else None,
        )  # fmt: skip
        await self.records.add_token(token)
        await self.journal.append(
            "token/created", id=token.id, name=token.name, role=role.value, expires_at=token.expires_at
        )
        return token, secret

    async def tokens(self) -> list[Token]:
        """Return all tokens, oldest first, without anything that opens a door."""
        return [replace(token, hash="") for token in await self.records.tokens()]

    async def revoke_token(self, token: str) -> None:
        """Make a token useless from now on, also on sockets that are open. Raises `NotFound`."""
        if not await self.records.revoke_token(token, self.clock.now()):
            raise NotFound(f"there is no live token {token}; `baton token list` shows them", token=token)
        await self.journal.append("token/revoked", id=token)
        self._tell_ended(token)

    async def by_token(self, secret: str) -> Caller:
        """Return who a token stands for. Raises `TokenRefused`, saying whether it is unknown, expired or revoked."""
        token = await self.records.token_by_hash(digest(secret))
        if token is None:
            raise TokenRefused("this token is not known here; make one with `baton token create`")
        return await self._caller(token)

    async def by_id(self, token: str) -> Caller:
        """Return who a token stands for, by its id: for rights that were derived from it. Raises `TokenRefused`."""
        found = next((each for each in await self.records.tokens() if each.id == token), None)
        if found is None:
            raise TokenRefused("the token behind this right is not known here any more")
        return await self._caller(found)

    async def _caller(self, token: Token) -> Caller:
        if token.revoked_at is not None:
            raise TokenRefused(f"the token “{token.name}” was revoked; make a new one with `baton token create`")
        if token.expires_at is not None and token.expires_at <= self.clock.now():
            raise TokenRefused(f"the token “{token.name}” has expired; make a new one with `baton token create`")
        operator = await self.records.operator(token.operator) if token.operator else None
        return Caller(token.id, token.role, operator)

    async def create_link(
        self,
        *,
        role: Role = Role.OPERATOR,
        name: str | None = None,
        sandbox: SandboxId | None = None,
        handoff: HandoffId | None = None,
        take: bool = False,
        expires_s: float | None = None,
    ) -> tuple[Link, str]:
        """Make a one-use link; returns it and its full URL, the secret in the fragment, which no server ever sees.

        Raises `BadRequest` for a role that nobody signs in with.
        """
        if role not in OPERATORS:
            raise BadRequest(
                f"a link signs in an operator or a supervisor; for {role} make a token", field="role", role=role.value
            )
        now = self.clock.now()
        secret = new_secret(LINK_PREFIX)
        link = Link(
            new_id("ln"), role, now, now + (self.link_s if expires_s is None else expires_s),
            clean_name(name) if name else None, sandbox, handoff, take, hash=digest(secret),
        )  # fmt: skip
        await self.records.add_link(link)
        await self.journal.append(
            "link/created", id=link.id, role=role.value, sandbox=sandbox, handoff=handoff, take=take,
            expires_at=link.expires_at,
        )  # fmt: skip
        return link, f"{self.base_url()}/link#{secret}"

    async def redeem(self, secret: str, *, current: Caller | None = None) -> Redeemed:
        """Turn a link into a sign-in, once.

        `current` is who the browser already is signed in as: the same operator goes on, so that a second link does
        not make a second person. Raises `LinkUnknown`, `LinkUsed`, `LinkExpired`.
        """
        hashed = digest(secret)
        link = await self.records.link_by_hash(hashed)
        if link is None:
            raise LinkUnknown("this link is not known here; open it exactly as it was sent, or ask for a new one")
        if link.used_at is not None:
            raise LinkUsed("this link was used already; each works once. Ask for a new one", link=link.id)
        if link.expires_at <= self.clock.now():
            raise LinkExpired("this link has expired; ask for a new one", link=link.id)
        if not await self.records.use_link(hashed, self.clock.now()):
            raise LinkUsed("this link was used already; each works once. Ask for a new one", link=link.id)
        operator = current.operator if current and current.operator else await self._new_operator(link.name or "You")
        now = self.clock.now()
        cookie = new_secret(SIGN_IN_PREFIX)
        sign_in = SignIn(new_id("si"), link.role, operator.id, now, now + self.sign_in_s, hash=digest(cookie))
        await self.records.add_sign_in(sign_in)
        await self.journal.append("link/redeemed", actor=operator.id, id=link.id, operator=operator.id)
        await self.journal.append(
            "sign_in/started", actor=operator.id, id=sign_in.id, operator=operator.id, role=sign_in.role.value
        )
        caller = Caller(sign_in.id, sign_in.role, operator, sign_in=True)
        return Redeemed(replace(link, used_at=now, hash=""), operator, caller, cookie)

    async def by_sign_in(self, secret: str) -> Caller:
        """Return who a sign-in cookie stands for, and move its expiry. Raises `TokenRefused`."""
        sign_in = await self.records.sign_in_by_hash(digest(secret))
        now = self.clock.now()
        if sign_in is None or sign_in.ended_at is not None or sign_in.expires_at <= now:
            raise TokenRefused("you are signed out; open a new link to sign in")
        if sign_in.expires_at - now < self.sign_in_s - SLIDE_S:
            await self.records.extend_sign_in(sign_in.id, now + self.sign_in_s)
        operator = await self.records.operator(sign_in.operator)
        return Caller(sign_in.id, sign_in.role, operator, sign_in=True)

    async def sign_out(self, caller: Caller) -> None:
        """End a sign-in, also on sockets that are open."""
        if await self.records.end_sign_in(caller.id, self.clock.now()):
            await self.journal.append("sign_in/ended", id=caller.id)
        self._tell_ended(caller.id)

    async def rename(self, operator: OperatorId, name: str) -> Operator:
        """Change an operator's display name. Raises `BadRequest` for an empty one."""
        renamed = Operator(operator, clean_name(name))
        await self.records.rename_operator(operator, renamed.name)
        await self.journal.append("operator/renamed", actor=operator, id=operator, name=renamed.name)
        return renamed

    async def _new_operator(self, name: str) -> Operator:
        operator = Operator(OperatorId(new_id("op")), clean_name(name))
        await self.records.add_operator(operator, self.clock.now())
        return operator


def clean_name(name: str) -> str:
    """Return a name fit to be shown: printable, without line breaks, at most 80 characters. Raises `BadRequest`."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:NAME_LIMIT].strip()
    if not shown:
        raise BadRequest("a name needs at least one visible character")
    return shown
