"""Blockers in the keeper: what the watch finds goes to the server and the agent, and by policy to a human."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

from sandbox.blockers.ledger import Judged
from sandbox.blockers.policy import Policies, Policy
from sandbox.blockers.watch import News, Watch, judged_wire
from sandbox.fence import Fence
from sandbox.gate import Gate
from sandbox.pages import Pages
from sandbox.words import BatonError, Clock, Conflict, HandoffId


class Server(Protocol):
    """The keeper's way to its server."""

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask the server. Raises what it answers; `Unavailable` without a server."""
        ...

    def emit(self, event: str, params: dict[str, Any]) -> None:
        """Tell the server, if there is one."""
        ...


class Blockers:
    """Detection in one sandbox that is up. `close` ends it."""

    def __init__(
        self, pages: Pages, fence: Fence, gate: Gate, server: Server, policies: Policies, clock: Clock
    ) -> None:
        self._gate, self._server = gate, server
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch = Watch(pages, fence, policies, clock, self._on_news)
        gate.shared.on_command = self._watch.acted
        self._asked: dict[str, str] = {}
        gate.offer("Baton.getBlockers", self._get)

    def __repr__(self) -> str:
        return f"<Blockers {self._watch!r}>"

    def to_wire(self) -> dict[str, Any]:
        """Return `{"policies": {kind: policy}, "pages": [{"target", "url", "title", "findings"}]}` as it is now."""
        return {"policies": self._watch.policies.to_wire(), "pages": self._watch.current()}

    def completed(self, handoff: str, result: dict[str, Any]) -> None:
        """A handoff is over: where the platform had asked, every client of its page is told that listens."""
        if (target := self._asked.pop(handoff, None)) is not None:
            self._gate.announce("Baton.handoffCompleted", {"handoffId": handoff, **result}, target)

    async def close(self) -> None:
        """Stop watching."""
        await self._watch.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _get(self, target: str | None, _params: dict[str, Any]) -> dict[str, Any]:
        """Answer `Baton.getBlockers`: of the session's own page, or of all."""
        return {"policies": self._watch.policies.to_wire(), "pages": self._watch.current(target)}

    def _on_news(self, news: News) -> None:
        self._server.emit("blockers", news.to_wire())
        if news.gone:
            self._gate.announce("Baton.blockerGone", {"target": news.target, "kinds": list(news.gone)}, news.target)
        urgent = [judged for judged in news.new if judged.policy is Policy.ASK]
        if urgent:
            self._spawn(self._ask(news, max(urgent, key=lambda judged: judged.finding.confidence)))
        elif news.new:
            self._tell(news)

    async def _ask(self, news: News, judged: Judged) -> None:
        """Have the server stop the agent and ask for a human, then say so to the agent."""
        handoff: HandoffId | None = None
        params = {
            "target": news.target, "url": news.url, "title": news.title, "finding": judged.finding.to_wire(),
        }  # fmt: skip
        try:
            # A human who is there already, or was asked for by the agent, is as good.
            with contextlib.suppress(Conflict):
                handoff = HandoffId((await self._server.request("blocker.ask", params))["id"])
        except BatonError:
            # The next server, or the next look, asks again.
            self._watch.forget(news.target, judged.finding.kind)
        self._tell(news, handoff)

    def _tell(self, news: News, handoff: HandoffId | None = None) -> None:
        findings = [judged_wire(judged) for judged in news.new]
        params: dict[str, Any] = {"target": news.target, "url": news.url, "findings": findings}
        if handoff is not None:
            self._asked[handoff] = news.target
            params["handoffId"] = handoff
        self._gate.announce("Baton.blockerDetected", params, news.target)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
