"""What is kept about each sandbox beside its control: whose it is, what it is called, how it was opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sandbox.words import SandboxId


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """One sandbox. `owner` is the id of the token that opened it, or `server`.

    `capability` is the hash of the right that its `cdp_url` carries.
    """

    id: SandboxId
    name: str
    owner: str
    created_at: float
    width: int
    height: int
    isolation: str = ""
    capability: str = field(default="", repr=False)
    closed_at: float | None = None


class SandboxRecords(Protocol):
    """Where sandboxes are kept; the store implements it."""

    async def put_sandbox(self, record: SandboxRecord) -> None:
        """Keep a sandbox, over what was kept of it before."""
        ...

    async def sandbox(self, sandbox: SandboxId) -> SandboxRecord | None:
        """Return a sandbox, closed ones too, or None."""
        ...

    async def open_sandboxes(self) -> list[SandboxRecord]:
        """Return the sandboxes that are not closed, the oldest first."""
        ...

    async def close_sandbox(self, sandbox: SandboxId, at: float) -> bool:
        """Mark a sandbox closed; False when there is none or it was."""
        ...
