"""The values of notifications, and when to try again: decided here, without I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from sandbox.words import HandoffId

BACKOFF_S: Final = (5.0, 20.0, 60.0, 300.0)
"""Seconds before the second, third, … try; the last one repeats."""


class DeliveryState(StrEnum):
    """Where one notification stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    MOOT = "moot"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification to one service about one handoff. `service` names the URL without giving it away."""

    id: str
    handoff: HandoffId
    service: str
    state: DeliveryState
    tries: int
    due_at: float
    error: str = ""


class DeliveryRecords(Protocol):
    """The outbox; the store implements it."""

    async def add(self, delivery: Delivery, *, again: bool = False) -> None:
        """Keep a new delivery; of the same handoff and service there is one, which begins anew with `again`."""
        ...

    async def pending(self) -> list[Delivery]:
        """Return what is still to be delivered, the earliest due first."""
        ...

    async def put(self, delivery: Delivery) -> None:
        """Keep a delivery's new state."""
        ...


def service_of(url: str) -> str:
    """Return a name for an Apprise URL that can be shown: its scheme and eight digits of its hash."""
    return f"{url.partition(':')[0]}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def after_failure(delivery: Delivery, now: float, error: str, tries: int) -> Delivery:
    """Return a delivery after a failed try: due again later, or failed for good after `tries` of them."""
    made = delivery.tries + 1
    if made >= tries:
        return replace(delivery, state=DeliveryState.FAILED, tries=made, error=error)
    wait = BACKOFF_S[min(made - 1, len(BACKOFF_S) - 1)]
    return replace(delivery, tries=made, due_at=now + wait, error=error)


def after_success(delivery: Delivery) -> Delivery:
    """Return a delivery that has arrived."""
    return replace(delivery, state=DeliveryState.DELIVERED, tries=delivery.tries + 1, error="")
