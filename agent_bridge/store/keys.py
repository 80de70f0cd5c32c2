"""The server's own keys, made once and kept."""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from agent_bridge.store.database import Database
from agent_bridge.store.tables import keys
from sandbox.words import Clock


class KeyStore:
    """Keeps random keys by name."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def key(self, name: str) -> bytes:
        """Return the 32 random bytes kept under a name, made the first time they are asked for."""
        row = {"name": name, "value": secrets.token_hex(32), "created_at": self._clock.now()}
        async with self._database.write() as connection:
            await connection.execute(insert(keys).on_conflict_do_nothing(index_elements=["name"]), row)
            value: str = (await connection.execute(select(keys.c.value).where(keys.c.name == name))).scalar_one()
        return bytes.fromhex(value)
