"""What a CDP session's client knows of its page: frames, execution contexts, requests, dialogs, other targets.

`View` is built from the events (and a few replies) that pass the gate. While the agent holds control it is what
the client has been told; at the close it is copied, and what goes on afterwards is told as a difference (rebuild.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

type Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as a session reported it. `remote`: another process has it, and another CDP session tells of it."""

    id: str
    parent: str | None
    payload: Params
    remote: bool = False
    loading: bool = False
    lifecycle: tuple[tuple[str, float], ...] = ()
    lifecycle_loader: str = ""

    @property
    def loader(self) -> str:
        """The document's loader; empty before the first document."""
        return str(self.payload.get("loaderId", ""))

    @property
    def url(self) -> str:
        """The address with its fragment."""
        return f"{self.payload.get('url', '')}{self.payload.get('urlFragment', '')}"


@dataclass(slots=True)
class View:
    """The state of one CDP session; `apply` moves it on."""

    frames: dict[str, Frame] = field(default_factory=dict)
    contexts: dict[str, Params] = field(default_factory=dict)
    requests: dict[str, bool] = field(default_factory=dict)
    """Requests that have begun and not ended → whether a response was told."""
    ended: dict[str, bool] = field(default_factory=dict)
    """Requests that ended since the copy → whether well."""
    fired: dict[str, float] = field(default_factory=dict)
    """Page.domContentEventFired and Page.loadEventFired of the present document → timestamp."""
    discovered: dict[str, Params] = field(default_factory=dict)
    dialog: bool = False
    crashed: bool = False

    def copy(self) -> View:
        """Return a copy that later events do not change (the values themselves are never changed)."""
        return View(
            dict(self.frames), dict(self.contexts), dict(self.requests), {}, dict(self.fired), dict(self.discovered),
            self.dialog, self.crashed,
        )  # fmt: skip

    def apply(self, method: str, params: Params) -> None:
        """Move on by one event; events that do not matter here are ignored."""
        step = _STEPS.get(method)
        if step is not None:
            step(self, params)

    def frame_tree(self, tree: Params) -> None:
        """Take over the reply of Page.getFrameTree."""
        payload = tree["frame"]
        old = self.frames.get(payload["id"])
        if old is None or old.loader != payload.get("loaderId", ""):
            old = Frame(payload["id"], payload.get("parentId"), payload)
        self.frames[payload["id"]] = replace(old, payload=payload, remote=False)
        for child in tree.get("childFrames", ()):
            self.frame_tree(child)

    def below(self, frame: str) -> list[str]:
        """Return the ids of all frames under `frame`, parents first."""
        children = [f.id for f in self.frames.values() if f.parent == frame]
        return [d for c in children for d in (c, *self.below(c))]

    def _drop(self, frames: list[str]) -> None:
        for frame in frames:
            self.frames.pop(frame, None)

    def _frame_attached(self, p: Params) -> None:
        frame, parent = p["frameId"], p.get("parentFrameId")
        self.frames[frame] = Frame(frame, parent, {"id": frame, "parentId": parent, "url": "", "loaderId": ""})

    def _frame_detached(self, p: Params) -> None:
        frame = p["frameId"]
        self._drop(self.below(frame))
        if p.get("reason") == "swap" and frame in self.frames:
            self.frames[frame] = replace(self.frames[frame], remote=True)
        else:
            self.frames.pop(frame, None)

    def _frame_navigated(self, p: Params) -> None:
        payload = p["frame"]
        frame, parent = payload["id"], payload.get("parentId")
        if p.get("type") != "BackForwardCacheRestore":
            self._drop(self.below(frame))
        if parent is None:
            self._drop([f.id for f in list(self.frames.values()) if f.parent is None and f.id != frame])
            self.fired.clear()
        old = self.frames.get(frame) or Frame(frame, parent, payload)
        kept = old.lifecycle if old.lifecycle_loader == payload.get("loaderId") else ()
        self.frames[frame] = replace(old, parent=parent, payload=payload, remote=False, lifecycle=kept)

    def _within_document(self, p: Params) -> None:
        if (old := self.frames.get(p["frameId"])) is not None:
            payload = {k: v for k, v in old.payload.items() if k != "urlFragment"} | {"url": p["url"]}
            self.frames[old.id] = replace(old, payload=payload)

    def _lifecycle(self, p: Params) -> None:
        if (old := self.frames.get(p["frameId"])) is None:
            return
        new = p["name"] == "init" or old.lifecycle_loader != p["loaderId"]
        told = ((p["name"], p["timestamp"]),)
        if new or p["name"] not in {name for name, _ in old.lifecycle}:
            kept = told if new else old.lifecycle + told
            self.frames[old.id] = replace(old, lifecycle=kept, lifecycle_loader=p["loaderId"])

    def _loading(self, p: Params, loading: bool) -> None:
        if (old := self.frames.get(p["frameId"])) is not None:
            self.frames[old.id] = replace(old, loading=loading)

    def _context_destroyed(self, p: Params) -> None:
        gone = p.get("executionContextUniqueId")
        if gone is None:
            gone = next((u for u, c in self.contexts.items() if c["id"] == p.get("executionContextId")), None)
        self.contexts.pop(gone or "", None)

    def _responded(self, p: Params) -> None:
        if p["requestId"] in self.requests:
            self.requests[p["requestId"]] = True

    def _ended(self, p: Params, well: bool) -> None:
        if self.requests.pop(p["requestId"], None) is not None:
            self.ended[p["requestId"]] = well

    def _crashed(self, crashed: bool) -> None:
        self.crashed = crashed

    def _dialog(self, is_open: bool) -> None:
        self.dialog = is_open


