"""A keeper with an authority that lets the agent do everything while it holds control: `python composer.py DIR`."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from sandbox.authority import Action, Answer, ApprovalAsk, HandoffAsk, Verdict
from sandbox.isolation import Isolation
from sandbox.keeper import Keeper, KeeperConfig, ServerLink, assembly, configure_log, log_uncaught
from sandbox.words import NOBODY, Epoch, Holder, Side


class Simple:
    """Allows what the holder and the epoch allow; hands every question on to the server."""

    def __init__(self, link: ServerLink) -> None:
        self._link = link
        self._holder, self._epoch = NOBODY, Epoch(0)

    def pushed(self, holder: Holder, epoch: Epoch) -> None:
        """See `Authority`."""
        self._holder, self._epoch = holder, epoch

    def permit(self, action: Action) -> Verdict:
        """See `Authority`."""
        allowed = self._holder.side is Side.AGENT and action.epoch == self._epoch
        return Verdict(Answer.ALLOW if allowed else Answer.REFUSE, "" if allowed else "the agent is stopped")

    async def ask_handoff(self, ask: HandoffAsk) -> dict[str, Any]:
        """See `Authority`."""
        params = {"target": ask.target, "url": ask.url, "title": ask.title, "params": ask.params}
        return await self._link.request("handoff.ask", params)

    async def get_handoff(self, handoff: str) -> dict[str, Any]:
        """See `Authority`."""
        return await self._link.request("handoff.get", {"handoff": handoff})

    async def cancel_handoff(self, handoff: str) -> dict[str, Any]:
        """See `Authority`."""
        return await self._link.request("handoff.cancel", {"handoff": handoff})

    async def extend_handoff(self, handoff: str, timeout_s: float) -> dict[str, Any]:
        """See `Authority`."""
        return await self._link.request("handoff.extend", {"handoff": handoff, "timeout_s": timeout_s})

    async def ask_approval(self, ask: ApprovalAsk) -> dict[str, Any]:
        """See `Authority`."""
        return await self._link.request("approval.ask", asdict(ask))

    async def get_approval(self, approval: str) -> dict[str, Any]:
        """See `Authority`."""
        return await self._link.request("approval.get", {"approval": approval})

    async def use_approval(self, approval: str, page_state: str) -> dict[str, Any]:
        """See `Authority`."""
        return await self._link.request("approval.use", {"approval": approval, "page_state": page_state})


async def main(directory: Path) -> None:
    """Run one keeper."""
    configure_log()
    if "COMPOSER_ADVISORY" in os.environ:
        # As for an ordinary user, who has no other user to give away.
        assembly._isolate = lambda: (None, Isolation(None, ("the test says so",)))
    log_uncaught(asyncio.get_running_loop())
    await Keeper(KeeperConfig.read(directory), Simple).serve()


if __name__ == "__main__":
    # The real keeper runs on uvloop, whose subprocesses and pipes are its own.
    uvloop.run(main(Path(sys.argv[1])))
