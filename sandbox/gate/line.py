"""Commands that wait in line: for control to come back, or for an answer about a handle that one of them names."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from sandbox.gate.wire import Command
from sandbox.words import Epoch, TooMany

_MOST: Final = 1000
_BYTES: Final = 4 * 1024 * 1024


class WhileHeld(StrEnum):
    """What becomes of a client's commands while the agent does not hold control."""

    REFUSE = "refuse"
    WAIT = "wait"


class Waiting(NamedTuple):
    """A command and the epoch it was received under."""

    command: Command
    epoch: Epoch


class Line:
    """First in, first out; at most 1,000 commands and 4 MiB."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, waiting: Waiting) -> None:
        """Let a command wait behind the others. Raises `TooMany`; then it does not."""
        if len(self._waiting) >= _MOST or self._bytes + waiting.command.size > _BYTES:
            raise TooMany(
                f"{len(self._waiting)} commands ({self._bytes} bytes) of this client wait for control to come back; "
                "wait for Baton.handoffCompleted before you send more"
            )
        self._waiting.append(waiting)
        self._bytes += waiting.command.size

    def take(self) -> Waiting:
        """Take out the first. Raises `IndexError` where nobody waits."""
        waiting = self._waiting.popleft()
        self._bytes -= waiting.command.size
        return waiting

    def empty(self) -> Iterator[Waiting]:
        """Take out all that wait now, in order; what is put meanwhile stays."""
        for _ in range(len(self._waiting)):
            yield self.take()
