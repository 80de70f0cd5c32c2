"""The rebuild tells a client the difference between what it saw and what is, in an order that clients accept."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.gate.rebuild import Branch, rebuild
from sandbox.gate.view import View

ROOT, PAGE = "R", "P"


def moved(*events: tuple[str, dict[str, Any]], start: View | None = None) -> View:
    """A view after some events."""
    view = (start or View()).copy()
    for method, params in events:
        view.apply(method, params)
    return view


def navigated(frame: str, loader: str, url: str = "http://a/", parent: str | None = None) -> tuple[str, dict[str, Any]]:
    """A frame's navigation."""
    payload = {"id": frame, "loaderId": loader, "url": url, **({"parentId": parent} if parent else {})}
    return "Page.frameNavigated", {"frame": payload, "type": "Navigation"}


def attached(frame: str, parent: str) -> tuple[str, dict[str, Any]]:
    """A frame's coming."""
    return "Page.frameAttached", {"frameId": frame, "parentFrameId": parent}


def lifecycle(frame: str, loader: str, *names: str) -> list[tuple[str, dict[str, Any]]]:
    """A frame's life cycle."""
    return [("Page.lifecycleEvent", {"frameId": frame, "loaderId": loader, "name": n, "timestamp": 1.0}) for n in names]


def context(unique: str, number: int, frame: str = "F") -> tuple[str, dict[str, Any]]:
    """A context's making."""
    return "Runtime.executionContextCreated", {
        "context": {"id": number, "uniqueId": unique, "auxData": {"frameId": frame}}
    }


def told(seen: View, now: View) -> list[tuple[str, dict[str, Any]]]:
    """What a client of one page is told."""

    def tree(view: View) -> dict[str, Branch]:
        return {ROOT: Branch(ROOT, None, {}, View()), PAGE: Branch(PAGE, ROOT, {"targetId": "T"}, view)}

    events = rebuild(tree(seen), tree(now), 9.0)
    assert all(e.session == PAGE for e in events)
    return [(e.method, e.params) for e in events]


BEFORE = moved(navigated("F", "L1"), *lifecycle("F", "L1", "init", "load"), context("u1", 1))


def test_nothing_changed() -> None:
    """A client that saw everything is told nothing."""
    assert told(BEFORE, BEFORE) == []


def test_same_document() -> None:
    """A new address of the same document is told as such."""
    now = moved(("Page.navigatedWithinDocument", {"frameId": "F", "url": "http://a/#x"}), start=BEFORE)
    assert told(BEFORE, now) == [
        ("Page.navigatedWithinDocument", {"frameId": "F", "url": "http://a/#x", "navigationType": "other"})
    ]


def test_new_document() -> None:
    """Old contexts go first, then the frame navigates, then new contexts come, then its life cycle."""
    now = moved(
        ("Runtime.executionContextsCleared", {}),
        *lifecycle("F", "L2", "init"),
        navigated("F", "L2", "http://b/"),
        context("u2", 1),
        *lifecycle("F", "L2", "DOMContentLoaded", "load"),
        ("Page.loadEventFired", {"timestamp": 2.0}),
        start=BEFORE,
    )
    assert [m if m != "Page.lifecycleEvent" else p["name"] for m, p in told(BEFORE, now)] == [
        "Runtime.executionContextDestroyed",
        "Page.frameStartedLoading",
        "init",
        "Page.frameNavigated",
        "Runtime.executionContextCreated",
        "DOMContentLoaded",
        "load",
        "Page.loadEventFired",
        "Page.frameStoppedLoading",
    ]


def test_two_documents_are_told_as_one() -> None:
    """What came and went in between is not told."""
    now = moved(
        navigated("F", "L2"),
        context("u2", 2),
        ("Runtime.executionContextsCleared", {}),
        navigated("F", "L3"),
        context("u3", 3),
        start=BEFORE,
    )
    events = told(BEFORE, now)
    assert [p["frame"]["loaderId"] for m, p in events if m == "Page.frameNavigated"] == ["L3"]
    assert [p["context"]["uniqueId"] for m, p in events if m == "Runtime.executionContextCreated"] == ["u3"]


def test_frames_come_and_go() -> None:
    """Children go before their parents and come after them."""
    seen = moved(attached("A", "F"), attached("B", "A"), start=BEFORE)
    now = moved(
        ("Page.frameDetached", {"frameId": "A", "reason": "remove"}),
        attached("C", "F"),
        navigated("C", "L5", parent="F"),
        attached("D", "C"),
        start=seen,
    )
    assert [
        (m, p.get("frameId") or p["frame"]["id"]) for m, p in told(seen, now) if m != "Page.frameStoppedLoading"
    ] == [
        ("Page.frameDetached", "B"),
        ("Page.frameDetached", "A"),
        ("Page.frameAttached", "C"),
        ("Page.frameStartedLoading", "C"),
        ("Page.frameNavigated", "C"),
        ("Page.frameAttached", "D"),
    ]


