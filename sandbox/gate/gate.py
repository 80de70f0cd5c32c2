"""The gate: the only way of an agent to its browser, and the switch that stops it.

While it is shut no command reaches the browser and nothing flows to the clients. What they left armed is suspended;
at the return it is armed again, and each client is told what changed, so that its pages go on working.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.authority import Authority
from sandbox.cdp import CdpError, Connection
from sandbox.fence import Fence
from sandbox.gate.asks import Asks, Offered, control_wire
from sandbox.gate.client import Client
from sandbox.gate.line import WhileHeld
from sandbox.gate.node import Node, Unknown
from sandbox.gate.rebuild import Told
from sandbox.gate.shared import GateStatistics, Shared
from sandbox.gate.socket import Socket
from sandbox.pages import Page, Pages, bare_url
from sandbox.words import Clock, Conflict, Epoch, Gone, HandoffId, Holder, SandboxId, Side

_SETTLE_S = 1.0
"""How long to wait for the browser's answers to our own commands: a page with an open dialog answers none until it is
closed, but does them in order before anything that comes later."""

type Call = tuple[str, str, dict[str, Any]]


class Stale(NamedTuple):
    """What of the agent's knowledge of its pages is stale after a human had control."""

    handles: int
    """Element handles it held in documents that are gone. Those whose element left a document that stayed are
    refused when they are used."""
    documents: tuple[tuple[str, str], ...]
    """(target, address without query and fragment) of each page whose document is gone."""
    all: bool
    """No page has the document it had."""

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form: `{"handles", "documents": [{"target", "url"}], "all"}`."""
        documents = [{"target": target, "url": url} for target, url in self.documents]
        return {"handles": self.handles, "documents": documents, "all": self.all}


class Opened(NamedTuple):
    """What the agent is told when it has control back."""

    notes: tuple[str, ...]
    stale: Stale


_NOTHING_STALE = Stale(0, (), all=False)


class Gate:
    """One sandbox's gate. Create, `start` once; it is shut until the first `open`."""

    def __init__(
        self, connection: Connection, pages: Pages, fence: Fence, authority: Authority, *, sandbox: SandboxId,
        downloads: Path, uploads: Path, clock: Clock,
    ) -> None:  # fmt: skip
        self._shared = Shared(connection, pages, fence, authority, sandbox, downloads, uploads, clock)
        self._clients: list[Client] = []
        self._asks = Asks(self._shared)
        self._turning = asyncio.Lock()
        self._suspended = False
        self._last: tuple[Epoch, tuple[Unknown, ...]] = (Epoch(-1), ())
        self._before: dict[str, str] = {}
        self._navigated: set[str] = set()
        self._told = Epoch(-1)

    def __repr__(self) -> str:
        s = self.statistics()
        state = "open" if self._shared.flowing else "shut"
        return f"<Gate {state} [clients: {s.clients} | admitted: {s.admitted} | refused: {s.refused}]>"

    async def start(self) -> None:
        """Begin to follow the fence: the moment the agent loses control, nothing passes any more."""
        self._shared.fence.listen(self._on_fence)
        self._shared.pages.on_event(self._on_page)

    @property
    def shared(self) -> Shared:
        """What other parts of the sandbox may hook into: `on_command`, `page_state`."""
        return self._shared

    async def serve(self, socket: Socket, client: str, while_held: WhileHeld = WhileHeld.REFUSE) -> None:
        """Serve one CDP client until it goes; then its CDP sessions are detached. Raises `Gone`, `CdpError`."""
        connection = self._shared.connection
        root = (await connection.call("Target.attachToBrowserTarget"))["sessionId"]
        served = Client(self._shared, client, socket, root, self._asks.handle, while_held)
        self._clients.append(served)
        try:
            await socket.feed(served.receive)
        finally:
            self._clients.remove(served)
            served.end()
            with contextlib.suppress(CdpError, Gone, TimeoutError):
                await connection.call("Target.detachFromTarget", {"sessionId": root})
            await served.outbox.end()

    async def close(self, drain_s: float) -> tuple[Unknown, ...]:
        """Shut the gate for whoever the fence was just given to; returns what nobody knows the outcome of.

        Commands in flight get `drain_s` seconds; then their clients are told *outcome unknown* and real replies are
        dropped. When this returns, nothing of the agent is armed any more. Doing it again changes nothing.
        Raises `Conflict` while the fence still has the agent as holder.
        """
        if self._shared.fence.holder.side is Side.AGENT:
            raise Conflict("the agent still holds control; push the new holder to the fence first")
        async with self._turning:
            epoch = self._shared.fence.epoch
            if self._suspended:
                return self._last[1] if self._last[0] == epoch else ()
            self._freeze()
            for client in self._clients:
                for node in client.sessions.all:
                    client.let_go(node)
            await self._drain(drain_s)
            unknown = tuple(u for client in self._clients for u in client.cut())
            self._shared.draining = False
            self._shared.unknown += len(unknown)
            await self._suspend()
            await self._flush()
            self._last = (epoch, unknown)
            return unknown

    async def open(self, push: Callable[[], None]) -> Opened:
        """Give the browser back to the agent.

        `push` makes the agent the fence's holder; it is called after everything is armed again and before anything
        is admitted. Returns what the agent should know. Where `push` raises, the gate stays shut and the error goes on.
        """
        async with self._turning:
            if self._shared.opened:
                push()
                return Opened((), _NOTHING_STALE)
            self._freeze()
            await self._restore()
            notes = self._notes()
            infos = await self._infos()
            for _ in range(3):
                # What clients had sent by now is received, and refused, before the agent holds control.
                await asyncio.sleep(0)
            try:
                push()
            except BaseException:
                await self._suspend()
                raise
            # No await below: nothing may come between the new holder, the rebuilt state and the first command.
            self._suspended, self._shared.opened, self._shared.draining = False, True, False
            at = self._shared.clock.monotonic()
            navigated, self._navigated = self._navigated, set()
            handles = sum(client.turn.thaw(infos, at, navigated) for client in self._clients)
            stale = self._stale(handles, navigated)
            self._tell_control()
            for client in self._clients:
                client.go_on()
        # Who is told of the return by another way should not come before what is told here.
        await asyncio.gather(*(client.outbox.emptied(_SETTLE_S) for client in self._clients))
        return Opened(notes, stale)

    async def completed(self, handoff: HandoffId, result: dict[str, Any]) -> None:
        """Tell the client that asked for this handoff, on the CDP session where it did, if it is still there."""
        self._asks.completed(self._clients, handoff, result)

    async def ask_approval(self, target: str, said: dict[str, Any]) -> dict[str, Any]:
        """Ask for approval of one command on a page, as `Baton.requestApproval` does; returns the approval's wire form.

        Raises `NotFound` for an unknown page, and what `Approvals.ask` raises.
        """
        return await self._asks.ask_approval(target, said)

    def approval_decided(self, approval: str, wire: dict[str, Any]) -> None:
        """Emit `Baton.approvalDecided` on the CDP session that asked for an approval, if its client is still there."""
        self._asks.decided(self._clients, approval, wire)

    def offer(self, method: str, handler: Offered) -> None:
        """Let another part of the sandbox answer a method of the domain `Baton`, whoever holds control."""
        self._asks.offer(method, handler)

    def statistics(self) -> GateStatistics:
        """Return a frozen copy of the counters."""
        s = self._shared
        return GateStatistics(len(self._clients), s.admitted, s.refused, s.dropped, s.unknown)

    def agent_code_present(self, target: str) -> bool:
        """Whether the agent ran or left code in the page's present document, in whatever world.

        Code in an isolated world sees key presses and fields as well as code in the page's own, so both count.
        """
        return target in self._shared.planted

    # --- the fence and the pages ---------------------------------------------------------------------------------

    def _on_fence(self, holder: Holder, _epoch: Epoch) -> None:
        if holder.side is Side.AGENT:
            return  # it is told behind the pages' new state
        self._freeze()
        if holder.side is Side.OPERATOR:
            self._shared.draining = False
        self._tell_control()

    def _tell_control(self) -> None:
        fence = self._shared.fence
        if fence.epoch != self._told:
            self._told = fence.epoch
            self.announce("Baton.controlChanged", control_wire(fence))

    def announce(self, method: str, params: dict[str, Any], target: str | None = None) -> None:
        """Emit an event of Baton's to every CDP session that sent `Baton.enable`, whoever holds control.

        With `target`, only to sessions on that page and to those on the browser.
        """
        for client in self._clients:
            for session in client.told_of:
                node = client.sessions.find(session)
                if node is not None and (target is None or client.page_of(node) in {None, target}):
                    client.answers.emit(Told(session, method, params))

    def _freeze(self) -> None:
        if self._shared.opened:
            self._shared.opened, self._shared.draining = False, True
            self._before = {page.target: bare_url(page.url) for page in self._shared.pages.all}
            self._navigated = set()
        for client in self._clients:
            client.freeze()

    def _stale(self, handles: int, navigated: set[str]) -> Stale:
        still = {page.target for page in self._shared.pages.all} - navigated
        gone = tuple((target, url) for target, url in self._before.items() if target not in still)
        return Stale(handles, gone, all=bool(gone) and len(gone) == len(self._before))

    def _on_page(self, page: Page, session: str, method: str, params: dict[str, Any]) -> None:
        if method == "Page.frameNavigated" and not self._shared.opened:
            # A main frame, and one with a process of its own, has the id of its target.
            self._navigated.add(params["frame"]["id"])
        if method == "Page.frameNavigated" and session == page.session and "parentId" not in params["frame"]:
            # The conditions of breakpoints are code, and breakpoints outlive documents.
            scripted = self._shared.opened and any(
                node.standing.scripts or node.standing.bindings or "Debugger" in node.standing.enabled
                for client in self._clients for node in client.sessions.all if client.page_of(node) == page.target
            )  # fmt: skip
            if page.target in self._shared.carried:
                self._shared.carried.discard(page.target)
                self._shared.planted.add(page.target)
            elif not scripted:
                self._shared.planted.discard(page.target)

    # --- turning -------------------------------------------------------------------------------------------------

    async def _drain(self, drain_s: float) -> None:
        waits = [asyncio.Event() for _ in self._clients]
        for client, idle in zip(self._clients, waits, strict=True):
            client.flight.when_empty(idle.set)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(idle.wait() for idle in waits)), drain_s)

    async def _flush(self) -> None:
        for client in list(self._clients):
            if not await client.outbox.emptied(_SETTLE_S):
                # What it has not read was meant for the time before; it would flow while the human drives.
                client.outbox.close(4409, "this client reads too slowly to be stopped; connect again", flush=False)

    async def _suspend(self) -> None:
        self._suspended = True
        calls: list[Call] = []
        for _client, node in self._all():
            node.suspended = True
            calls += [(node.id, method, params) for method, params in node.standing.suspend()]
            for script in node.standing.scripts.values():
                if script.real_id is not None:
                    calls.append((node.id, script.remove, {"identifier": script.real_id}))
                    script.real_id = None
        workers, self._shared.workers = self._shared.workers, set()
        closing = [self._shared.connection.call("Target.closeTarget", {"targetId": each}) for each in workers]
        await asyncio.gather(self._call_all(calls), asyncio.gather(*closing, return_exceptions=True))

    async def _restore(self) -> None:
        calls: list[Call] = []
        adds: list[asyncio.Future[None]] = []
        for client, node in self._all():
            if not node.suspended:
                continue
            node.suspended = False
            if node.standing.bindings and (page := client.page_of(node)):
                self._shared.planted.add(page)
            adds += [client.add_again(node, script) for script in node.standing.scripts.values()]
            calls += [(node.id, method, params) for method, params in node.standing.restore()]
        pages = self._shared.pages.all
        discard: list[Call] = [
            (p.session, m, {}) for p in pages for m in ("Runtime.discardConsoleEntries", "Log.clear")
        ]
        await self._call_all(calls + discard)
        if adds:
            await asyncio.wait(adds, timeout=_SETTLE_S)
        await self._call_all(list(self._missing_worlds()))

    def _missing_worlds(self) -> Iterable[Call]:
        for _client, node in self._all():
            if "Runtime" not in node.standing.enabled:
                continue
            there = {(c.get("auxData", {}).get("frameId"), c.get("name")) for c in node.view.contexts.values()}
            for world in node.standing.worlds():
                for frame in node.view.frames.values():
                    if not frame.remote and (frame.id, world) not in there:
                        # Worlds of new-document scripts are made with this (InspectorPageAgent, Chromium).
                        params = {"frameId": frame.id, "worldName": world, "grantUniveralAccess": True}
                        yield node.id, "Page.createIsolatedWorld", params

    def _notes(self) -> tuple[str, ...]:
        missed = any(
            client.turn.new_documents(node)
            for client, node in self._all() if any(s.does_something for s in node.standing.scripts.values())
        )  # fmt: skip
        return (
            ("init scripts did not run in documents loaded meanwhile; reload where they are needed",) if missed else ()
        )

    async def _infos(self) -> dict[str, dict[str, Any]]:
        try:
            found = await self._shared.connection.call("Target.getTargets")
        except (CdpError, Gone, TimeoutError):
            return {}
        return {info["targetId"]: info for info in found["targetInfos"]}

    def _all(self) -> list[tuple[Client, Node]]:
        return [(client, node) for client in self._clients for node in client.sessions.all]

    async def _call_all(self, calls: list[Call]) -> list[dict[str, Any] | None]:
        """Send them all in order at once and wait a bounded time; None stands for a refusal or no answer."""

        async def one(session: str, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
            try:
                return await self._shared.connection.call(method, params, session, _SETTLE_S)
            except (CdpError, Gone, TimeoutError):
                return None  # the session or the browser may have ended, or a dialog holds its page

        return list(await asyncio.gather(*(one(*call) for call in calls)))
