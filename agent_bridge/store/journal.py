"""The journal in the database (`agent_bridge.journal.journal.JournalStore`)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from agent_bridge.journal.chain import GENESIS, canonical, link
from agent_bridge.journal.words import Entry, Record
from agent_bridge.store.database import Database
from agent_bridge.store.tables import journal

_PAGE = 500
_INSERT = insert(journal)
_LAST = select(journal.c.seq, journal.c.digest).order_by(journal.c.seq.desc()).limit(1)


def append_entries(connection: Connection, entries: Sequence[Entry]) -> list[Record]:
    """Chain entries inside a transaction that may hold more; the writer's lock keeps the places in order."""
    if not entries:
        return []
    last = connection.execute(_LAST).first()
    seq, previous = (last.seq, last.digest) if last is not None else (0, GENESIS)
    records = list(link(previous, seq, entries))
    rows = [
        {
            "seq": record.seq, "kind": record.entry.kind, "sandbox": record.entry.sandbox,
            "handoff": record.entry.handoff, "at": record.entry.at, "entry": canonical(record.entry),
            "previous": record.previous, "digest": record.digest,
        }
        for record in records
    ]  # fmt: skip
    connection.execute(_INSERT, rows)
    return records


class SqlJournalStore:
    """See `agent_bridge.journal.journal.JournalStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entries: Sequence[Entry]) -> list[Record]:
        """Chain and keep entries, all or none. Raises `StoreDown`."""
        return await self._database.together(lambda batch: append_entries(batch.connection, entries))

    async def records(self, after: int = 0) -> AsyncIterator[Record]:
        """Yield the records after `after`, oldest first; read in pages, so that writers are not held up."""
        while True:
            query = select(journal).where(journal.c.seq > after).order_by(journal.c.seq).limit(_PAGE)
            async with self._database.read() as connection:
                rows = (await connection.execute(query)).all()
            for row in rows:
                yield Record(row.seq, _entry(row.entry), row.previous, row.digest)
                after = row.seq
            if len(rows) < _PAGE:
                return


def _entry(text: str) -> Entry:
    # Past entries are read as they were written: the catalogue of today must not refuse what it once allowed.
    data = json.loads(text)
    entry = object.__new__(Entry)
    for name in ("kind", "at", "sandbox", "handoff", "actor", "data"):
        object.__setattr__(entry, name, data.get(name))
    return entry
