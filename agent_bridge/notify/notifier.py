"""The notifier: an outbox in the database and one task that empties it.

`announce` writes the outbox, so that nothing is lost when the server dies between a handoff and its notification;
`run` delivers what is due. Each try carries a fresh one-use link: a service may have delivered what it reported lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import apprise
import structlog

from agent_bridge.access.secrets import redact
from agent_bridge.journal.journal import Journal
from agent_bridge.notify.words import (
    Delivery,
    DeliveryRecords,
    DeliveryState,
    after_failure,
    after_success,
    service_of,
)
from sandbox.words import Clock, HandoffId, new_id

log = structlog.get_logger(__name__)

IDLE_S: Final = 30.0
TIMEOUT_S: Final = 60.0
LINE: Final = 200
OPEN: Final = frozenset({"asked", "waiting", "parked"})

type Wire = Mapping[str, Any]


class Sender(Protocol):
    """What sends one message to one URL; raises with a reason when it did not arrive."""

    def __call__(self, url: str, title: str, body: str) -> None:
        """Send, blocking; called on a thread."""


class NotSent(Exception):
    """A service did not take a message."""


def send_by_apprise(url: str, title: str, body: str) -> None:
    """Send one message by apprise. Raises `NotSent`."""
    one = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Baton", app_desc="Baton", app_url="", async_mode=False))
    if not one.add(url):
        raise NotSent("apprise does not know this kind of URL; see BATON_NOTIFY_URLS")
    if not one.notify(title=title, body=body):
        raise NotSent("the service did not take the message")


def compose(handoff: Wire, link: str) -> tuple[str, str]:
    """Return title and body of the message about a waiting handoff."""
    kind = str(handoff.get("kind", "unknown")).replace("_", " ")
    site = str(handoff.get("site") or "a page without an address")
    first = next(iter(str(handoff.get("instructions", "")).strip().splitlines()), "")
    line = first if len(first) <= LINE else first[: LINE - 1] + "…"
    return f"An agent needs a human: {kind} on {site}", f"{line}\n\n{link}\n\nThe link works once.".lstrip()


@dataclass(slots=True)
class Notifier:
    """Tells every configured service of every waiting handoff.

    `handoff_of` returns a handoff's wire form or None, `link_for` makes a one-use link to it, `on_try` is told whether
    each try arrived.
    """

    urls: Sequence[str] = field(repr=False)
    records: DeliveryRecords
    clock: Clock
    handoff_of: Callable[[HandoffId], Awaitable[Wire | None]]
    link_for: Callable[[Wire], Awaitable[str]]
    journal: Journal
    tries: int = 5
    send: Sender = send_by_apprise
    on_try: Callable[[bool], None] = lambda arrived: None  # noqa: ARG005 - names what it is told
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    async def announce(self, handoff: Wire, *, again: bool = False) -> None:
        """Put one delivery for each service into the outbox; once per handoff, however often it is called.

        With `again` what was delivered is delivered once more: the handoff has come back to the queue.
        """
        for url in self.urls:
            await self.records.add(
                Delivery(
                    new_id("dl"), HandoffId(handoff["id"]), service_of(url), DeliveryState.PENDING, 0, self.clock.now()
                ),
                again=again,
            )
        self._wake.set()

    async def run(self) -> None:
        """Deliver what is due until cancelled."""
        while True:
            self._wake.clear()
            try:
                wait = await self.deliver_due()
            except Exception as error:  # noqa: BLE001 - a broken outbox must not silence notifications for good
                log.error("the outbox cannot be read", problem=type(error).__name__)
                wait = IDLE_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), min(wait, IDLE_S))

    async def deliver_due(self) -> float:
        """Try everything that is due now, all services at once; returns the seconds until the next is due."""
        now = self.clock.now()
        due = [delivery for delivery in await self.records.pending() if delivery.due_at <= now]
        await asyncio.gather(*(self._deliver(delivery) for delivery in due))
        later = [delivery.due_at for delivery in await self.records.pending()]
        return max(0.05, min(later) - self.clock.now()) if later else IDLE_S

    async def _deliver(self, delivery: Delivery) -> None:
        url = next((url for url in self.urls if service_of(url) == delivery.service), None)
        handoff = await self.handoff_of(delivery.handoff)
        if url is None or handoff is None or handoff.get("state") not in OPEN:
            await self.records.put(replace(delivery, state=DeliveryState.MOOT))
            return
        try:
            title, body = compose(handoff, await self.link_for(handoff))
            await asyncio.wait_for(asyncio.to_thread(self.send, url, title, body), TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - a hundred services fail in a hundred ways; each is a failed try
            reason = redact(str(error)) if isinstance(error, NotSent) else type(error).__name__
            after = after_failure(delivery, self.clock.now(), reason, self.tries)
        else:
            after = after_success(delivery)
        await self.records.put(after)
        await self._report(after)

    async def _report(self, delivery: Delivery) -> None:
        arrived = delivery.state is DeliveryState.DELIVERED
        facts: dict[str, Any] = {
            "service": delivery.service, "tries": delivery.tries, "final": delivery.state is not DeliveryState.PENDING,
            "error": delivery.error,
        }  # fmt: skip
        name = "notify/delivered" if arrived else "notify/failed"
        log.info(name, handoff=delivery.handoff, **facts)
        self.on_try(arrived)
        await self.journal.append(name, handoff=delivery.handoff, **facts)
