"""What a client must be told at the return: the difference between what it saw and what is.

Pure: (tree then, tree now, monotonic time) → events. The order is the one that Playwright and puppeteer accept
from Chromium itself: in each session first what went, then frames, then new targets, then frames that moved into
them, then contexts and lifecycle; sessions that ended come last, so that a frame which moved back into its parent's
process is there before its own session goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sandbox.gate.view import Frame, Params, View


@dataclass(frozen=True, slots=True)
class Branch:
    """One CDP session in a client's tree: its parent session (None: it is the root), its target, its view."""

    session: str
    parent: str | None
    info: Params
    view: View


type Tree = Mapping[str, Branch]
"""Session id → branch, parents before children."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event to send on a session."""

    session: str
    method: str
    params: Params


def rebuild(seen: Tree, now: Tree, at: float) -> list[Told]:
    """Return the events that bring a client from `seen` to `now`; `at` dates those that Chromium did not date."""
    moved = {b.info.get("targetId") for s, b in now.items() if s not in seen}
    gone = [b for s, b in seen.items() if s not in now]
    early = [b for b in gone if b.info.get("targetId") in moved]
    late = [b for b in gone if b not in early]
    told = [e for b in reversed(early) for e in _detached(b)]
    for session, branch in now.items():
        if session in seen:
            told += _session(seen[session].view, branch, now, seen, at)
    return told + [e for b in reversed(late) for e in _detached(b)]


def _detached(branch: Branch) -> Iterator[Told]:
    if branch.parent is not None:
        params = {"sessionId": branch.session, "targetId": branch.info.get("targetId")}
        yield Told(branch.parent, "Target.detachedFromTarget", params)


def _session(seen: View, branch: Branch, tree: Tree, before: Tree, at: float) -> Iterator[Told]:
    now = branch.view
    steps = (
        _targets_found(seen, now),
        _page(seen, now),
        _requests(seen, now, at),
        _contexts_gone(seen, now),
        _frames(seen, now),
        _attached(branch.session, tree, before),
        _swapped(seen, now),
        _contexts_made(seen, now),
        _lifecycle(seen, now),
        _targets_lost(seen, now),
    )
    for step in steps:
        yield from (Told(branch.session, method, params) for method, params in step)


type Events = Iterator[tuple[str, Params]]


def _targets_found(seen: View, now: View) -> Events:
    for target, info in now.discovered.items():
        if target not in seen.discovered:
            yield "Target.targetCreated", {"targetInfo": info}
        elif info != seen.discovered[target]:
            yield "Target.targetInfoChanged", {"targetInfo": info}


def _targets_lost(seen: View, now: View) -> Events:
    for target in seen.discovered:
        if target not in now.discovered:
            yield "Target.targetDestroyed", {"targetId": target}


def _page(seen: View, now: View) -> Events:
    # A dialog that opened for the human and is still open is not told: their prompt stays theirs.
    if now.crashed and not seen.crashed:
        yield "Inspector.targetCrashed", {}
    if seen.dialog and not now.dialog:
        yield "Page.javascriptDialogClosed", {"result": False, "userInput": "", "frameId": _main(now)}


def _contexts_gone(seen: View, now: View) -> Events:
    for unique, context in seen.contexts.items():
        if unique not in now.contexts:
            params = {"executionContextId": context["id"], "executionContextUniqueId": unique}
            yield "Runtime.executionContextDestroyed", params


def _contexts_made(seen: View, now: View) -> Events:
    for unique, context in now.contexts.items():
        if unique not in seen.contexts:
            yield "Runtime.executionContextCreated", {"context": context}


def _attached(session: str, tree: Tree, before: Tree) -> Events:
    for child in tree.values():
        if child.parent == session and child.session not in before:
            params = {"sessionId": child.session, "targetInfo": child.info, "waitingForDebugger": False}
            yield "Target.attachedToTarget", params


def _swapped(seen: View, now: View) -> Events:
    for frame in now.frames.values():
        if frame.remote and not (frame.id in seen.frames and seen.frames[frame.id].remote):
            yield "Page.frameDetached", {"frameId": frame.id, "reason": "swap"}


def _requests(seen: View, now: View, at: float) -> Events:
    # The network buffers are dropped at the return, so that even what still runs is never told of again.
    for request, responded in seen.requests.items():
        if responded and now.ended.get(request):
            yield "Network.loadingFinished", {"requestId": request, "timestamp": at, "encodedDataLength": 0}
        else:
            params = {
                "requestId": request,
                "timestamp": at,
                "type": "Other",
                "errorText": "net::ERR_ABORTED",
                "canceled": True,
            }
            yield "Network.loadingFailed", params


def _frames(seen: View, now: View) -> Events:
    for frame in reversed(_parents_first(seen)):
        if frame.id not in now.frames and frame.parent is not None:
            yield "Page.frameDetached", {"frameId": frame.id, "reason": "remove"}
    for frame in _parents_first(now):
        old = seen.frames.get(frame.id)
        if frame.parent is not None and (old is None or (old.remote and not frame.remote)):
            yield "Page.frameAttached", {"frameId": frame.id, "parentFrameId": frame.parent}
        if frame.remote or not frame.loader:
            continue
        if _is_new_document(old, frame):
            yield "Page.frameStartedLoading", {"frameId": frame.id}
            if frame.lifecycle:
                yield "Page.lifecycleEvent", _lifecycle_params(frame, "init", frame.lifecycle[0][1])
            yield "Page.frameNavigated", {"frame": frame.payload, "type": "Navigation"}
        elif old is not None and old.url != frame.url:
            params = {"frameId": frame.id, "url": frame.url, "navigationType": "other"}
            yield "Page.navigatedWithinDocument", params


def _lifecycle(seen: View, now: View) -> Events:
    for frame in _parents_first(now):
        if frame.remote:
            continue
        old = seen.frames.get(frame.id)
        new = _is_new_document(old, frame)
        known = {"init"} | (set() if new or old is None else {name for name, _ in old.lifecycle})
        for name, timestamp in frame.lifecycle:
            if name not in known:
                yield "Page.lifecycleEvent", _lifecycle_params(frame, name, timestamp)
        if frame.parent is None:
            yield from ((m, {"timestamp": t}) for m, t in now.fired.items() if new or m not in seen.fired)
        if not frame.loading and (new or (old is not None and old.loading)):
            yield "Page.frameStoppedLoading", {"frameId": frame.id}


def _lifecycle_params(frame: Frame, name: str, timestamp: float) -> Params:
    return {"frameId": frame.id, "loaderId": frame.lifecycle_loader, "name": name, "timestamp": timestamp}


def _is_new_document(old: Frame | None, frame: Frame) -> bool:
    return bool(frame.loader) and (old is None or old.remote or old.loader != frame.loader)


def _parents_first(view: View) -> list[Frame]:
    roots = [f.id for f in view.frames.values() if f.parent is None or f.parent not in view.frames]
    return [view.frames[f] for root in roots for f in (root, *view.below(root))]


def _main(view: View) -> str:
    return next((f.id for f in view.frames.values() if f.parent is None), "")
