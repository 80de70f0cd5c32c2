"""Approvals in the database (`agent_bridge.control.ports.ApprovalStore`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from agent_bridge.control.approvals import Approval, ApprovalState
from agent_bridge.journal.words import Entry
from agent_bridge.store.database import Batch, Database
from agent_bridge.store.journal import append_entries
from agent_bridge.store.tables import approvals
from sandbox.words import Epoch, OperatorId, SandboxId

_LIVE = [state.value for state in ApprovalState if state.live]


class SqlApprovalStore:
    """See `agent_bridge.control.ports.ApprovalStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, approval: Approval, entries: Sequence[Entry]) -> None:
        """Keep a new approval, with journal entries: all or none. Raises `StoreDown`."""

        def save(batch: Batch) -> None:
            batch.connection.execute(insert(approvals), _row(approval))
            batch.at_end(append_entries, entries)

        await self._database.together(save)

    async def put(self, before: ApprovalState, approval: Approval, entries: Sequence[Entry]) -> bool:
        """Keep what an approval became, if it is still stored as `before`; returns whether it was."""
        row = _row(approval)
        change = (
            update(approvals)
            .where(approvals.c.id == approval.id, approvals.c.state == before.value)
            .values(state=row["state"], document=row["document"])
        )

        def save(batch: Batch) -> bool:
            taken = batch.connection.execute(change).rowcount == 1
            if taken:
                batch.at_end(append_entries, entries)
            return taken

        return await self._database.together(save)

    async def live(self) -> list[Approval]:
        """Return what may still be used as far as is stored, the oldest first."""
        query = select(approvals.c.document).where(approvals.c.state.in_(_LIVE)).order_by(approvals.c.asked_at)
        async with self._database.read() as connection:
            return [_read(data) for data in await connection.scalars(query)]

    async def get(self, approval: str) -> Approval | None:
        """Return one approval."""
        async with self._database.read() as connection:
            data = await connection.scalar(select(approvals.c.document).where(approvals.c.id == approval))
            return _read(data) if data is not None else None

    async def recent(self, limit: int) -> list[Approval]:
        """Return approvals, the newest first."""
        query = select(approvals.c.document).order_by(approvals.c.asked_at.desc()).limit(bindparam("limit"))
        async with self._database.read() as connection:
            return [_read(data) for data in await connection.scalars(query, {"limit": limit})]


def _row(approval: Approval) -> dict[str, Any]:
    document = {
        **approval.to_wire(), "digest": approval.digest, "page_state": approval.page_state,
        "operator": approval.operator,
    }  # fmt: skip
    return {
        "id": approval.id, "sandbox": approval.sandbox, "state": approval.state.value, "asked_at": approval.asked_at,
        "document": document,
    }  # fmt: skip


def _read(data: dict[str, Any]) -> Approval:
    return Approval(
        data["id"], SandboxId(data["sandbox"]), data["target"], data["method"], data["summary"], data["reason"],
        Epoch(data["epoch"]), data["asked_at"], data["deadline_at"], url=data["url"], title=data["title"],
        digest=data["digest"], page_state=data["page_state"], state=ApprovalState(data["state"]),
        operator=OperatorId(data["operator"]) if data["operator"] else None, by=data["decided_by"], note=data["note"],
        decided_at=data["decided_at"],
    )  # fmt: skip
