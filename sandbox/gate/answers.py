"""What a client is sent by the gate itself: answers, refusals, events of Baton's."""

from __future__ import annotations

from typing import Any, Final

from sandbox.gate.errors import NoSuchSession, cdp_error, thrown
from sandbox.gate.node import Pending
from sandbox.gate.outbox import Outbox
from sandbox.gate.rebuild import Told
from sandbox.gate.wire import encode
from sandbox.words import BatonError

type Params = dict[str, Any]

_EVALUATIONS: Final = frozenset({"Runtime.evaluate", "Runtime.callFunctionOn"})
_NO_SESSION: Final = -32001
"""Chromium's own code for it: clients know it."""


class Answers:
    """One client's. A session is named by its id; `root` is the client's own, which no message names."""

    def __init__(self, outbox: Outbox, root: str) -> None:
        self.is_playwright = False
        self._outbox = outbox
        self._root = root

    def result(self, client_id: int, session: str | None, result: Params) -> None:
        """Answer a command."""
        self._put(session, {"id": client_id, "result": result})

    def error(self, client_id: int | None, session: str | None, error: BatonError, method: str = "") -> None:
        """Refuse a command; without `client_id` it could not even be read."""
        if self.is_playwright and method in _EVALUATIONS and client_id is not None:
            self.result(client_id, session, thrown(error))
            return
        form = cdp_error(error)
        if isinstance(error, NoSuchSession):
            form["code"] = _NO_SESSION
        self._put(session, {**({} if client_id is None else {"id": client_id}), "error": form})

    def unknown_method(self, client_id: int, session: str | None, method: str) -> None:
        """Answer what no Chromium has, in its words."""
        self._put(session, {"id": client_id, "error": {"code": -32601, "message": f"'{method}' wasn't found"}})

    def lost(self, pending: Pending) -> None:
        """Answer a command whose CDP session ended, in Chromium's words."""
        error = {"code": -32000, "message": "Target closed"}
        self._put(pending.node.id, {"id": pending.client_id, "error": error})

    def emit(self, told: Told) -> None:
        """Send one event."""
        self._put(told.session, {"method": told.method, "params": told.params})

    def _put(self, session: str | None, message: Params) -> None:
        self._outbox.put(encode(message, None if session == self._root else session))
