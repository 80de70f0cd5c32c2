"""The database: one writer at a time, any number of readers, migrated when it is opened.

Whoever writes one thing at a time uses `write`. What is written often goes through `together`: all that waits is
committed at once, in one thread, which takes a fifth of the time (group commit), and nobody is answered before that.

WAL with synchronous NORMAL: what is committed survives the death of any process. Only a power cut can take the last
commits, and it takes the sandboxes with it. SQLite's own waiting for locks is a polling sleep, so writers of this
process queue on an asyncio lock instead, and one connection is theirs; other processes (`baton token create`) are
waited for by the busy timeout.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sandbox.words import Unavailable

NAME: Final = "baton.db"
BUSY_MS: Final = 5000
READERS: Final = 4
_AT_ONCE: Final = 200

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
        file = _File(path)
        self._writer = _engine(file, "BEGIN IMMEDIATE", 1)
        self._readers = _engine(file, "BEGIN", READERS)
        self._group = _Group(file)
        self._waiting: list[_Work] = []
        self._committing: asyncio.Task[None] | None = None

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

    async def together[T](self, work: Callable[[Batch], T]) -> T:
        """Run `work` in a transaction that others may share; returns what it returned once that is committed.

        `work` runs in another thread and may run twice: it must do nothing but use the batch. When it, or what it left
        for the end, raises, nothing of it is kept, and all of the others'. Raises that, and `StoreDown`.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Work(work, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        result: T = await future
        return result

    async def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                async with self._lock:
                    batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
                    # Whoever gave up before it began must not find it written later.
                    batch = [work for work in batch if not work.future.done()]
                    outcomes = await loop.run_in_executor(self._group.thread, self._group.commit, batch)
                for work, outcome in zip(batch, outcomes, strict=True):
                    work.answer(outcome)
        finally:
            self._committing = None
            for work in self._waiting:
                work.answer(StoreDown("the database is being closed; nothing was changed", reason="closing"))
            self._waiting.clear()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection that sees one state of the database. Raises `StoreDown`."""
        try:
            async with self._readers.connect() as connection:
                yield connection
        except (OperationalError, PoolTimeout) as error:
            raise _down(self.path, error) from error

    async def close(self) -> None:
        """Close every connection, once what waits is written."""
        if self._committing is not None:
            await asyncio.wait([self._committing])
        await asyncio.get_running_loop().run_in_executor(self._group.thread, self._group.close)
        self._group.thread.shutdown()
        await self._writer.dispose()
        await self._readers.dispose()


class Batch:
    """What several writers write in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._at_end: dict[Callable[[Connection, list[Any]], object], list[Any]] = {}

    def at_end[T](self, write: Callable[[Connection, list[T]], object], rows: Sequence[T]) -> None:
        """Call `write` once with everybody's rows, in the order they came; writes in the order they were first named.

        A statement for many rows costs little more than one for one.
        """
        self._at_end.setdefault(write, []).extend(rows)

    def finish(self) -> None:
        """Write what was left for the end."""
        for write, rows in self._at_end.items():
            if rows:
                write(self.connection, rows)


@dataclass(frozen=True, slots=True)
class _Work:
    """Something to write, and who waits for it."""

    run: Callable[[Batch], Any]
    future: asyncio.Future[Any]

    def answer(self, outcome: Any) -> None:
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class _Group:
    """Commits works in a thread of its own, on a connection of its own."""

    def __init__(self, file: _File) -> None:
        self.thread = ThreadPoolExecutor(1, "store")
        self._path = file.path
        self._engine = create_engine(file.url("sqlite"), pool_size=1, max_overflow=0, hide_parameters=True)
        _prepare(self._engine, "BEGIN IMMEDIATE", file)

    def commit(self, batch: Sequence[_Work]) -> list[Any]:
        """Return what each work returned or raised. One that fails is left out, and the others are run again.

        A database that cannot be written fails them all at once: each of them would wait for it as long.
        """
        try:
            with self._engine.begin() as connection:
                shared = Batch(connection)
                outcomes = [work.run(shared) for work in batch]
                shared.finish()
                return outcomes
        except IntegrityError as error:
            if len(batch) == 1:
                return [error]
        except StoreDown as error:
            return [error] * len(batch)
        except (DatabaseError, PoolTimeout) as error:
            return [_down(self._path, error)] * len(batch)
        except Exception as error:  # noqa: BLE001 - it is handed to whoever wanted it written
            if len(batch) == 1:
                return [error]
        return [outcome for work in batch for outcome in self.commit([work])]

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


def _down(path: Path, error: Exception) -> StoreDown:
    why = str(getattr(error, "orig", None) or error)
    return StoreDown(f"the database {path.name} cannot be used ({why}); nothing was changed", reason=why)


class _File:
    """The file that was opened. An open connection would go on writing into one that is no longer there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened = self._now()

    def _now(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def url(self, driver: str) -> URL:
        """Return an address that never makes an empty database where there is none."""
        return URL.create(driver, database=f"file:{quote(str(self.path))}", query={"mode": "rw", "uri": "true"})

    def check(self) -> None:
        """Raise `StoreDown` where the path no longer leads to the file that was opened."""
        if (now := self._now()) != self._opened:
            why = "its file is gone" if now is None else "its file was replaced while it was open"
            raise StoreDown(
                f"the database {self.path.name} cannot be used ({why}); put it back, or start Baton again on what is "
                "there; nothing was changed",
                reason=why,
            )


def _engine(file: _File, begin: str, connections: int) -> AsyncEngine:
    # Values stay out of errors, which are logged.
    engine = create_async_engine(
        file.url("sqlite+aiosqlite"), pool_size=connections, max_overflow=0, pool_timeout=30, hide_parameters=True
    )

    _prepare(engine.sync_engine, begin, file)
    return engine


def _prepare(engine: Engine, begin: str, file: _File) -> None:
    # sqlite3 would begin transactions by itself, and late; SQLAlchemy begins them here, and says how.
    @event.listens_for(engine, "connect")
    def connect(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        file.check()
        connection.exec_driver_sql(begin)


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
