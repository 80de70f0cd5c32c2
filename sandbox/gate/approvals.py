"""One command that an operator is asked to approve: kept here, word for word, until it may be sent.

The server judges and keeps only a digest and what it shows; what was approved is what is sent because the command
itself never leaves the keeper. It is bound to the page's state and to the epoch: both are asked again at the end.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

from sandbox.authority import ApprovalAsk
from sandbox.gate.errors import MethodRefused
from sandbox.gate.shared import Shared
from sandbox.pages import Page, bare_url
from sandbox.words import BadRequest, Conflict, Epoch, NotFound, StaleEpoch, Unavailable

type Params = dict[str, Any]

_REMEMBERED: Final = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """A command that waits for its approval."""

    target: str
    method: str
    params: Params


class Approvals:
    """The commands of one sandbox that wait for approval."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._kept: dict[str, Kept] = {}

    async def ask(self, page: Page, client: str, said: Params) -> Params:
        """Ask for the approval of one command; returns its wire form.

        Raises `BadRequest`, `MethodRefused`, `Unavailable`, or what the server says.
        """
        method, params = said.get("method"), said.get("params", {})
        reason, timeout_s = said.get("reason"), said.get("timeoutS")
        if not isinstance(method, str) or not isinstance(params, dict) or not isinstance(reason, str):
            raise BadRequest("requestApproval needs a string 'method', an object 'params' and a string 'reason'")
        if timeout_s is not None and (isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float)):
            raise BadRequest("timeoutS is a number of seconds")
        rule = self._shared.methods.get(method)
        if rule is None or rule.verb is None:
            raise MethodRefused(f"{method} cannot be approved: no agent may use it here", method=method)
        epoch = self._shared.fence.epoch
        kept = Kept(page.target, method, copy.deepcopy(params))
        ask = ApprovalAsk(
            page.target, bare_url(page.url), page.title, method, kept.params, reason,
            await self._state(page.target), epoch, None if timeout_s is None else float(timeout_s), client,
        )  # fmt: skip
        approval = await self._shared.authority.ask_approval(ask)
        self._kept[approval["id"]] = kept
        while len(self._kept) > _REMEMBERED:
            del self._kept[next(iter(self._kept))]
        return approval

    async def use(self, target: str | None, said: Params, epoch: Epoch) -> Kept:
        """Spend an approval and return the command to send, at once. Raises `Conflict` where it may not be sent."""
        approval = said.get("approval")
        if not isinstance(approval, str):
            raise BadRequest("approval is missing; it is in the answer of Baton.requestApproval")
        kept = self._kept.get(approval)
        if kept is None:
            raise NotFound(f"no command waits for {approval[:60]}; it was used, or asked in another sandbox")
        if kept.target != target:
            raise Conflict("perform belongs on a CDP session of the page that the approval was asked for")
        self._shared.fence.check_agent(epoch)
        before = await self._state(kept.target)
        await self._shared.authority.use_approval(approval, before)
        self._kept.pop(approval, None)
        if await self._state(kept.target) != before:
            raise StaleEpoch("the page changed while its approval was being used; look again, then ask again")
        return kept

    async def _state(self, target: str) -> str:
        if self._shared.page_state is None:
            raise Unavailable("this sandbox cannot tell a page's state, so nothing in it can be approved")
        return await self._shared.page_state(target)
