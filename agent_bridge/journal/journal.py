"""The journal as others use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent_bridge.journal.chain import Verdict, Walk
from agent_bridge.journal.words import Entry, Record
from sandbox.words import Clock, HandoffId, SandboxId


class JournalStore(Protocol):
    """Where the chain is kept; it hands out the places in it, one writer at a time."""

    async def append(self, entries: Sequence[Entry]) -> list[Record]:
        """Chain and keep entries, all or none."""
        ...

    def records(self, after: int = 0) -> AsyncIterator[Record]:
        """Yield the records after `after`, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Journal:
    """Append to it, read it, verify it. There is no way to change it."""

    store: JournalStore
    clock: Clock

    async def append(
        self,
        kind: str,
        *,
        sandbox: SandboxId | None = None,
        handoff: HandoffId | None = None,
        actor: str = "server",
        **data: Any,
    ) -> Record:
        """Write one entry. Raises `UnknownKind` or `ForbiddenData` for what the catalogue does not list."""
        [record] = await self.store.append([Entry(kind, self.clock.now(), sandbox, handoff, actor, data)])
        return record

    def records(self, after: int = 0) -> AsyncIterator[Record]:
        """Yield the records after `after`, oldest first."""
        return self.store.records(after)

    async def verify(self) -> Verdict:
        """Walk along the whole chain and say whether it is intact."""
        walk = Walk()
        async for record in self.store.records():
            if not walk.see(record):
                break
        return walk.verdict()
