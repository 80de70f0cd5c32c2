"""Control and handoffs in the database (`agent_bridge.control.ports.ControlStore`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import JSON, Row, bindparam, func, select, type_coerce
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Connection

from agent_bridge.control.words import Control, Handoff, Phase
from agent_bridge.journal.words import Entry
from agent_bridge.store.codec import control_from_row, control_to_json, handoff_from_json, handoff_to_json
from agent_bridge.store.database import Batch, Database
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
_EPOCHS: Final = select(controls.c.sandbox, controls.c.epoch).where(
    controls.c.sandbox.in_(bindparam("sandboxes", expanding=True))
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
        row = {
            "sandbox": control.sandbox, "phase": control.phase.value, "epoch": control.epoch,
            "document": control_to_json(control),
        }  # fmt: skip
        rows = [_row(handoff) for handoff in (control.handoff, ended) if handoff is not None]

        def save(batch: Batch) -> None:
            batch.at_end(_put_controls, [row])
            batch.at_end(_put_handoffs, rows)
            batch.at_end(append_entries, entries)

        await self._database.together(save)

    async def save_late(self, handoff: Handoff, entries: Sequence[Entry]) -> None:
        """Keep a handoff that is over, with entries: all or none."""
        row = _row(handoff)

        def save(batch: Batch) -> None:
            batch.at_end(_put_handoffs, [row])
            batch.at_end(append_entries, entries)

        await self._database.together(save)

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


def _put_controls(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(_SAVE_CONTROL, rows)
    # What was not taken because of its epoch is only seen by looking: a driver counts the rows of many as one.
    found = connection.execute(_EPOCHS, {"sandboxes": [row["sandbox"] for row in rows]})
    kept = {row.sandbox: row.epoch for row in found}
    for row in rows:
        if kept[row["sandbox"]] != row["epoch"]:
            raise StaleEpoch(f"epoch {row['epoch']} of sandbox {row['sandbox']} has passed", epoch=kept[row["sandbox"]])


def _put_handoffs(connection: Connection, rows: list[dict[str, Any]]) -> None:
    connection.execute(_SAVE_HANDOFF, rows)


def _row(handoff: Handoff) -> dict[str, Any]:
    return {
        "id": handoff.id, "sandbox": handoff.sandbox, "state": handoff.state.value, "created_at": handoff.created_at,
        "ended_at": handoff.ended_at, "idempotency_key": handoff.idempotency_key, "document": handoff_to_json(handoff),
    }  # fmt: skip