_STEPS: Final[dict[str, Callable[[View, Params], object]]] = {
    "Page.frameAttached": View._frame_attached,  # noqa: SLF001 - the class's own table of steps
    "Page.frameDetached": View._frame_detached,  # noqa: SLF001
    "Page.frameNavigated": View._frame_navigated,  # noqa: SLF001
    "Page.navigatedWithinDocument": View._within_document,  # noqa: SLF001
    "Page.lifecycleEvent": View._lifecycle,  # noqa: SLF001
    "Page.frameStartedLoading": lambda v, p: v._loading(p, True),  # noqa: SLF001
    "Page.frameStoppedLoading": lambda v, p: v._loading(p, False),  # noqa: SLF001
    "Page.domContentEventFired": lambda v, p: v.fired.__setitem__("Page.domContentEventFired", p["timestamp"]),
    "Page.loadEventFired": lambda v, p: v.fired.__setitem__("Page.loadEventFired", p["timestamp"]),
    "Page.javascriptDialogOpening": lambda v, _p: v._dialog(True),  # noqa: SLF001
    "Page.javascriptDialogClosed": lambda v, _p: v._dialog(False),  # noqa: SLF001
    "Runtime.executionContextCreated": lambda v, p: v.contexts.__setitem__(p["context"]["uniqueId"], p["context"]),
    "Runtime.executionContextDestroyed": View._context_destroyed,  # noqa: SLF001
    "Runtime.executionContextsCleared": lambda v, _p: v.contexts.clear(),
    "Network.requestWillBeSent": lambda v, p: v.requests.__setitem__(p["requestId"], False),
    "Network.responseReceived": View._responded,  # noqa: SLF001
    "Network.loadingFinished": lambda v, p: v._ended(p, True),  # noqa: SLF001
    "Network.loadingFailed": lambda v, p: v._ended(p, False),  # noqa: SLF001
    "Target.targetCreated": lambda v, p: v.discovered.__setitem__(p["targetInfo"]["targetId"], p["targetInfo"]),
    "Target.targetInfoChanged": lambda v, p: v.discovered.__setitem__(p["targetInfo"]["targetId"], p["targetInfo"]),
    "Target.targetDestroyed": lambda v, p: v.discovered.pop(p["targetId"], None),
    "Inspector.targetCrashed": lambda v, _p: v._crashed(True),  # noqa: SLF001
    "Inspector.targetReloadedAfterCrash": lambda v, _p: v._crashed(False),  # noqa: SLF001
}

WATCHED = frozenset(_STEPS)
"""The events that must be decoded to keep a view."""
