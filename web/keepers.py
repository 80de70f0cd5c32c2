"""Between broker and keepers: control's words put on the keeper's wire, and the keeper's requests put to the broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from agent_bridge.control.approvals import Approval
from agent_bridge.control.asking import read_request
from agent_bridge.control.broker import Broker
from agent_bridge.control.desk import ApprovalDesk
from agent_bridge.control.words import Handoff
from sandbox.blockers.words import Finding
from sandbox.host.link import KeeperLink
from sandbox.words import BadRequest, Clock, Epoch, HandoffId, Holder, NotFound, SandboxId, Side, Unavailable
from web.blockers import request_of


class Links(Protocol):
    """Where links to keepers are found."""

    def link(self, sandbox: SandboxId) -> KeeperLink:
        """Return the live link of a sandbox. Raises `NotFound`."""
        ...


@dataclass(frozen=True, slots=True)
class ControlLinks:
    """`agent_bridge.control.ports.Keepers` over the links of this server.

    A keeper that is not linked may be adopted in a moment: that is `Unavailable`, and the broker tries again. Its
    death is told by whoever watches it.
    """

    links: Links

    def link(self, sandbox: SandboxId) -> ControlLink:
        """See `agent_bridge.control.ports.Keepers.link`."""
        try:
            return ControlLink(self.links.link(sandbox))
        except NotFound as error:
            raise Unavailable("its keeper is not connected to this server", sandbox=sandbox) from error


@dataclass(frozen=True, slots=True)
class ControlLink:
    """`agent_bridge.control.ports.SandboxLink` over one keeper's link."""

    keeper: KeeperLink

    async def gate_close(self, *, epoch: Epoch, holder: Holder, since: float, drain_s: float) -> list[dict[str, Any]]:
        """See `SandboxLink`."""
        return await self.keeper.close_gate(epoch, holder, since, drain_s)

    async def control_push(
        self, *, epoch: Epoch, holder: Holder, since: float, secret: bool, handoff: HandoffId | None
    ) -> list[str]:
        """See `SandboxLink`."""
        return await self.keeper.push_control(epoch, holder, since, secret=secret, handoff=handoff)

    async def gate_open(self, *, epoch: Epoch, since: float) -> dict[str, Any]:
        """See `SandboxLink`."""
        return await self.keeper.open_gate(epoch, since)

    async def mark(self, label: str) -> dict[str, Any]:
        """See `SandboxLink`."""
        return await self.keeper.mark(label)

    async def diff(self, label: str) -> dict[str, Any]:
        """See `SandboxLink`."""
        return await self.keeper.diff(label)

    async def check(self, condition: dict[str, Any]) -> dict[str, Any]:
        """See `SandboxLink`."""
        return await self.keeper.check(condition)

    async def watch(self, handoff: HandoffId, condition: dict[str, Any]) -> None:
        """See `SandboxLink`."""
        await self.keeper.watch(handoff, condition)

    async def handoff_completed(self, handoff: HandoffId, result: dict[str, Any]) -> None:
        """See `SandboxLink`."""
        await self.keeper.handoff_completed(handoff, result)


@dataclass(frozen=True, slots=True)
class Requests:
    """Answers what one sandbox's keeper asks on behalf of its agent (docs/architecture.md, *Keeper → server*)."""

    sandbox: SandboxId
    broker: Broker
    desk: ApprovalDesk
    clock: Clock

    async def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Put a keeper's request to the broker. Raises `BadRequest` for an unknown one, else what the broker raises."""
        match method:
            case "handoff.ask":
                return await self._ask(params)
            case "blocker.ask":
                return await self._ask_by_policy(params)
            case "handoff.get":
                return self._wire(await self._mine(params))
            case "handoff.extend":
                mine = await self._mine(params)
                return self._wire(await self.broker.extend_handoff(mine.id, params["timeout_s"]))
            case "handoff.cancel":
                return self._wire(await self.broker.cancel((await self._mine(params)).id))
            case "approval.ask":
                return (await self.desk.ask(self.sandbox, params)).to_wire()
            case "approval.get":
                return (await self._my_approval(params)).to_wire()
            case "approval.use":
                state = str(params.get("page_state") or "")
                return (await self.desk.use(self.sandbox, _named(params, "approval"), state)).to_wire()
            case _:
                raise BadRequest(f"a server knows no {method}", method=method)

    async def _ask(self, params: dict[str, Any]) -> dict[str, Any]:
        said = dict(params.get("params") or {})
        if params.get("target"):
            said.setdefault("target", params["target"])
        asked = await self.broker.ask(
            self.sandbox, read_request(said, self.broker.settings),
            client=params.get("client"), url=str(params.get("url") or ""), title=str(params.get("title") or ""),
        )  # fmt: skip
        return self._wire(asked.handoff)

    async def _ask_by_policy(self, params: dict[str, Any]) -> dict[str, Any]:
        request = request_of(Finding.from_wire(params["finding"]), params.get("target"))
        asked = await self.broker.ask(
            self.sandbox, request, asked_by=Side.PLATFORM,
            url=str(params.get("url") or ""), title=str(params.get("title") or ""),
        )  # fmt: skip
        return self._wire(asked.handoff)

    async def _mine(self, params: dict[str, Any]) -> Handoff:
        handoff = await self.broker.get(HandoffId(str(params["handoff"])[:60]))
        if handoff.sandbox != self.sandbox:
            raise NotFound(f"there is no handoff {handoff.id} in this sandbox", handoff=handoff.id)
        return handoff

    async def _my_approval(self, params: dict[str, Any]) -> Approval:
        approval = await self.desk.get(_named(params, "approval"))
        if approval.sandbox != self.sandbox:
            raise NotFound(f"there is no approval {approval.id} in this sandbox", approval=approval.id)
        return approval

    def _wire(self, handoff: Handoff) -> dict[str, Any]:
        return handoff.to_wire(self.clock.now())


def _named(params: dict[str, Any], name: str) -> str:
    return str(params.get(name) or "")[:60]
