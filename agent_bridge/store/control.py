"""Control and handoffs in the database (`agent_bridge.control.ports.ControlStore`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import JSON, Row, bindparam, func, select, type_coerce
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from agent_bridge.control.words import Control, Handoff, Phase
from agent_bridge.journal.words import Entry
from agent_bridge.store.codec import control_from_row, control_to_json, handoff_from_json, handoff_to_json
from agent_bridge.store.database import Database
from agent_bridge.store.journal import append_entries
from agent_bridge.store.tables import controls, handoffs
from sandbox.words import HandoffId, SandboxId, StaleEpoch

_PUT_CONTROL: Final = insert(controls)
_SAVE_CONTROL: Final = _PUT_CONTROL.on_conflict_do_update(
    index_elements=["sandbox"],
    set_={name: _PUT_CONTROL.excluded[name] for name in ("phase", "epoch", "document")},
    # The second wall behind the machine: no writer can take an epoch back, whatever it believes.
    where=controls.c.epoch <= _PUT_CONTROL.excluded.epoch,
)
_PUT_HANDOFF: Final = insert(handoffs)
_SAVE_HANDOFF: Final = _PUT_HANDOFF.on_conflict_do_update(
    index_elements=["id"], set_={name: _PUT_HANDOFF.excluded[name] for name in ("state", "ended_at", "document")}
)
_OPEN_ID: Final = func.json_extract(controls.c.document, "$.handoff")
_CONTROL: Final = select(
    controls.c.sandbox, controls.c.phase, controls.c.epoch, controls.c.document,
    type_coerce(handoffs.c.document, JSON).label("handoff"),
).select_from(controls.outerjoin(handoffs, handoffs.c.id == _OPEN_ID))  # fmt: skip


class SqlControlStore:
    """See `agent_bridge.control.ports.ControlStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, control: Control, ended: Handoff | None, entries: Sequence[Entry]) -> None:
        """Keep all or none. Raises `StaleEpoch` when the database knows a later epoch, `StoreDown`."""
        async with self._database.write() as connection:
            row = {
                "sandbox": control.sandbox, "phase": control.phase.value, "epoch": control.epoch,
                "document": control_to_json(control),
            }  # fmt: skip
            written = await connection.execute(_SAVE_CONTROL, row)
            if written.rowcount == 0:
                raise StaleEpoch(f"epoch {control.epoch} of sandbox {control.sandbox} has passed", epoch=control.epoch)
            for handoff in (control.handoff, ended):
                if handoff is not None:
                    await _save_handoff(connection, handoff)
            await append_entries(connection, entries)

    async def save_late(self, handoff: Handoff, entries: Sequence[Entry]) -> None:
        """Keep a handoff that is over, with entries: all or none."""
        async with self._database.write() as connection:
            await _save_handoff(connection, handoff)
            await append_entries(connection, entries)

    async def controls(self) -> list[Control]:
        """Return control of every sandbox that is not closed."""
        async with self._database.read() as connection:
            rows = await connection.execute(_CONTROL.where(controls.c.phase != Phase.CLOSED.value))
            return [_control(row) for row in rows]

    async def control(self, sandbox: SandboxId) -> Control | None:
        """Return control of one sandbox, closed ones too."""
        async with self._database.read() as connection:
            row = (await connection.execute(_CONTROL.where(controls.c.sandbox == sandbox))).first()
            return _control(row) if row is not None else None

    async def handoff(self, handoff: HandoffId) -> Handoff | None:
        """Return one handoff."""
        async with self._database.read() as connection:
            data = await connection.scalar(select(handoffs.c.document).where(handoffs.c.id == handoff))
            return handoff_from_json(data) if data is not None else None

    async def handoff_by_key(self, sandbox: SandboxId, key: str) -> Handoff | None:
        """Return the handoff asked for in `sandbox` under this idempotency key."""
        query = select(handoffs.c.document).where(handoffs.c.sandbox == sandbox, handoffs.c.idempotency_key == key)
        async with self._database.read() as connection:
            data = await connection.scalar(query)
            return handoff_from_json(data) if data is not None else None

    async def recent(self, sandbox: SandboxId | None = None, limit: int = 100) -> list[Handoff]:
        """Return handoffs, the newest first."""
        query = select(handoffs.c.document).order_by(handoffs.c.created_at.desc()).limit(bindparam("limit"))
        if sandbox is not None:
            query = query.where(handoffs.c.sandbox == sandbox)
        async with self._database.read() as connection:
            return [handoff_from_json(data) for data in await connection.scalars(query, {"limit": limit})]


def _control(row: Row[*tuple[Any, ...]]) -> Control:
    return control_from_row(row.sandbox, row.phase, row.epoch, row.document, row.handoff)


async def _save_handoff(connection: AsyncConnection, handoff: Handoff) -> None:
    await connection.execute(
        _SAVE_HANDOFF,
        {
            "id": handoff.id, "sandbox": handoff.sandbox, "state": handoff.state.value,
            "created_at": handoff.created_at, "ended_at": handoff.ended_at, "idempotency_key": handoff.idempotency_key,
            "document": handoff_to_json(handoff),
        },
    )  # fmt: skip
