"""One thing a page asks, and how Chromium's words for it become a `Prompt`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from sandbox.screen import Prompt, PromptKind
from sandbox.words import new_id

LONGEST: Final = 4000
"""Characters of a message, default or realm that are shown."""

DIALOGS: Final = frozenset({PromptKind.ALERT, PromptKind.CONFIRM, PromptKind.PROMPT, PromptKind.BEFOREUNLOAD})


@dataclass(slots=True, eq=False)
class Ask:
    """An open question of a page, in which of Baton's CDP sessions it came, and what its answer needs."""

    page: str
    session: str
    frame: str
    prompt: Prompt
    node: int = 0
    """File chooser: the input's backend node."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Authentication: (CDP session, request) of everything that waits for the same name and password."""
    offered: bool = True
    """Whether a human may see it: a chooser of the agent's time is looked at first."""


def origin_of(url: str) -> str:
    """Return scheme, host and port of a web address; empty for all others, whose origin is not in the address."""
    parts = urlsplit(url.removeprefix("blob:"))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


def dialog(page: str, session: str, params: dict[str, Any]) -> Ask:
    """Read Page.javascriptDialogOpening."""
    prompt = Prompt(
        new_id("ask"), PromptKind(params["type"]), origin_of(params.get("url", "")),
        message=params.get("message", "")[:LONGEST], default=params.get("defaultPrompt", "")[:LONGEST],
    )  # fmt: skip
    return Ask(page, session, params.get("frameId") or page, prompt)


def chooser(page: str, session: str, params: dict[str, Any], origin: str) -> Ask:
    """Read Page.fileChooserOpened of an input element."""
    prompt = Prompt(new_id("ask"), PromptKind.FILE, origin, multiple=params["mode"] == "selectMultiple")
    return Ask(page, session, params["frameId"], prompt, node=params["backendNodeId"])


def challenge(page: str, session: str, params: dict[str, Any]) -> Ask:
    """Read Fetch.authRequired. The origin is the one that will get name and password, not the page around it."""
    asked = params["authChallenge"]
    prompt = Prompt(
        new_id("ask"), PromptKind.BASIC_AUTH, origin_of(asked["origin"]), realm=asked.get("realm", "")[:LONGEST]
    )
    return Ask(page, session, params.get("frameId") or page, prompt, requests=[(session, params["requestId"])])


def frame_origin(tree: dict[str, Any], frame: str) -> str:
    """Find a frame's origin in the reply of Page.getFrameTree; a blank frame has its maker's."""
    if tree["frame"]["id"] == frame:
        return origin_of(tree["frame"].get("securityOrigin", "")) or origin_of(tree["frame"]["url"])
    return next((found for child in tree.get("childFrames", ()) if (found := frame_origin(child, frame))), "")
