"""One client at a transfer of control: what it had been told at the close, what it is told at the return."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from sandbox.gate.answers import Answers
from sandbox.gate.ended import Ended
from sandbox.gate.errors import outcome_unknown
from sandbox.gate.flight import Flight
from sandbox.gate.handles import Handles
from sandbox.gate.node import Node, Pending, Unknown
from sandbox.gate.rebuild import Told, Tree, rebuild
from sandbox.gate.shared import Shared
from sandbox.gate.tree import Sessions

type Params = dict[str, Any]
type Late = Callable[[Pending, bytes], None]


class Turn:
    """Freezes what a client knows, cuts off what it had in flight, and thaws it again."""

    def __init__(self, shared: Shared, sessions: Sessions, flight: Flight, answers: Answers) -> None:
        self.ended = Ended(shared.pages)
        self._shared = shared
        self._sessions = sessions
        self._flight = flight
        self._answers = answers
        self._seen: Tree | None = None

    @property
    def frozen(self) -> bool:
        """Whether the client knows of nothing that happens now."""
        return self._seen is not None

    def freeze(self) -> bool:
        """Remember what the client has been told; False where that was done before."""
        if self._seen is not None:
            return False
        self._seen = self._sessions.snapshot(copy=True)
        self.ended.elements = 0
        return True

    def cut(self, client: str, late: Late) -> list[Unknown]:
        """Give up on everything in flight: the client is told that the outcome is unknown, `late` has real replies."""
        fence, now = self._shared.fence, self._shared.clock.monotonic()
        unknown = []
        for pipe_id, command in self._flight.take_all().items():
            self._shared.connection.replace(pipe_id, partial(late, command))
            error = outcome_unknown(command.method, fence.holder, fence.epoch, now - command.sent)
            self._answers.error(command.client_id, command.node.id, error, command.method)
            ago = round((now - command.sent) * 1000)
            unknown.append(Unknown(client, command.method, self._sessions.page_of(command.node), ago))
        return unknown

    def thaw(self, infos: dict[str, Params], at: float, navigated: Collection[str]) -> int:
        """Tell the client what changed since `freeze`; from now on everything passes.

        `navigated` are the targets that have another document now. Returns how many element handles went with theirs.
        """
        if self._seen is None:
            return 0
        seen, self._seen = self._seen, None
        for node in self._sessions.all:
            if node.id not in seen:
                node.info = infos.get(str(node.target), node.info) | {"attached": True}
        told = rebuild(seen, self._sessions.snapshot(copy=False), at)
        for event in self.ended.keep_back(told, seen, infos):
            self._answers.emit(event)
        stale = self.ended.elements
        for node in self._sessions.all:
            if node.id in seen:
                stale += self._age(node, replaced=node.target in navigated)
            if "Network" in node.standing.enabled:
                node.view.requests.clear()
            node.view.ended.clear()
        return stale

    def new_documents(self, node: Node) -> bool:
        """Whether a document was loaded in this session that the client has not seen."""
        seen = (self._seen or {}).get(node.id)
        if seen is None:
            return False
        old = seen.view.frames
        return any(f.loader and (f.id not in old or old[f.id].loader != f.loader) for f in node.view.frames.values())

    def _age(self, node: Node, *, replaced: bool) -> int:
        """Let what the client was given on a session be of an earlier epoch; returns the elements that are gone."""
        node.handles = Handles(replaced=replaced)
        if "DOM" in node.standing.enabled:
            # Node ids that it holds may be of documents that are gone.
            self._answers.emit(Told(node.id, "DOM.documentUpdated", {}))
        return node.elements.clear() if replaced else 0
