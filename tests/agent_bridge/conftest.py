"""Databases for tests: migrated once, copied for each."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_bridge.control.testing import World
from agent_bridge.store.database import NAME, Database


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that is up to date and empty."""
    home = tmp_path_factory.mktemp("migrated")

    async def make() -> None:
        await (await Database.open(home)).close()

    asyncio.run(make())
    return home / NAME


@pytest.fixture
async def database(tmp_path: Path, migrated: Path) -> AsyncIterator[Database]:
    """An open, empty database of this test's own."""
    shutil.copy(migrated, tmp_path / NAME)
    opened = Database(tmp_path / NAME)
    yield opened
    await opened.close()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    """An empty database and nothing else."""
    made = World(database)
    yield made
    for broker in made.brokers:
        await broker.stop()
