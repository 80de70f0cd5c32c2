"""Commands on their way: sent to the browser, not yet answered."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.cdp import Connection
from sandbox.gate.node import Node, Pending


class Flight:
    """What one client has in flight, by the pipe's ids. Whoever waits for it to be empty is told once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pending: dict[int, Pending] = {}
        self._when_empty: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, pipe_id: int, pending: Pending) -> None:
        """Keep a command that was just sent."""
        self._pending[pipe_id] = pending

    def landed(self, pipe_id: int) -> Pending | None:
        """Take out a command that was answered; None where it was given up before."""
        pending = self._pending.pop(pipe_id, None)
        self._tell()
        return pending

    def lose(self, node: Node) -> list[Pending]:
        """Take out everything sent on a CDP session that has ended: no answer comes."""
        lost = [pipe_id for pipe_id, pending in self._pending.items() if pending.node is node]
        for pipe_id in lost:
            self._connection.forget(pipe_id)
        taken = [self._pending.pop(pipe_id) for pipe_id in lost]
        self._tell()
        return taken

    def take_all(self) -> dict[int, Pending]:
        """Take out everything."""
        pending, self._pending = self._pending, {}
        self._tell()
        return pending

    def forget_all(self) -> None:
        """Take out everything, and drop the answers."""
        for pipe_id in self.take_all():
            self._connection.forget(pipe_id)

    def when_empty(self, then: Callable[[], None]) -> None:
        """Call `then` once nothing is in flight (at once, where nothing is)."""
        self._when_empty.append(then)
        self._tell()

    def _tell(self) -> None:
        if self._pending or not self._when_empty:
            return
        waiting, self._when_empty = self._when_empty, []
        for then in waiting:
            then()
