"""The chain, and what may be written in it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from agent_bridge.control.testing import FakeClock
from agent_bridge.journal.journal import Journal
from agent_bridge.journal.words import CATALOGUE, Entry, ForbiddenData, UnknownKind
from agent_bridge.store.database import Database
from agent_bridge.store.journal import SqlJournalStore
from sandbox.words import HandoffId, SandboxId


@pytest.fixture
def journal(database: Database) -> Journal:
    """An empty journal."""
    return Journal(SqlJournalStore(database), FakeClock())


async def fill(journal: Journal, count: int = 5) -> None:
    """Write a few entries."""
    for number in range(count):
        await journal.append(
            "handoff/ended",
            sandbox=SandboxId("sb_1"),
            handoff=HandoffId(f"ho_{number}"),
            outcome="resolved",
        )


async def test_an_untouched_chain_is_intact(journal: Journal) -> None:
    """What was written is read back in order, and verifies."""
    await fill(journal)
    verdict = await journal.verify()

    assert (verdict.intact, verdict.records) == (True, 5)
    assert [record.seq async for record in journal.records(after=3)] == [4, 5]


async def test_an_empty_journal_is_intact(journal: Journal) -> None:
    """There is nothing wrong with nothing."""
    assert (await journal.verify()).intact


@pytest.mark.parametrize(
    ("tampering", "at"),
    [
        ("update journal set entry = replace(entry, 'resolved', 'declined') where seq = 3", 3),
        ("update journal set digest = printf('%064d', 7) where seq = 2", 2),
        ("delete from journal where seq = 2", 2),
        ("delete from journal where seq = 1", 1),
        ("update journal set previous = printf('%064d', 7) where seq = 4", 4),
    ],
)
async def test_tampering_is_found(journal: Journal, database: Database, tampering: str, at: int) -> None:
    """A record that was changed, exchanged or cut out is found, and the first such place is named."""
    await fill(journal)
    async with database.write() as connection:
        await connection.execute(text(tampering))
    verdict = await journal.verify()

    assert not verdict.intact
    assert verdict.broken_at == at
    assert verdict.why


async def test_many_writers_make_one_chain(journal: Journal) -> None:
    """Entries written at the same moment are chained one after another."""
    await asyncio.gather(*(fill(journal, 5) for _ in range(6)))
    verdict = await journal.verify()

    assert (verdict.intact, verdict.records) == (True, 30)


@pytest.mark.parametrize(
    ("kind", "data", "error"),
    [
        ("handoff/typed", {}, UnknownKind),
        ("handoff/ended", {"password": "x"}, ForbiddenData),
        ("handoff/ended", {"outcome": object()}, ForbiddenData),
        ("handoff/ended", {"outcome": float("nan")}, ForbiddenData),
        ("control/returned", {"notes": [{"deep": b"bytes"}]}, ForbiddenData),
    ],
)
def test_what_the_catalogue_does_not_list_is_refused(kind: str, data: dict[str, Any], error: type[Exception]) -> None:
    """Unknown kinds, unlisted keys and values that are not JSON never reach the chain."""
    with pytest.raises(error):
        Entry(kind, 1.0, data=data)


async def test_a_record_has_a_bound(journal: Journal) -> None:
    """An entry too long for the chain is refused, and nothing is written."""
    with pytest.raises(ForbiddenData, match="at most"):
        await journal.append("sandbox/closed", reason="x" * 40_000)

    assert (await journal.verify()).records == 0


def test_names_are_domain_and_verb() -> None:
    """Every kind is `domain/verb`, and no kind may say a secret."""
    for kind, keys in CATALOGUE.items():
        domain, _, verb = kind.partition("/")
        assert domain.replace("_", "").isalpha()
        assert verb.replace("_", "").isalpha()
        assert not keys & {"token", "secret", "password", "text", "value", "cookie", "hash", "link"}
