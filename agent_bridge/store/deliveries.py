"""The outbox of notifications in the database (`agent_bridge.notify.words.DeliveryRecords`)."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from agent_bridge.notify.words import Delivery, DeliveryState
from agent_bridge.store.database import Database
from agent_bridge.store.tables import deliveries
from sandbox.words import HandoffId


class DeliveryStore:
    """See `agent_bridge.notify.words.DeliveryRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, delivery: Delivery, *, again: bool = False) -> None:
        """Keep a new delivery; of the same handoff and service there is one, which begins anew with `again`."""
        index = ["handoff", "service"]
        statement = insert(deliveries).on_conflict_do_nothing(index_elements=index)
        if again:
            anew = {"state": DeliveryState.PENDING.value, "tries": 0, "due_at": delivery.due_at, "error": ""}
            statement = insert(deliveries).on_conflict_do_update(index_elements=index, set_=anew)
        async with self._database.write() as connection:
            await connection.execute(
                statement,
                {
                    "id": delivery.id, "handoff": delivery.handoff, "service": delivery.service,
                    "state": delivery.state.value, "tries": delivery.tries, "due_at": delivery.due_at,
                    "error": delivery.error,
                },
            )  # fmt: skip

    async def pending(self) -> list[Delivery]:
        """Return what is still to be delivered, the earliest due first."""
        query = (
            select(deliveries).where(deliveries.c.state == DeliveryState.PENDING.value).order_by(deliveries.c.due_at)
        )
        async with self._database.read() as connection:
            return [
                Delivery(
                    row.id,
                    HandoffId(row.handoff),
                    row.service,
                    DeliveryState(row.state),
                    row.tries,
                    row.due_at,
                    row.error,
                )
                for row in await connection.execute(query)
            ]

    async def put(self, delivery: Delivery) -> None:
        """Keep a delivery's new state."""
        values = {
            "state": delivery.state.value, "tries": delivery.tries, "due_at": delivery.due_at, "error": delivery.error,
        }  # fmt: skip
        async with self._database.write() as connection:
            await connection.execute(update(deliveries).where(deliveries.c.id == delivery.id).values(values))
