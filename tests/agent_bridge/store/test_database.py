"""The database file: migrated, private, one writer at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from agent_bridge.store.database import NAME, Batch, Database, StoreDown, migrate
from agent_bridge.store.tables import metadata


def test_migrations_make_the_tables(tmp_path: Path) -> None:
    """What the migrations make is what the tables say."""
    migrate(tmp_path / NAME)
    engine = create_engine(f"sqlite:///{tmp_path / NAME}")
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    engine.dispose()

    assert found == []


def test_the_file_is_private(tmp_path: Path) -> None:
    """Only its owner can read the database."""
    migrate(tmp_path / NAME)

    assert (tmp_path / NAME).stat().st_mode & 0o077 == 0


async def test_migrating_twice_at_once(tmp_path: Path) -> None:
    """Two processes that open a new database at the same moment both find it migrated."""
    await asyncio.gather(*(asyncio.to_thread(migrate, tmp_path / NAME) for _ in range(3)))


async def test_what_is_committed_is_there_and_the_rest_is_not(database: Database) -> None:
    """A transaction that raises leaves nothing behind."""
    insert = text("insert into keys values (:name, 'v', 1)")
    async with database.write() as connection:
        await connection.execute(insert, {"name": "kept"})

    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(insert, {"name": "lost"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    async with database.read() as connection:
        assert list(await connection.scalars(text("select name from keys"))) == ["kept"]


async def test_foreign_keys_hold(database: Database) -> None:
    """A handoff of a sandbox that control does not know is refused."""
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(text("insert into handoffs values ('h','s','asked',1,null,null,'{}')"))


async def test_a_locked_database_is_a_clear_error(tmp_path: Path, database: Database) -> None:
    """Another process that holds the write lock too long makes an error that says the database is locked."""
    async with database.write() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout=50")
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreDown, match="locked"):
        async with database.write():
            pass
    other.execute("ROLLBACK")
    other.close()

    async with database.write() as connection:
        await connection.execute(text("insert into keys values ('k', 'v', 1)"))


async def test_a_broken_file_is_a_clear_error(tmp_path: Path) -> None:
    """A file that is no database is named, not overwritten."""
    (tmp_path / NAME).write_bytes(b"this is not a database at all" * 100)

    with pytest.raises(StoreDown, match=r"baton\.db"):
        await Database.open(tmp_path)


async def test_writers_queue_and_readers_do_not_wait(database: Database) -> None:
    """Readers see the last commit while a writer is at work."""
    async with database.write() as writer:
        await writer.execute(text("insert into keys values ('k', 'v', 1)"))
        async with database.read() as reader:
            assert await reader.scalar(text("select count(*) from keys")) == 0


async def test_errors_do_not_repeat_values(database: Database) -> None:
    """What a statement was given stays out of its error, which is logged."""
    insert = text("insert into keys values (:name, :value, 1)")
    values = {"name": "twice", "value": b"what an operator wrote"}
    async with database.write() as connection:
        await connection.execute(insert, values)
        with pytest.raises(IntegrityError) as caught:
            await connection.execute(insert, values)
    assert "operator wrote" not in str(caught.value)


async def test_one_that_fails_fails_alone(database: Database) -> None:
    """Of many things written together the one that raises is left out, and everybody hears their own outcome."""
    insert = text("insert into keys (name, value, created_at) values (:name, 'x', 0)")

    def put(name: str) -> Callable[[Batch], str]:
        def work(batch: Batch) -> str:
            batch.connection.execute(insert, {"name": name})
            if name == "c":
                raise LookupError(name)
            return name

        return work

    def late(batch: Batch) -> None:
        batch.at_end(lambda _connection, rows: 1 / len(rows[1:]), [0])

    works = [database.together(put(name)) for name in "abcd"]
    outcomes = await asyncio.gather(*works, database.together(late), return_exceptions=True)

    assert [outcomes[0], outcomes[1], outcomes[3]] == ["a", "b", "d"]
    assert isinstance(outcomes[2], LookupError)
    assert isinstance(outcomes[4], ZeroDivisionError)
    async with database.read() as connection:
        assert list(await connection.scalars(text("select name from keys order by name"))) == ["a", "b", "d"]
