"""Looking at handles: whether what they name is still on the page. See handles.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from sandbox.cdp import RawReply
from sandbox.gate.handles import IS_GONE, Handle
from sandbox.gate.wire import is_error

type Send = Callable[[str, dict[str, Any], RawReply], None]

_GROUP: Final = "baton-look"


class Look:
    """Looks at some handles on one CDP session; `done` is called once with those that are gone."""

    def __init__(self, send: Send, handles: Sequence[Handle], done: Callable[[set[Handle]], None]) -> None:
        self._send = send
        self._open = set(handles)
        self._gone: set[Handle] = set()
        self._done = done

    def begin(self) -> None:
        """Ask for all of them at once."""
        for handle in list(self._open):
            if isinstance(handle, int):
                params = {"backendNodeId": handle, "objectGroup": _GROUP}
                self._send("DOM.resolveNode", params, lambda raw, h=handle: self._resolved(h, raw))  # type: ignore[misc]
            else:
                self._ask(handle, handle)

    def _resolved(self, handle: Handle, raw: bytes) -> None:
        if is_error(raw):
            self._found(handle, gone=True)
        else:
            self._ask(handle, json.loads(raw)["result"]["object"]["objectId"])

    def _ask(self, handle: Handle, object_id: str) -> None:
        params = {"objectId": object_id, "functionDeclaration": IS_GONE, "returnByValue": True, "silent": True}
        self._send(
            "Runtime.callFunctionOn", params,
            lambda raw: self._found(handle, gone=is_error(raw) or b'"value":true' in raw),
        )  # fmt: skip

    def _found(self, handle: Handle, *, gone: bool) -> None:
        if gone:
            self._gone.add(handle)
        self._open.discard(handle)
        if not self._open:
            self._send("Runtime.releaseObjectGroup", {"objectGroup": _GROUP}, lambda _raw: None)
            self._done(self._gone)
