"""What the routes call: one value that holds every service of the server, and how they are put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import text

from agent_bridge.access.limit import FailureLimit
from agent_bridge.access.service import Access
from agent_bridge.control.broker import Broker
from agent_bridge.control.desk import ApprovalDesk
from agent_bridge.control.words import ControlSettings
from agent_bridge.journal.journal import Journal
from agent_bridge.notify.notifier import Notifier
from agent_bridge.store.access import AccessStore
from agent_bridge.store.approvals import SqlApprovalStore
from agent_bridge.store.control import SqlControlStore
from agent_bridge.store.database import Database
from agent_bridge.store.deliveries import DeliveryStore
from agent_bridge.store.images import FileImages
from agent_bridge.store.journal import SqlJournalStore
from agent_bridge.store.keys import KeyStore
from agent_bridge.store.sandboxes import SandboxStore
from sandbox.host.keepers import Keepers
from sandbox.words import BatonError, Clock, HandoffId, NotFound, SandboxId
from streaming.rtc.edge import Datagrams
from web.keepers import ControlLinks
from web.metrics import Metrics
from web.sandboxes import Sandboxes
from web.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Services:
    """Every service of one server. `start` before the first request, `stop` after the last."""

    settings: Settings
    clock: Clock
    database: Database
    keepers: Keepers
    journal: Journal
    access: Access
    images: FileImages
    notifier: Notifier
    broker: Broker
    desk: ApprovalDesk
    sandboxes: Sandboxes
    failures: FailureLimit
    metrics: Metrics
    datagrams: Datagrams | None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list, repr=False)

    async def start(self) -> None:
        """Take over what an earlier server left, then keep time and deliver notifications."""
        await self.broker.recover()
        await self.desk.recover()
        await self.sandboxes.adopt()
        self._tasks = [
            asyncio.create_task(self.broker.run(), name="broker"),
            asyncio.create_task(self.desk.run(), name="approvals"),
            asyncio.create_task(self.notifier.run(), name="notifier"),
            asyncio.create_task(self.sandboxes.reap(), name="idle sandboxes"),
        ]

    async def stop(self, *, close_sandboxes: bool = False, reason: str = "the server stopped") -> None:
        """Let go of everything. Sandboxes wait to be adopted, or are closed where that is asked for."""
        if close_sandboxes:
            await self.sandboxes.close_all(reason)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sandboxes.let_go()
        if self.datagrams is not None:
            self.datagrams.close()
        await self.desk.stop()
        await self.broker.stop()
        await self.keepers.detach()

    async def database_answers(self) -> bool:
        """Whether the database can be read now."""
        try:
            async with self.database.read() as connection:
                await connection.execute(text("SELECT 1"))
        except BatonError:
            return False
        return True


def access_of(settings: Settings, clock: Clock, database: Database) -> Access:
    """Return the judge of callers over a database; enough for commands that make tokens and links."""
    journal = Journal(SqlJournalStore(database), clock)
    return Access(
        AccessStore(database), journal, clock, settings.base_url, link_s=settings.link_s, sign_in_s=settings.sign_in_s
    )


def control_settings(settings: Settings) -> ControlSettings:
    """Return the durations and bounds of control that these settings ask for."""
    return ControlSettings(
        lease_s=settings.lease_s, heartbeat_s=settings.heartbeat_s, grace_s=settings.grace_s, idle_s=settings.idle_s,
        idle_warning_s=settings.idle_warning_s, ceiling_s=settings.ceiling_s, extension_s=settings.extension_s,
        drain_s=settings.drain_s,
        deadline_s=settings.deadline_s, max_deadline_s=settings.max_deadline_s,
        approval_s=settings.approval_s, max_instructions=settings.max_instructions,
    )  # fmt: skip


def compose(settings: Settings, clock: Clock, database: Database, keepers: Keepers) -> Services:
    """Put the services of a server together; nothing runs yet."""
    metrics = Metrics()
    access = access_of(settings, clock, database)
    journal = access.journal
    images = FileImages(settings.state_dir)

    async def handoff_of(handoff: HandoffId) -> Mapping[str, Any] | None:
        try:
            return (await broker.get(handoff)).to_wire(clock.now())
        except NotFound:
            return None

    async def link_for(handoff: Mapping[str, Any]) -> str:
        _, url = await access.create_link(
            sandbox=SandboxId(handoff["sandbox"]), handoff=HandoffId(handoff["id"]), expires_s=settings.link_s
        )
        return url

    notifier = Notifier(
        settings.notify_urls, DeliveryStore(database), clock, handoff_of, link_for, journal,
        tries=settings.notify_tries,
        on_try=lambda arrived: metrics.notifications.labels("delivered" if arrived else "failed").inc(),
    )  # fmt: skip
    broker = Broker(
        SqlControlStore(database), ControlLinks(keepers), journal, notifier, clock, control_settings(settings),
        images=images,
    )  # fmt: skip

    async def tell(sandbox: SandboxId, approval: str, wire: dict[str, Any]) -> None:
        await keepers.link(sandbox).approval_decided(approval, wire)

    desk = ApprovalDesk(
        SqlApprovalStore(database), broker, tell, lambda: KeyStore(database, clock).key("approvals"), clock,
        broker.settings,
    )  # fmt: skip
    broker.subscribe(desk.changed)
    sandboxes = Sandboxes(keepers, broker, desk, SandboxStore(database), access, settings, clock, metrics)
    failures = FailureLimit(clock, settings.failures_per_minute)
    return Services(
        settings, clock, database, keepers, journal, access, images, notifier, broker, desk, sandboxes, failures,
        metrics, Datagrams(datagrams) if (datagrams := settings.datagrams()) else None,
    )  # fmt: skip
