"""The fence: the one place inside a keeper that knows who holds control, and under which epoch.

Everything that acts on the browser or the display asks the fence again at its last step, after every await on
the way: `fence.check_operator(...)` for human input, `fence.check_agent(...)` for commands of the agent.
Nothing caches its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.words import NOBODY, Conflict, Epoch, HeldByAnother, Holder, OperatorId, Side, StaleEpoch


@dataclass(frozen=True, slots=True)
class FenceStatistics:
    """How often the fence let something through, and how often it did not."""

    holder: Holder
    epoch: Epoch
    passed: int
    refused: int


class Fence:
    """Holder and epoch, as last pushed by the authority. Starts shut: nobody holds, epoch 0."""

    def __init__(self) -> None:
        self._holder = NOBODY
        self._severed = False
        self._epoch = Epoch(0)
        self._since = 0.0
        self._passed = 0
        self._refused = 0
        self._listeners: list[Callable[[Holder, Epoch], None]] = []

    def __repr__(self) -> str:
        return f"<Fence {self.holder} epoch={self._epoch} passed={self._passed} refused={self._refused}>"

    @property
    def holder(self) -> Holder:
        """Who may act now; nobody while the authority is gone."""
        return NOBODY if self._severed else self._holder

    @property
    def epoch(self) -> Epoch:
        """The epoch of that holder."""
        return self._epoch

    @property
    def since(self) -> float:
        """When that holder got control: seconds since 1970, as the authority said."""
        return self._since

    def push(self, holder: Holder, epoch: Epoch, since: float) -> None:
        """Take over what the authority decided.

        The same holder and epoch may be pushed again. Raises `StaleEpoch` when `epoch` would go back, and
        `Conflict` when the holder changes without a new epoch; then nothing changes.
        """
        if epoch < self._epoch:
            raise StaleEpoch(f"epoch {epoch} has passed; the sandbox is at {self._epoch}", epoch=self._epoch)
        if epoch == self._epoch and holder != self._holder and epoch != 0:
            raise Conflict(f"epoch {epoch} belongs to {self._holder}; a new holder needs a new epoch", epoch=epoch)
        self._holder, self._epoch, self._since, self._severed = holder, epoch, since, False
        self._tell()

    def shut(self) -> None:
        """Let nobody act until the next push (the authority is gone); the epoch and its owner are remembered."""
        self._severed = True
        self._tell()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener(self.holder, self._epoch)

    def listen(self, listener: Callable[[Holder, Epoch], None]) -> Callable[[], None]:
        """Call `listener` now and after every change; returns a function that ends it."""
        self._listeners.append(listener)
        listener(self.holder, self._epoch)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def check_operator(self, operator: OperatorId, epoch: Epoch) -> None:
        """Pass only the operator who holds control under exactly this epoch.

        Raises `StaleEpoch` or `HeldByAnother`; both are counted.
        """
        if epoch != self._epoch:
            self._refused += 1
            raise StaleEpoch(f"this input belongs to epoch {epoch}; the sandbox is at {self._epoch}", epoch=self._epoch)
        if self.holder.side is not Side.OPERATOR or self.holder.operator != operator:
            self._refused += 1
            raise HeldByAnother(f"{self.holder} has control, not you; take control first", holder=str(self.holder))
        self._passed += 1

    def check_agent(self, epoch: Epoch) -> None:
        """Pass only while the agent holds control under the epoch its command was admitted with.

        Raises `StaleEpoch` or `HeldByAnother`; both are counted.
        """
        if self.holder.side is not Side.AGENT:
            self._refused += 1
            raise HeldByAnother(
                f"{self.holder} has control of this sandbox; wait for the handoff's result, then look again",
                holder=str(self.holder), since=self._since,
            )  # fmt: skip
        if epoch != self._epoch:
            self._refused += 1
            raise StaleEpoch("control changed hands after this was sent; look again, then decide", epoch=self._epoch)
        self._passed += 1

    def check_epoch(self, epoch: Epoch) -> None:
        """Pass only what was decided under exactly this epoch, whoever holds control. Raises `StaleEpoch`, counted."""
        if epoch != self._epoch:
            self._refused += 1
            raise StaleEpoch(
                f"this was decided under epoch {epoch}; the sandbox is at {self._epoch}. Look again, then decide",
                epoch=self._epoch,
            )

    def statistics(self) -> FenceStatistics:
        """Return a frozen copy of the counters."""
        return FenceStatistics(self.holder, self._epoch, self._passed, self._refused)
