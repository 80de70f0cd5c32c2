"""The desk where approvals are asked for, decided and spent: `approvals` decides, this stores and tells.

What is over because control moved or time passed is found out whenever one is looked at; that it is stored and told as
well, soon after, is for people only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

import structlog

from agent_bridge.control.approvals import Approval, ApprovalState, Approve, Refuse, Use, Word, decide, standing
from agent_bridge.control.asking import MAX_KEY, MAX_TITLE, clean_note, read_timeout
from agent_bridge.control.errors import ApprovalOver, InvalidAsk, TooManyApprovals
from agent_bridge.control.ports import ApprovalStore
from agent_bridge.control.shown import summary
from agent_bridge.control.words import Change, ControlSettings, ControlView, Json, Person, Phase
from agent_bridge.journal.words import Entry
from sandbox.pages import bare_url
from sandbox.words import BatonError, Clock, Epoch, NotFound, SandboxId, StaleEpoch, new_id

log = structlog.get_logger(__name__)

MOST: Final = 20
"""Approvals of one sandbox that may wait at once."""
_TICK_S: Final = 1.0

type Tell = Callable[[SandboxId, str, Json], Awaitable[None]]
"""Tells the CDP session that asked: (sandbox, approval, its wire form)."""


class Views(Protocol):
    """Who knows who has control."""

    async def view(self, sandbox: SandboxId) -> ControlView:
        """Return who has control of a sandbox. Raises `NotFound`."""
        ...


class ApprovalDesk:
    """All approvals of one server. Call `recover` once, keep `run` running, and have `changed` hear every change.

    `key` returns the server's key for digests.
    """

    def __init__(
        self, store: ApprovalStore, views: Views, tell: Tell, key: Callable[[], Awaitable[bytes]], clock: Clock,
        settings: ControlSettings,
    ) -> None:  # fmt: skip
        self._store, self._views, self._tell, self._get_key = store, views, tell, key
        self._key = b""
        self._clock, self._settings = clock, settings
        self._live: dict[str, Approval] = {}
        self._listeners: list[Callable[[Json], None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    def __repr__(self) -> str:
        return f"<ApprovalDesk [live: {len(self._live)}]>"

    def subscribe(self, listener: Callable[[Json], None]) -> Callable[[], None]:
        """Call `listener` with the wire form of each approval that is asked for or changes; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def recover(self) -> None:
        """Take over what an earlier server left."""
        self._key = await self._get_key()
        self._live = {approval.id: approval for approval in await self._store.live()}

    # -- the agent's side --------------------------------------------------------------------------------------

    async def ask(self, sandbox: SandboxId, said: Mapping[str, Any]) -> Approval:
        """Ask for one command's approval, as `sandbox.authority.ApprovalAsk` says it; returns it once it is stored.

        Raises `InvalidAsk`, `TooLarge`, `TooManyApprovals`, `StaleEpoch` where the agent does not hold control under
        the epoch it names, `NotFound`.
        """
        approval = self._read(sandbox, said)
        epoch = await self._epoch(sandbox)
        if approval.epoch != epoch:
            raise StaleEpoch("control has moved since; look again, then ask again", epoch=epoch)
        now = self._clock.now()
        waiting = [a for a in self._live.values() if a.sandbox == sandbox and standing(a, epoch, now).state.live]
        if len(waiting) >= MOST:
            raise TooManyApprovals(
                f"{MOST} actions of this sandbox wait for approval already; use them or wait", limit=MOST
            )
        # Counted before it is stored: many may ask at once.
        self._live[approval.id] = approval
        data = {
            "approval": approval.id, "method": approval.method, "digest": approval.digest, "epoch": approval.epoch,
            "deadline_at": approval.deadline_at,
        }  # fmt: skip
        try:
            await self._store.add(approval, [Entry("approval/asked", now, sandbox, None, "agent", data)])
        except BaseException:
            self._live.pop(approval.id, None)
            raise
        self._say(approval)
        if await self._epoch(sandbox) != epoch:
            self._spawn(self._settle(self._live.setdefault(approval.id, approval)))
        return approval

    async def use(self, sandbox: SandboxId, approval: str, page_state: str) -> Approval:
        """Spend an approval: whoever gets it back may send its command, once.

        Raises `NotFound`, `NotApproved`, `ApprovalOver`, `PageChanged`.
        """
        found = await self.get(approval)
        if found.sandbox != sandbox:
            raise _unknown(approval)
        return await self._decide(found, Use(page_state), "agent")

    # -- the operator's side -----------------------------------------------------------------------------------

    async def approve(self, approval: str, operator: Person, note: str | None = None) -> Approval:
        """Allow it, once. Raises `NotFound`, `ApprovalOver`."""
        word = Approve(operator.id, operator.name, clean_note(note, self._settings))
        return await self._decide(await self.get(approval), word, operator.id)

    async def decline(self, approval: str, operator: Person, note: str | None = None) -> Approval:
        """Refuse it, also after having approved it. Raises `NotFound`, `ApprovalOver`."""
        word = Refuse(operator.id, operator.name, clean_note(note, self._settings))
        return await self._decide(await self.get(approval), word, operator.id)

    async def get(self, approval: str) -> Approval:
        """Return one as it stands. Raises `NotFound`."""
        found = self._live.get(approval) or await self._store.get(approval)
        if found is None:
            raise _unknown(approval)
        return await self._standing(found)

    async def list(self, *, pending_only: bool = True, limit: int = 100) -> list[Approval]:
        """Return what waits for a decision, the oldest first; or all, the newest first."""
        if not pending_only:
            return [await self._standing(each) for each in await self._store.recent(limit)]
        live = [await self._standing(each) for each in list(self._live.values())]
        return sorted((a for a in live if a.state is ApprovalState.PENDING), key=lambda approval: approval.asked_at)

    # -- control and time --------------------------------------------------------------------------------------

    def changed(self, change: Change) -> None:
        """Control of a sandbox changed: what was asked for under another epoch is void, and is told to be."""
        view = change.view
        epoch = None if view.phase is Phase.CLOSED else view.epoch
        for approval in [a for a in self._live.values() if a.sandbox == view.sandbox and a.epoch != epoch]:
            self._spawn(self._settle(approval))

    async def run(self) -> None:
        """Tell of those whose time has run out, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            await self.tick()

    async def tick(self) -> None:
        """Let time act once."""
        now = self._clock.now()
        for approval in [a for a in self._live.values() if now >= a.deadline_at]:
            await self._settle(approval)

    async def stop(self) -> None:
        """Stop telling."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- inside ------------------------------------------------------------------------------------------------

    async def _epoch(self, sandbox: SandboxId) -> Epoch | None:
        """Return the epoch under which the agent may act; None where it may not."""
        view = await self._views.view(sandbox)
        return view.epoch if view.phase is Phase.AGENT else None

    async def _standing(self, approval: Approval) -> Approval:
        if not approval.state.live:
            return approval
        try:
            epoch = await self._epoch(approval.sandbox)
        except NotFound:
            epoch = None
        return standing(approval, epoch, self._clock.now())

    async def _decide(self, approval: Approval, word: Word, actor: str) -> Approval:
        after = decide(approval, word, self._clock.now())
        if after == approval:
            return after
        # Whoever hangs up meanwhile does not cut it in two.
        return await asyncio.shield(self._spawn(self._keep(approval, after, actor)))

    async def _settle(self, approval: Approval) -> None:
        """Store and tell that one is over, where it is."""
        try:
            after = await self._standing(approval)
            if not after.state.live:
                await self._keep(approval, after, "server")
        except ApprovalOver:
            return  # somebody was faster
        except BatonError as error:
            # It is void all the same: nobody looks at what is stored without looking at the epoch.
            log.warning("approval.not_settled", approval=approval.id, reason=str(error))

    async def _keep(self, before: Approval, after: Approval, actor: str) -> Approval:
        said = after.state in {ApprovalState.APPROVED, ApprovalState.DECLINED}
        data: Json = {"approval": after.id, "state": after.state.value, "epoch": after.epoch}
        entry = Entry(
            "approval/decided" if said else "approval/over", self._clock.now(), after.sandbox, None, actor,
            {**data, "note": after.note} if said else data,
        )  # fmt: skip
        if not await self._store.put(before.state, after, [entry]):
            self._live.pop(after.id, None)
            if (stored := await self._store.get(after.id)) is not None and stored.state.live:
                self._live[after.id] = stored
            raise ApprovalOver(
                f"approval {after.id} was decided by another at the same moment; look again", approval=after.id
            )
        if after.state.live:
            self._live[after.id] = after
        else:
            self._live.pop(after.id, None)
        self._say(after)
        if after.state is not ApprovalState.USED:
            self._spawn(self._tell_agent(after))
        return after

    async def _tell_agent(self, approval: Approval) -> None:
        try:
            await self._tell(approval.sandbox, approval.id, approval.to_wire())
        except BatonError as error:
            # Whoever asked may ask how it stands (`Baton.getApproval`).
            log.info("approval.not_told", approval=approval.id, reason=str(error))

    def _say(self, approval: Approval) -> None:
        for listener in list(self._listeners):
            listener(approval.to_wire())

    def _read(self, sandbox: SandboxId, said: Mapping[str, Any]) -> Approval:
        method, params = said.get("method"), said.get("params")
        if not isinstance(method, str) or not method or len(method) > MAX_KEY or not isinstance(params, dict):
            raise InvalidAsk("say which command: a 'method' and its 'params'", field="method")
        reason = clean_note(str(said.get("reason") or ""), self._settings, "reason")
        if not reason:
            raise InvalidAsk("say why: an operator reads the 'reason'", field="reason")
        state = said.get("page_state")
        if not isinstance(state, str) or not state:
            raise InvalidAsk("the page's state is missing", field="page_state")
        timeout = read_timeout(said.get("timeout_s"), self._settings) or self._settings.approval_s
        now, target = self._clock.now(), str(said.get("target") or "")[:MAX_KEY]
        url, title = bare_url(str(said.get("url") or "")), str(said.get("title") or "")[:MAX_TITLE]
        return Approval(
            new_id("ap"), sandbox, target, method, summary(method, params), reason, Epoch(int(said.get("epoch") or 0)),
            now, now + timeout, url=url, title=title, digest=self._digest(target, method, params), page_state=state,
        )  # fmt: skip

    def _digest(self, target: str, method: str, params: Mapping[str, Any]) -> str:
        # Keyed, so that what is short in it cannot be guessed from the journal.
        text = json.dumps([target, method, params], sort_keys=True, separators=(",", ":"))
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def _spawn[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _unknown(approval: str) -> NotFound:
    return NotFound(f"there is no approval {approval[:40]}", approval=approval[:40])
