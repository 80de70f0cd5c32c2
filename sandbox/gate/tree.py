"""One client's tree of CDP sessions: the browser's at the root, pages under it, frames and workers under those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.cdp import Connection
from sandbox.gate.node import Node
from sandbox.gate.rebuild import Branch, Tree
from sandbox.gate.standing import Standing, Table
from sandbox.gate.view import View

type Params = dict[str, Any]


class Sessions:
    """The tree. `hear` is called with the raw events of each session in it."""

    def __init__(self, connection: Connection, table: Table, root: str, hear: Callable[[Node, bytes], None]) -> None:
        self._connection = connection
        self._table = table
        self._hear = hear
        self._nodes: dict[str, Node] = {}
        self.root = self.grow(root, None, {}, waiting=False)

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def all(self) -> tuple[Node, ...]:
        """Every session, parents before children."""
        return tuple(self._nodes.values())

    def find(self, session: str) -> Node | None:
        """Return one of them."""
        return self._nodes.get(session)

    def grow(self, session: str, parent: str | None, info: Params, *, waiting: bool) -> Node:
        """Add a session and hear its events."""
        node = Node(session, parent, info, View(), Standing(self._table), lambda: None, waiting)
        node.unhook = self._connection.hook(session, lambda raw: self._hear(node, raw))
        self._nodes[session] = node
        return node

    def prune(self, session: str) -> list[Node]:
        """Take out a session that ended and everything under it; empty where it is none of these."""
        pruned = [node for node in self._nodes.values() if self._is_under(node, session)]
        for node in pruned:
            node.unhook()
            del self._nodes[node.id]
        return pruned

    def page_of(self, node: Node) -> str | None:
        """Return the page target a session belongs to; None for the browser and for shared workers."""
        at: Node | None = node
        while at is not None and at.parent is not None:
            if at.info.get("type") == "page":
                return at.target
            at = self._nodes.get(at.parent)
        return None

    def snapshot(self, *, copy: bool) -> Tree:
        """Return what the client knows of each session; `copy` where later events must not change it."""
        return {n.id: Branch(n.id, n.parent, n.info, n.view.copy() if copy else n.view) for n in self._nodes.values()}

    def clear(self) -> None:
        """Forget all of it: the client has gone."""
        for node in self._nodes.values():
            node.unhook()
        self._nodes.clear()

    def _is_under(self, node: Node | None, session: str) -> bool:
        while node is not None:
            if node.id == session:
                return True
            node = self._nodes.get(node.parent or "")
        return False
