"""Which sandboxes nobody needs any more. Pure: who connects, who looks and what time it is are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.words import SandboxId


class Idleness:
    """Since when each sandbox has had no agent connected, nobody looking, and no human holding or awaited."""

    def __init__(self) -> None:
        self._since: dict[SandboxId, float] = {}
        self._agents: dict[SandboxId, int] = {}
        self._viewers: Counter[SandboxId] = Counter()

    def __repr__(self) -> str:
        return f"<Idleness [idle: {len(self._since)}]>"

    def agents(self, sandbox: SandboxId, count: int) -> None:
        """So many CDP clients are connected now."""
        self._agents[sandbox] = count

    @contextmanager
    def looked_at(self, sandbox: SandboxId) -> Iterator[None]:
        """Somebody looks at it while the block runs."""
        self._viewers[sandbox] += 1
        try:
            yield
        finally:
            self._viewers[sandbox] -= 1

    def forget(self, sandbox: SandboxId) -> None:
        """It has ended."""
        self._since.pop(sandbox, None)
        self._agents.pop(sandbox, None)
        self._viewers.pop(sandbox, None)

    def idle_for(self, sandbox: SandboxId, now: float, *, agent_has_control: bool) -> float:
        """Return for how long nobody has needed it, as far as was looked; `now` is monotonic.

        Where the agent has not got control a human holds it or is awaited, for minutes or days: then it is needed.
        """
        if not agent_has_control or self._agents.get(sandbox, 0) > 0 or self._viewers[sandbox] > 0:
            self._since.pop(sandbox, None)
            return 0.0
        return now - self._since.setdefault(sandbox, now)
