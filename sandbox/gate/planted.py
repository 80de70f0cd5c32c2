"""Which commands leave code of the agent's in a page."""

from __future__ import annotations

from typing import Any, Final

SCRIPTS: Final = {
    "Page.addScriptToEvaluateOnNewDocument": "Page.removeScriptToEvaluateOnNewDocument",
    "Page.addScriptToEvaluateOnLoad": "Page.removeScriptToEvaluateOnLoad",
}
"""What adds a new-document script → what removes it."""

REMOVALS: Final = frozenset(SCRIPTS.values())

_PLANTS: Final = frozenset(
    {*SCRIPTS, "Runtime.evaluate", "Runtime.callFunctionOn", "Runtime.runScript", "Runtime.compileScript",
     "Runtime.addBinding", "Debugger.evaluateOnCallFrame", "Debugger.setScriptSource", "Debugger.setVariableValue",
     "Page.setDocumentContent", "DOM.setOuterHTML", "DOM.setAttributeValue", "DOM.setAttributesAsText",
     "DOM.setNodeValue", "Fetch.fulfillRequest", "Debugger.setBreakpoint", "Debugger.setBreakpointByUrl",
     "Debugger.setBreakpointOnFunctionCall"}
)  # fmt: skip


def plants(method: str, params: dict[str, Any]) -> bool:
    """Whether a command runs or leaves code in the present document."""
    return method in _PLANTS and not params.get("throwOnSideEffect")


def is_worker_script(request: dict[str, Any]) -> bool:
    """Whether a paused request fetches a service worker (its `Service-Worker` header, Service Workers 1, Update)."""
    headers = request.get("headers") or {}
    return any(name.lower() == "service-worker" for name in headers)


def makes_worker(method: str, params: dict[str, Any]) -> bool:
    """Whether the answer to a paused request comes from the agent, not from where the page asked."""
    return method == "Fetch.fulfillRequest" or (method == "Fetch.continueRequest" and bool(params.get("url")))


def makes_document(method: str, params: dict[str, Any]) -> bool:
    """Whether the next document may be, or hold, what this command brings."""
    return method == "Fetch.fulfillRequest" or (method == "Page.reload" and bool(params.get("scriptToEvaluateOnLoad")))
