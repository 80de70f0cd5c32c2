"""Stuck: the agent does the same thing on the same page state again and again. Pure.

A page's state is a digest that the page script makes of what the page shows and what stands in its fields. It is read
before the agent acts and after the page has settled; what was done in between had no effect when both are the same.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sandbox.blockers.facts import Stuck

TIMES: Final = 3
WINDOW_S: Final = 300.0
"""What was done longer ago is forgotten: who looks again every few minutes waits, and is not stuck."""
_MOST_ACTIONS: Final = 50
_MOUSE: Final = ("button", "x", "y", "modifiers")
_KEY: Final = ("key", "code", "text", "modifiers")
_PRESSES: Final[Mapping[str, tuple[frozenset[str], tuple[str, ...]]]] = MappingProxyType(
    {
        "Input.dispatchMouseEvent": (frozenset({"mousePressed"}), _MOUSE),
        "Input.dispatchKeyEvent": (frozenset({"keyDown", "rawKeyDown"}), _KEY),
        "Input.dispatchTouchEvent": (frozenset({"touchStart"}), ("touchPoints", "modifiers")),
    }
)
"""Method → the types that count as something done, and the parameters that tell one from another."""
_WHOLE: Final = frozenset({"Input.insertText", "Page.navigate", "Page.reload", "DOM.setFileInputFiles"})
_CODE: Final = (".click(", ".submit(", ".requestSubmit(")
_LONGEST_CODE: Final = 4000
_KEY_OF_DIGESTS: Final = secrets.token_bytes(16)


def action_of(method: str, params: Mapping[str, Any]) -> str | None:
    """Return what names this command's action, None where it does not count as one.

    Two commands with one name do the same. It is a keyed digest: nothing of what the agent types can be read from it.
    """
    if (press := _PRESSES.get(method)) is not None:
        types, names = press
        if params.get("type") not in types:
            return None
        return _digest(method, {name: params.get(name) for name in names})
    if method in _WHOLE:
        return _digest(method, params)
    if method == "Runtime.evaluate":
        return _clicking(method, [params.get("expression")])
    if method == "Runtime.callFunctionOn":
        # Playwright hands the agent's own code on as an argument of a function that is always the same.
        given = [each.get("value") for each in params.get("arguments") or () if isinstance(each, Mapping)]
        return _clicking(method, [*given, params.get("functionDeclaration")])
    return None


def _clicking(method: str, code: list[object]) -> str | None:
    """Name the first piece of code that clicks. What is very long is a library, and not what the agent does."""
    for text in code:
        if isinstance(text, str) and len(text) < _LONGEST_CODE and any(call in text for call in _CODE):
            return _digest(method, {"code": text})
    return None


def _digest(method: str, told: Mapping[str, Any]) -> str:
    text = json.dumps(told, sort_keys=True, default=str).encode()
    return f"{method} {hashlib.blake2b(text, key=_KEY_OF_DIGESTS, digest_size=12).hexdigest()}"


class Repeats:
    """What the agent did on one page without effect."""

    def __init__(self) -> None:
        self._state: str | None = None
        self._place: str | None = None
        self._since: list[str] = []
        self._counts: Counter[str] = Counter()
        self._first: dict[str, float] = {}
        self.stuck: Stuck | None = None

    def __repr__(self) -> str:
        return f"<Repeats {self.stuck or dict(self._counts)}>"

    @property
    def waiting(self) -> bool:
        """Whether something was done since the state was last read."""
        return bool(self._since)

    def acted(self, action: str) -> None:
        """The agent did this; `read` says later whether it had an effect."""
        self._since.append(action)
        del self._since[:-_MOST_ACTIONS]

    def read(self, state: str | None, place: str | None, now: float) -> None:
        """The settled page is in this state; None where it cannot be told, which counts as a new one.

        `place` is where keys go (focus, caret, scrolling): a key that moved it had an effect.
        """
        done, self._since = self._since, []
        moved, self._place = place != self._place, place
        if state is None or state != self._state:
            self.forget()
            self._state = state
            return
        for action in done:
            if moved and action.startswith("Input.dispatchKeyEvent"):
                continue
            if now - self._first.setdefault(action, now) > WINDOW_S:
                self._counts[action], self._first[action] = 0, now
            self._counts[action] += 1
            if self._counts[action] >= TIMES:
                self.stuck = Stuck(action.partition(" ")[0], self._counts[action])

    def forget(self) -> None:
        """Somebody else acted, or the page changed: begin anew."""
        self._state, self.stuck = None, None
        self._since.clear()
        self._counts.clear()
        self._first.clear()
