"""The sandboxes of this server: opens them, finds them again after a restart, closes them, knows whose they are.

Control is the broker's and processes are the keepers'; this ties the two together and keeps the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection

from agent_bridge.access.secrets import CAPABILITY_PREFIX, digest, new_secret
from agent_bridge.access.service import Access, clean_name
from agent_bridge.access.words import Caller, TokenRefused
from agent_bridge.control.broker import Broker
from agent_bridge.control.desk import ApprovalDesk
from agent_bridge.control.errors import SandboxClosed
from agent_bridge.control.words import Change, Phase
from agent_bridge.store.sandboxes import SandboxRecord, SandboxStore
from agent_bridge.words import Role
from sandbox.blockers.policy import Policies
from sandbox.gate import WhileHeld
from sandbox.host.keepers import Keepers, SandboxSpec
from sandbox.host.link import KeeperLink
from sandbox.words import (
    NOBODY,
    BadRequest,
    BatonError,
    Clock,
    Gone,
    NotFound,
    SandboxId,
    TooMany,
    Unavailable,
    new_id,
)
from web.blockers import BlockerBoard, policies_of
from web.conditions import ConditionBoard
from web.idle import Idleness
from web.keepers import Requests
from web.metrics import Metrics
from web.settings import Settings

log = structlog.get_logger(__name__)

ADOPT_AGAIN_S: Final = 0.5

SERVER: Final = "server"
"""The owner of sandboxes that no token opened."""

LONGEST_LOOK_S: Final = 30.0
"""Idle sandboxes are looked for at least this often."""

type Wire = dict[str, Any]


class Sandboxes:
    """The registry. Call `adopt` once at start, after the broker's `recover`; `let_go` at the end."""

    def __init__(
        self, fleet: Keepers, broker: Broker, desk: ApprovalDesk, records: SandboxStore, access: Access,
        settings: Settings, clock: Clock, metrics: Metrics,
    ) -> None:  # fmt: skip
        self._fleet = fleet
        self._broker = broker
        self._desk = desk
        self._records = records
        self._access = access
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._opening = 0
        self._open: dict[SandboxId, SandboxRecord] = {}
        self._refused: dict[SandboxId, int] = {}
        self._listeners: list[Callable[[Wire], None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving = False
        self.board = BlockerBoard()
        self.conditions = ConditionBoard()
        self.idleness = Idleness()
        broker.subscribe(self._changed)
        broker.subscribe(self.conditions.changed)

    def __repr__(self) -> str:
        return f"<Sandboxes [open: {len(self._open)} | opening: {self._opening}]>"

    def subscribe(self, listener: Callable[[Wire], None]) -> Callable[[], None]:
        """Call `listener` with the wire form of each sandbox that opens or closes; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell(self, wire: Wire) -> None:
        for listener in list(self._listeners):
            listener(wire)

    # -- opening and closing -----------------------------------------------------------------------------------

    async def open(
        self,
        *,
        owner: str = SERVER,
        url: str | None = None,
        width: int | None = None,
        height: int | None = None,
        name: str | None = None,
        while_held: str | None = None,
        blockers: Mapping[str, str] | None = None,
        by_agent: bool = False,
    ) -> Wire:
        """Open a sandbox on `url`; returns its wire form, whose `cdp_url` carries the right to connect, this once.

        `blockers` are policies by kind; an agent (`by_agent`) cannot take back that the server asks for a human.
        Raises `TooMany` at the limit, `BadRequest` for a URL that is not http or https, `NotAllowed` for a policy,
        `Unavailable` when the browser does not start; then nothing is left.
        """
        if url is not None:
            check_url(url)
        policies = policies_of(self._settings.blockers, blockers, by_agent=by_agent)
        if len(self._open) + self._opening >= self._settings.max_sandboxes:
            raise TooMany(
                f"{self._settings.max_sandboxes} sandboxes are open already; close one, or raise BATON_MAX_SANDBOXES",
                limit=self._settings.max_sandboxes,
            )
        self._opening += 1
        try:
            # Whoever asked may hang up meanwhile; what was begun is finished, and is theirs to list or close.
            starting = self._start(owner, url, width, height, name, while_held, policies)
            return await asyncio.shield(asyncio.ensure_future(starting))
        finally:
            self._opening -= 1

    async def _start(
        self, owner: str, url: str | None, width: int | None, height: int | None, name: str | None,
        while_held: str | None, policies: Policies,
    ) -> Wire:  # fmt: skip
        sandbox = SandboxId(new_id("sb"))
        width, height = width or self._settings.width, height or self._settings.height
        shown = clean_name(name) if name else _name_for(url)
        link = await self._fleet.open(SandboxSpec(sandbox, width, height, url, policies.to_wire()))
        try:
            secret = new_secret(CAPABILITY_PREFIX)
            record = SandboxRecord(
                sandbox, shown, owner, self._clock.now(), width, height,
                str(link.hello.isolation["level"]) if link.hello else "",
                document={"capability": digest(secret), "while_held": while_held},
            )  # fmt: skip
            await self._records.add(record)
            self._wire_up(link)
            await self._broker.sandbox_opened(
                sandbox, name=shown, width=width, height=height, isolation=record.isolation, owner=owner
            )
        except BaseException:
            self._spawn(self._undo(sandbox))
            raise
        self._open[sandbox] = record
        self._spawn(self._watch(link))
        wire = await self.get(sandbox)
        self._tell(wire)
        return {**wire, "cdp_url": f"{wire['cdp_url']}?token={secret}"}

    async def _undo(self, sandbox: SandboxId) -> None:
        await self._broker.close(sandbox, "it did not start")
        await self._fleet.close(sandbox)
        await self._records.close(sandbox, self._clock.now(), "it did not start")

    async def adopt(self) -> None:
        """Find again what an earlier server left; what is gone is closed, its handoff failed with that reason."""
        waiting = set(await self._fleet.sweep())
        known = {record.id: record for record in await self._records.open_ones()}
        for stray in waiting - known.keys():
            log.warning("closing a sandbox that nobody knows", sandbox=stray)
            self._spawn(self._fleet.close(stray))
        self._open.update({sandbox: known[sandbox] for sandbox in known.keys() & waiting})
        # The server before died while it opened or closed these: control does not know them, or not any more.
        half = self._open.keys() - {view.sandbox for view in self._broker.views()}
        await asyncio.gather(*(self._end(sandbox, "the server died while it opened or closed it") for sandbox in half))
        await asyncio.gather(*(self._adopt(sandbox) for sandbox in list(self._open)))
        for sandbox in known.keys() - waiting:
            self._open[sandbox] = known[sandbox]
            await self._died(sandbox, "its keeper was gone when the server came back")

    async def _adopt(self, sandbox: SandboxId) -> None:
        """Link up with a keeper again, trying for as long as it would wait itself."""
        give_up = self._clock.monotonic() + self._settings.adoption_s
        while sandbox in self._open and not self._leaving:
            try:
                link = await self._fleet.adopt(sandbox)
            except Gone:
                await self._died(sandbox, "its keeper ended")
                return
            except BatonError as error:
                log.warning("a keeper cannot be adopted yet", sandbox=sandbox, reason=error.message)
                if self._clock.monotonic() > give_up:
                    await self._died(sandbox, "its keeper does not answer any more")
                    return
                await asyncio.sleep(ADOPT_AGAIN_S)
            else:
                self._wire_up(link)
                self._broker.sandbox_adopted(sandbox)
                self._spawn(self._learn_blockers(link))
                self._spawn(self._watch(link))
                return

    async def _learn_blockers(self, link: KeeperLink) -> None:
        with contextlib.suppress(BatonError):
            self.board.replace(link.sandbox, (await link.blockers())["pages"])

    def _wire_up(self, link: KeeperLink) -> None:
        sandbox = link.sandbox
        link.serve_requests(Requests(sandbox, self._broker, self._desk, self._clock).answer)
        link.on_event(lambda name, params: self._on_event(sandbox, name, params))

    def _on_event(self, sandbox: SandboxId, name: str, params: dict[str, Any]) -> None:
        match name:
            case "agent":
                refused = int(params.get("refused") or 0)
                self._metrics.refused.inc(max(0, refused - self._refused.get(sandbox, 0)))
                self._refused[sandbox] = refused
                self.idleness.agents(sandbox, int(params.get("clients") or 0))
            case "blockers":
                self.board.heard(sandbox, params)
            case "condition":
                self.conditions.heard(sandbox, params)
            case _:
                self._spawn(self._broker.keeper_event(sandbox, name, params))

    async def _watch(self, link: KeeperLink) -> None:
        await link.closed.wait()
        if link.sandbox in self._open and not self._leaving:
            await self._adopt(link.sandbox)

    async def _died(self, sandbox: SandboxId, reason: str) -> None:
        await self._broker.sandbox_gone(sandbox, reason)
        await self._end(sandbox, reason)

    async def close(self, sandbox: SandboxId, reason: str) -> None:
        """Close a sandbox: an open handoff ends, its browser and files are removed. Again changes nothing."""
        await self._broker.close(sandbox, reason)
        await self._end(sandbox, reason)
        await self._settled(sandbox)

    async def reap(self) -> None:
        """Close what nobody has needed for long, again and again, until cancelled; at once where nothing is to be."""
        limit = self._settings.idle_sandbox_s
        while limit:
            for view in self._broker.views():
                agents = view.phase is Phase.AGENT
                if self.idleness.idle_for(view.sandbox, self._clock.monotonic(), agent_has_control=agents) >= limit:
                    log.info("sandbox.idle", sandbox=view.sandbox)
                    await self.close(view.sandbox, f"nobody had used it for {limit:g} s")
            await asyncio.sleep(min(limit / 4, LONGEST_LOOK_S))

    async def close_all(self, reason: str) -> None:
        """Close every sandbox: the server stops on purpose."""
        await asyncio.gather(*(self.close(sandbox, reason) for sandbox in list(self._open)), return_exceptions=True)

    async def let_go(self) -> None:
        """Stop watching; what is being closed is closed first. Sandboxes stay, to be adopted by the next server."""
        self._leaving = True
        ending = [task for task in self._tasks if task.get_name().startswith("end-")]
        await asyncio.gather(*ending, return_exceptions=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str = "sandboxes") -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a sandbox's upkeep failed", task=task.get_name(), exc_info=error)

    def _changed(self, change: Change) -> None:
        phase = change.view.phase.value
        self._metrics.transitions.labels(phase).inc()
        if change.ended is not None and change.ended.result is not None:
            self._metrics.ended(change.ended)
        # Also reached when a browser dies: then there is a keeper, a directory and a row left to close.
        if change.view.phase is Phase.CLOSED and change.view.sandbox in self._open:
            sandbox = change.view.sandbox
            self._spawn(self._end(sandbox, "it ended by itself"), f"end-{sandbox}")

    async def _end(self, sandbox: SandboxId, reason: str) -> None:
        record = self._open.pop(sandbox, None)
        if record is None:
            return
        self._refused.pop(sandbox, None)
        self.board.forget(sandbox)
        self.idleness.forget(sandbox)
        try:
            await self._fleet.close(sandbox)
        except BatonError as error:
            log.error("a keeper could not be ended", sandbox=sandbox, reason=error.message)
        now = self._clock.now()
        await self._records.close(sandbox, now, reason)
        self._tell(self._wire(replace(record, closed_at=now), Phase.CLOSED.value, NOBODY.to_wire(), 0))

    async def _settled(self, sandbox: SandboxId) -> None:
        ending = [task for task in self._tasks if task.get_name() == f"end-{sandbox}"]
        await asyncio.gather(*ending, return_exceptions=True)

    # -- looking -----------------------------------------------------------------------------------------------

    async def get(self, sandbox: SandboxId) -> Wire:
        """Return a sandbox's wire form, closed ones too. Raises `NotFound`."""
        record = await self._record(sandbox)
        view = await self._broker.view(sandbox)
        return self._wire(record, view.phase.value, view.holder.to_wire(), view.epoch)

    async def list(self, *, owner: str | None = None) -> list[Wire]:
        """Return the open sandboxes, the oldest first; of one owner only, where one is given."""
        mine = [record for record in self._open.values() if owner is None or record.owner == owner]
        return [await self.get(record.id) for record in sorted(mine, key=lambda record: record.created_at)]

    async def owner(self, sandbox: SandboxId) -> str:
        """Return whose a sandbox is, closed ones too. Raises `NotFound`."""
        return (await self._record(sandbox)).owner

    async def _record(self, sandbox: SandboxId) -> SandboxRecord:
        record = self._open.get(sandbox) or await self._records.get(sandbox)
        if record is None:
            raise NotFound(f"there is no sandbox {sandbox[:40]}; list the open ones, or open one", sandbox=sandbox[:40])
        return record

    def _wire(self, record: SandboxRecord, state: str, holder: Wire, epoch: int) -> Wire:
        return {
            "id": record.id, "name": record.name, "state": state, "holder": holder, "epoch": epoch,
            "cdp_url": None if record.closed_at is not None else self.cdp_url(record.id),
            "created_at": record.created_at, "width": record.width, "height": record.height,
            "isolation": record.isolation,
        }  # fmt: skip

    def cdp_url(self, sandbox: SandboxId) -> str:
        """Return the WebSocket address of a sandbox's gate, without any right to connect."""
        return f"ws{self._settings.base_url().removeprefix('http')}/v1/sandboxes/{sandbox}/cdp"

    def keepers_alive(self) -> dict[SandboxId, bool]:
        """Return, for each open sandbox, whether its keeper answers."""
        return {sandbox: self._alive(sandbox) for sandbox in self._open}

    def _alive(self, sandbox: SandboxId) -> bool:
        try:
            return not self._fleet.link(sandbox).closed.is_set()
        except NotFound:
            return False

    # -- reaching into one -------------------------------------------------------------------------------------

    async def by_capability(self, sandbox: SandboxId, secret: str) -> Caller:
        """Return who may connect with the right from a `cdp_url`. Raises `TokenRefused`.

        It is good for that sandbox only, as long as it is open and the token that opened it is live.
        """
        record = self._open.get(sandbox)
        if record is None or not hmac.compare_digest(str(record.document.get("capability", "")), digest(secret)):
            raise TokenRefused("this cdp_url is good for another sandbox, or for one that has ended; open a new one")
        if record.owner == SERVER:
            return Caller(SERVER, Role.AGENT)
        return await self._access.by_id(record.owner)

    async def while_held(self, sandbox: SandboxId, asked: str | None) -> WhileHeld:
        """Return what becomes of a client's commands while the agent is stopped: as it asks, or its sandbox's default.

        Raises `NotFound`, `BadRequest`.
        """
        wanted = asked or (await self._record(sandbox)).document.get("while_held") or self._settings.while_held
        try:
            return WhileHeld(wanted)
        except ValueError as error:
            raise BadRequest("while_held is 'refuse' or 'wait'", field="while_held") from error

    async def dial(self, sandbox: SandboxId, path: str, query: Mapping[str, str]) -> ClientConnection:
        """Open a WebSocket to a sandbox's keeper. Raises `NotFound`, `SandboxClosed`, `Unavailable`."""
        return await (await self._link(sandbox)).connect(path, query)

    async def keeper(self, sandbox: SandboxId) -> KeeperLink:
        """Return the link to a sandbox's keeper. Raises `NotFound`, `SandboxClosed`, `Unavailable`."""
        return await self._link(sandbox)

    async def browser(self, sandbox: SandboxId) -> str:
        """Return the browser's name and version. Raises `NotFound`, `SandboxClosed`, `Unavailable`."""
        hello = (await self._link(sandbox)).hello
        return hello.browser if hello else "Chromium"

    async def blockers(self, sandbox: SandboxId) -> Wire:
        """Return what stops the agent now (`KeeperLink.blockers`). Raises as `dial` does."""
        return await (await self._link(sandbox)).blockers()

    async def ask_approval(self, sandbox: SandboxId, said: Wire) -> Wire:
        """Ask for the approval of one command on a page (`KeeperLink.ask_approval`). Raises as `dial` does."""
        return await (await self._link(sandbox)).ask_approval(said)

    async def thumbnail(self, sandbox: SandboxId, width: int) -> bytes:
        """Return a small masked picture. Raises `NotFound`, `SandboxClosed`, `Unavailable`."""
        return await (await self._link(sandbox)).thumbnail(width)

    async def _link(self, sandbox: SandboxId) -> KeeperLink:
        record = await self._record(sandbox)
        if record.id not in self._open:
            raise SandboxClosed(f"sandbox {record.id} has ended; open a new one", sandbox=record.id)
        try:
            return self._fleet.link(sandbox)
        except NotFound as error:
            raise Unavailable(
                "this sandbox's keeper does not answer at the moment; try again", sandbox=sandbox
            ) from error


def check_url(url: str) -> None:
    """Pass what a sandbox may be opened on. Raises `BadRequest`."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BadRequest("the url cannot be read", field="url") from error
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise BadRequest("a sandbox opens http and https addresses only", field="url")


def _name_for(url: str | None) -> str:
    host = urlsplit(url).hostname if url else None
    return clean_name(host) if host else "sandbox"