def test_frame_moves_to_its_own_process_and_back() -> None:
    """A frame that moves out is attached before it is swapped; one that moves back is there before its session goes."""
    seen = moved(attached("A", "F"), navigated("A", "L4", parent="F"), start=BEFORE)
    out = moved(("Page.frameDetached", {"frameId": "A", "reason": "swap"}), start=seen)
    local = {ROOT: Branch(ROOT, None, {}, View()), PAGE: Branch(PAGE, ROOT, {"targetId": "T"}, seen)}
    remote = {
        **local,
        PAGE: Branch(PAGE, ROOT, {"targetId": "T"}, out),
        "C": Branch("C", PAGE, {"targetId": "A"}, View()),
    }
    assert [(e.session, e.method) for e in rebuild(local, remote, 0.0)] == [
        (PAGE, "Target.attachedToTarget"),
        (PAGE, "Page.frameDetached"),
    ]
    assert [(e.session, e.method) for e in rebuild(remote, local, 0.0)][-1] == (PAGE, "Target.detachedFromTarget")
    assert next(e.method for e in rebuild(remote, local, 0.0)) == "Page.frameAttached"


def test_targets() -> None:
    """A target with a new session is detached before it is attached again; others are detached last."""
    root = Branch(ROOT, None, {}, View())
    seen = {
        ROOT: root,
        "a": Branch("a", ROOT, {"targetId": "1"}, View()),
        "b": Branch("b", ROOT, {"targetId": "2"}, View()),
    }
    now = {
        ROOT: root,
        "c": Branch("c", ROOT, {"targetId": "1"}, View()),
        "d": Branch("d", ROOT, {"targetId": "3"}, View()),
    }
    assert [(e.method, e.params["sessionId"]) for e in rebuild(seen, now, 0.0)] == [
        ("Target.detachedFromTarget", "a"),
        ("Target.attachedToTarget", "c"),
        ("Target.attachedToTarget", "d"),
        ("Target.detachedFromTarget", "b"),
    ]


def test_requests_end() -> None:
    """Requests the client saw begin are ended: well, where they had answered and ended well, as cancelled otherwise."""
    seen = moved(
        *[("Network.requestWillBeSent", {"requestId": r}) for r in "abc"],
        ("Network.responseReceived", {"requestId": "a"}),
        ("Network.responseReceived", {"requestId": "b"}),
    )
    now = seen.copy()
    now.apply("Network.loadingFinished", {"requestId": "a"})
    now.apply("Network.requestWillBeSent", {"requestId": "new"})
    assert [(m, p["requestId"]) for m, p in told(seen, now)] == [
        ("Network.loadingFinished", "a"),
        ("Network.loadingFailed", "b"),
        ("Network.loadingFailed", "c"),
    ]


@pytest.mark.parametrize(
    ("event", "told_as"),
    [
        (("Page.javascriptDialogClosed", {}), "Page.javascriptDialogClosed"),
        (("Inspector.targetCrashed", {}), "Inspector.targetCrashed"),
        (("Target.targetDestroyed", {"targetId": "t"}), "Target.targetDestroyed"),
        (("Target.targetInfoChanged", {"targetInfo": {"targetId": "t", "url": "new"}}), "Target.targetInfoChanged"),
        (("Target.targetCreated", {"targetInfo": {"targetId": "u"}}), "Target.targetCreated"),
        (("Page.frameStoppedLoading", {"frameId": "F"}), "Page.frameStoppedLoading"),
        (("Runtime.executionContextDestroyed", {"executionContextId": 1}), "Runtime.executionContextDestroyed"),
    ],
)
def test_single_changes(event: tuple[str, dict[str, Any]], told_as: str) -> None:
    """Each of these is told once."""
    seen = moved(
        ("Page.javascriptDialogOpening", {}),
        ("Target.targetCreated", {"targetInfo": {"targetId": "t"}}),
        ("Page.frameStartedLoading", {"frameId": "F"}),
        start=BEFORE,
    )
    assert [m for m, _ in told(seen, moved(event, start=seen))] == [told_as]


def test_a_copy_stays() -> None:
    """What was seen does not change with what is."""
    view = BEFORE.copy()
    moved(navigated("F", "L9"), start=view)
    view.apply(*navigated("F", "L9"))
    assert BEFORE.frames["F"].loader == "L1"
