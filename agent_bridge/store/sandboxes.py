"""Sandboxes in the database: what was opened, by whom, and when it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, insert, select, update

from agent_bridge.store.database import Database
from agent_bridge.store.tables import sandboxes
from sandbox.words import SandboxId


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """One sandbox. `owner` is the id of the token that opened it; `document` what else its host must know again."""

    id: SandboxId
    name: str
    owner: str
    created_at: float
    width: int
    height: int
    isolation: str
    closed_at: float | None = None
    close_reason: str | None = None
    document: dict[str, Any] = field(default_factory=dict)


class SandboxStore:
    """Keeps sandbox records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, record: SandboxRecord) -> None:
        """Keep a new sandbox."""
        row = {
            "id": record.id, "name": record.name, "owner": record.owner, "created_at": record.created_at,
            "width": record.width, "height": record.height, "isolation": record.isolation,
            "closed_at": record.closed_at, "close_reason": record.close_reason, "document": record.document,
        }  # fmt: skip
        async with self._database.write() as connection:
            await connection.execute(insert(sandboxes), row)

    async def get(self, sandbox: SandboxId) -> SandboxRecord | None:
        """Return a sandbox, closed ones too, or None."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(sandboxes).where(sandboxes.c.id == sandbox))).first()
            return _record(row) if row is not None else None

    async def open_ones(self, owner: str | None = None) -> list[SandboxRecord]:
        """Return the sandboxes that are not closed, the oldest first; of one owner, or of all."""
        query = select(sandboxes).where(sandboxes.c.closed_at.is_(None)).order_by(sandboxes.c.created_at)
        if owner is not None:
            query = query.where(sandboxes.c.owner == owner)
        async with self._database.read() as connection:
            return [_record(row) for row in await connection.execute(query)]

    async def close(self, sandbox: SandboxId, at: float, reason: str) -> bool:
        """Mark a sandbox closed; False when there is none or it was."""
        statement = update(sandboxes).where(sandboxes.c.id == sandbox, sandboxes.c.closed_at.is_(None))
        async with self._database.write() as connection:
            return bool((await connection.execute(statement.values(closed_at=at, close_reason=reason))).rowcount)


def _record(row: Row[Any]) -> SandboxRecord:
    return SandboxRecord(
        SandboxId(row.id), row.name, row.owner, row.created_at, row.width, row.height, row.isolation, row.closed_at,
        row.close_reason, row.document,
    )  # fmt: skip
