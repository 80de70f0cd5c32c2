"""The database: one writer at a time, any number of readers, migrated when it is opened.

WAL with synchronous NORMAL: what is committed survives the death of any process. Only a power cut can take the last
commits, and it takes the sandboxes with it. SQLite's own waiting for locks is a polling sleep, so writers of this
process queue on an asyncio lock instead, and one connection is theirs; other processes (`baton token create`) are
waited for by the busy timeout.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sandbox.words import Unavailable

NAME: Final = "baton.db"
BUSY_MS: Final = 5000
READERS: Final = 4

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON", f"PRAGMA busy_timeout={BUSY_MS}",
)  # fmt: skip


class StoreDown(Unavailable):
    """The database cannot be read or written: locked, full, gone or broken."""


class Database:
    """An open database. Make it with `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = asyncio.Lock()
        self._writer = _engine(path, "BEGIN IMMEDIATE", 1)
        self._readers = _engine(path, "BEGIN", READERS)

    def __repr__(self) -> str:
        return f"<Database {self.path}{' [writing]' if self._lock.locked() else ''}>"

    @classmethod
    async def open(cls, state_dir: Path) -> Database:
        """Open `baton.db` in a state directory, made and migrated as needed. Raises `StoreDown`."""
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = state_dir / NAME
        try:
            await asyncio.to_thread(migrate, path)
        except (DatabaseError, OSError) as error:
            raise _down(path, error) from error
        return cls(path)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a transaction: committed at the end, rolled back on an error. Raises `StoreDown`."""
        async with self._lock:
            try:
                async with self._writer.begin() as connection:
                    yield connection
            except (OperationalError, PoolTimeout) as error:
                raise _down(self.path, error) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection that sees one state of the database. Raises `StoreDown`."""
        try:
            async with self._readers.connect() as connection:
                yield connection
        except (OperationalError, PoolTimeout) as error:
            raise _down(self.path, error) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._readers.dispose()


def _down(path: Path, error: Exception) -> StoreDown:
    why = str(getattr(error, "orig", None) or error)
    return StoreDown(f"the database {path.name} cannot be used ({why}); nothing was changed", reason=why)


def _engine(path: Path, begin: str, connections: int) -> AsyncEngine:
    # Values stay out of errors, which are logged.
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", pool_size=connections, max_overflow=0, pool_timeout=30, hide_parameters=True
    )

    # sqlite3 would begin transactions by itself, and late; SQLAlchemy begins them here, and says how.
    @event.listens_for(engine.sync_engine, "connect")
    def connect(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def migrate(path: Path, revision: str = "head") -> None:
    """Bring the database at `path` to a revision; two processes at once wait for each other."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    guard = os.open(path.with_suffix(".migrate"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        engine = create_engine(f"sqlite:///{path}", hide_parameters=True)
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=5000")
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        engine.dispose()
    finally:
        os.close(guard)
