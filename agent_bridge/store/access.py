"""Tokens, links, sign-ins and operators in the database (`agent_bridge.access.words.AccessRecords`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Update, insert, select, update

from agent_bridge.access.words import Link, Operator, SignIn, Token
from agent_bridge.store.database import Database
from agent_bridge.store.tables import links, operators, sign_ins, tokens
from agent_bridge.words import Role
from sandbox.words import HandoffId, OperatorId, SandboxId


class AccessStore:
    """See `agent_bridge.access.words.AccessRecords`. Holds hashes, never what they are made from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_operator(self, operator: Operator, at: float) -> None:
        """Keep a new operator."""
        async with self._database.write() as connection:
            await connection.execute(insert(operators), {"id": operator.id, "name": operator.name, "created_at": at})

    async def operator(self, operator: OperatorId) -> Operator | None:
        """Return an operator, or None."""
        row = await self._first(select(operators).where(operators.c.id == operator))
        return Operator(OperatorId(row.id), row.name) if row is not None else None

    async def rename_operator(self, operator: OperatorId, name: str) -> None:
        """Change an operator's display name."""
        await self._changed(update(operators).where(operators.c.id == operator).values(name=name))

    async def add_token(self, token: Token) -> None:
        """Keep a new token."""
        async with self._database.write() as connection:
            await connection.execute(
                insert(tokens),
                {
                    "id": token.id, "name": token.name, "role": token.role.value, "hash": token.hash,
                    "operator": token.operator, "created_at": token.created_at, "expires_at": token.expires_at,
                    "revoked_at": token.revoked_at,
                },
            )  # fmt: skip

    async def token_by_hash(self, hashed: str) -> Token | None:
        """Return the token with this hash, or None."""
        row = await self._first(select(tokens).where(tokens.c.hash == hashed))
        return _token(row) if row is not None else None

    async def tokens(self) -> list[Token]:
        """Return all tokens, oldest first."""
        async with self._database.read() as connection:
            return [_token(row) for row in await connection.execute(select(tokens).order_by(tokens.c.created_at))]

    async def revoke_token(self, token: str, at: float) -> bool:
        """Mark a token revoked; False when there is none or it was."""
        return await self._changed(
            update(tokens).where(tokens.c.id == token, tokens.c.revoked_at.is_(None)).values(revoked_at=at)
        )

    async def add_link(self, link: Link) -> None:
        """Keep a new link."""
        async with self._database.write() as connection:
            await connection.execute(
                insert(links),
                {
                    "id": link.id, "role": link.role.value, "hash": link.hash, "name": link.name,
                    "sandbox": link.sandbox, "handoff": link.handoff, "take": link.take,
                    "created_at": link.created_at, "expires_at": link.expires_at, "used_at": link.used_at,
                },
            )  # fmt: skip

    async def link_by_hash(self, hashed: str) -> Link | None:
        """Return the link with this hash, or None."""
        row = await self._first(select(links).where(links.c.hash == hashed))
        return _link(row) if row is not None else None

    async def use_link(self, hashed: str, at: float) -> bool:
        """Mark a link used, in one atomic step; False when it was used already."""
        return await self._changed(
            update(links).where(links.c.hash == hashed, links.c.used_at.is_(None)).values(used_at=at)
        )

    async def add_sign_in(self, sign_in: SignIn) -> None:
        """Keep a new sign-in."""
        async with self._database.write() as connection:
            await connection.execute(
                insert(sign_ins),
                {
                    "id": sign_in.id, "role": sign_in.role.value, "hash": sign_in.hash, "operator": sign_in.operator,
                    "created_at": sign_in.created_at, "expires_at": sign_in.expires_at, "ended_at": sign_in.ended_at,
                },
            )  # fmt: skip

    async def sign_in_by_hash(self, hashed: str) -> SignIn | None:
        """Return the sign-in with this hash, or None."""
        row = await self._first(select(sign_ins).where(sign_ins.c.hash == hashed))
        return _sign_in(row) if row is not None else None

    async def extend_sign_in(self, sign_in: str, expires_at: float) -> None:
        """Move a sign-in's expiry."""
        await self._changed(update(sign_ins).where(sign_ins.c.id == sign_in).values(expires_at=expires_at))

    async def end_sign_in(self, sign_in: str, at: float) -> bool:
        """Mark a sign-in ended; False when there is none or it was."""
        return await self._changed(
            update(sign_ins).where(sign_ins.c.id == sign_in, sign_ins.c.ended_at.is_(None)).values(ended_at=at)
        )

    async def _first(self, query: Any) -> Row[Any] | None:
        async with self._database.read() as connection:
            return (await connection.execute(query)).first()

    async def _changed(self, statement: Update) -> bool:
        async with self._database.write() as connection:
            return bool((await connection.execute(statement)).rowcount)


def _token(row: Row[Any]) -> Token:
    operator = OperatorId(row.operator) if row.operator is not None else None
    return Token(
        row.id,
        row.name,
        Role(row.role),
        row.created_at,
        row.expires_at,
        row.revoked_at,
        hash=row.hash,
        operator=operator,
    )


def _link(row: Row[Any]) -> Link:
    return Link(
        row.id, Role(row.role), row.created_at, row.expires_at, row.name,
        SandboxId(row.sandbox) if row.sandbox is not None else None,
        HandoffId(row.handoff) if row.handoff is not None else None,
        row.take, row.used_at, hash=row.hash,
    )  # fmt: skip


def _sign_in(row: Row[Any]) -> SignIn:
    return SignIn(
        row.id, Role(row.role), OperatorId(row.operator), row.created_at, row.expires_at, row.ended_at, hash=row.hash
    )
