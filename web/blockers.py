"""What is known here of the blockers that keepers have found, and how a human is asked for by policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent_bridge.control.asking import HandoffRequest
from agent_bridge.words import Blocker
from sandbox.blockers.policy import Policies, instructions, override, parse_policies, read_policies
from sandbox.blockers.words import Finding
from sandbox.words import SandboxId

type Wire = dict[str, Any]


class BlockerBoard:
    """The findings of all sandboxes, as consoles are told them: for each sandbox the pages that have any."""

    def __init__(self) -> None:
        self._pages: dict[SandboxId, dict[str, Wire]] = {}
        self._listeners: list[Callable[[Wire], None]] = []

    def __repr__(self) -> str:
        return f"<BlockerBoard [sandboxes: {len(self._pages)}]>"

    def subscribe(self, listener: Callable[[Wire], None]) -> Callable[[], None]:
        """Call `listener` with `{"sandbox", "pages"}` whenever a sandbox's have changed; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def to_wire(self) -> Wire:
        """Return the pages with findings by sandbox: `[{"target", "url", "title", "findings"}]`."""
        return {sandbox: list(pages.values()) for sandbox, pages in self._pages.items() if pages}

    def heard(self, sandbox: SandboxId, news: Mapping[str, Any]) -> None:
        """Take a keeper's event `blockers`: one page's findings as they are now."""
        pages = self._pages.setdefault(sandbox, {})
        pages.pop(str(news["target"]), None)
        if news["findings"]:
            pages[str(news["target"])] = {name: news[name] for name in ("target", "url", "title", "findings")}
        self._tell(sandbox)

    def replace(self, sandbox: SandboxId, pages: list[Wire]) -> None:
        """Take all of a sandbox's pages, from a keeper that was adopted."""
        self._pages[sandbox] = {page["target"]: page for page in pages}
        self._tell(sandbox)

    def forget(self, sandbox: SandboxId) -> None:
        """The sandbox has ended."""
        self._pages.pop(sandbox, None)

    def _tell(self, sandbox: SandboxId) -> None:
        wire = {"sandbox": sandbox, "pages": list(self._pages[sandbox].values())}
        for listener in list(self._listeners):
            listener(wire)


def policies_of(setting: str, said: Mapping[str, str] | None, *, by_agent: bool) -> Policies:
    """Return a new sandbox's policies: the server's, with what was said for it. Raises `BadRequest`, `NotAllowed`."""
    return override(parse_policies(setting), read_policies(said or {}), by_agent=by_agent)


def request_of(finding: Finding, target: str | None) -> HandoffRequest:
    """Return what the platform asks a human for. The words are Baton's own: the page has no say in them."""
    kind = Blocker(finding.kind) if finding.kind in set(Blocker) else Blocker.UNKNOWN
    return HandoffRequest(kind, instructions(finding.kind, finding.sort), target=target)
