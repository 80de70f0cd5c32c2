"""The Authority inside a keeper: answers the gate from the pushed holder and epoch alone.

What it cannot answer itself (a handoff) it asks the server over the keeper's control socket.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Protocol

from sandbox.authority import Action, Answer, ApprovalAsk, HandoffAsk, Verdict
from sandbox.words import NOBODY, Epoch, Holder, Side


class ServerLink(Protocol):
    """The keeper's way to its server."""

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask the server. Raises the server's `BatonError`, or `Unavailable` while there is none."""
        ...


class ControlAuthority:
    """Allows the agent what was admitted under the present epoch, while it is the holder; refuses everything else.

    Shut until the first push.
    """

    def __init__(self, link: ServerLink) -> None:
        self._link = link
        self._holder = NOBODY
        self._epoch = Epoch(0)

    def __repr__(self) -> str:
        return f"<ControlAuthority {self._holder} epoch={self._epoch}>"

    def pushed(self, holder: Holder, epoch: Epoch) -> None:
        """Control changed hands; see `sandbox.authority.Authority.pushed`."""
        self._holder, self._epoch = holder, epoch

    def permit(self, action: Action) -> Verdict:
        """Judge one command; see `sandbox.authority.Authority.permit`."""
        if self._holder.side is not Side.AGENT:
            who = "nobody" if self._holder.side is Side.NOBODY else str(self._holder)
            return Verdict(
                Answer.REFUSE, f"{who} has control of this sandbox; wait for the handoff's result, then look again"
            )
        if action.epoch != self._epoch:
            return Verdict(Answer.REFUSE, "control changed hands after this was sent; look again, then decide")
        return Verdict(Answer.ALLOW)

    async def ask_handoff(self, ask: HandoffAsk) -> dict[str, Any]:
        """Ask for a human; see `sandbox.authority.Authority.ask_handoff`."""
        return await self._link.request(
            "handoff.ask",
            {"client": ask.client, "target": ask.target, "url": ask.url, "title": ask.title, "params": ask.params},
        )

    async def get_handoff(self, handoff: str) -> dict[str, Any]:
        """Return a handoff; see `sandbox.authority.Authority.get_handoff`."""
        return await self._link.request("handoff.get", {"handoff": handoff})

    async def cancel_handoff(self, handoff: str) -> dict[str, Any]:
        """Withdraw a handoff; see `sandbox.authority.Authority.cancel_handoff`."""
        return await self._link.request("handoff.cancel", {"handoff": handoff})

    async def extend_handoff(self, handoff: str, timeout_s: float) -> dict[str, Any]:
        """Let a handoff wait longer; see `sandbox.authority.Authority.extend_handoff`."""
        return await self._link.request("handoff.extend", {"handoff": handoff, "timeout_s": timeout_s})

    async def ask_approval(self, ask: ApprovalAsk) -> dict[str, Any]:
        """Ask for one command's approval; see `sandbox.authority.Authority.ask_approval`."""
        return await self._link.request("approval.ask", asdict(ask))

    async def get_approval(self, approval: str) -> dict[str, Any]:
        """Return an approval; see `sandbox.authority.Authority.get_approval`."""
        return await self._link.request("approval.get", {"approval": approval})

    async def use_approval(self, approval: str, page_state: str) -> dict[str, Any]:
        """Spend an approval; see `sandbox.authority.Authority.use_approval`."""
        return await self._link.request("approval.use", {"approval": approval, "page_state": page_state})
