"""Handles to elements that a client was given before a human had control: which of them are to be looked at again.

A click on an element that has left the page is a silent no-op in CDP, and a backend node id of a page that is gone may
name another element in the page that took its place. So a handle of an earlier epoch is looked at once when it is first
named after the return; what is not on the page any more is refused. Handles given since are known by what was given:
object ids are `isolate.context.number` and their numbers only rise (V8InspectorImpl), backend node ids are noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

type Handle = str | int
"""A `Runtime.RemoteObjectId`, or a `DOM.BackendNodeId`."""

_SMALL: Final = 64 * 1024
_MOST: Final = 20_000
_MOST_ELEMENTS: Final = 10_000
_OBJECT: Final = re.compile(rb'"objectId":"([^"\\]+)\.(\d+)"')
_ELEMENT: Final = re.compile(rb'"subtype":"node",[^{}]*?"objectId":"([^"\\]+)"')
_BACKEND: Final = re.compile(rb'"backend(?:DOM)?NodeId":(\d+)')
_TREES: Final = ("Accessibility.", "DOMSnapshot.", "DOM.getDocument", "DOM.getFlattenedDocument")
_RELEASES: Final = frozenset({"Runtime.releaseObject", "Runtime.releaseObjectGroup"})

IS_GONE: Final = "function() { return typeof Node === 'function' && this instanceof Node && !this.isConnected }"
"""Called on an object: true for a node that is in no document."""


def named(params: Mapping[str, Any]) -> Iterator[Handle]:
    """Yield the handles that a command's parameters name."""
    for key, kind in (("objectId", str), ("backendNodeId", int)):
        if isinstance(found := params.get(key), kind):
            yield found
    arguments = params.get("arguments")
    if isinstance(arguments, list):
        for each in arguments:
            if isinstance(each, dict) and isinstance(each.get("objectId"), str):
                yield each["objectId"]
    several = params.get("backendNodeIds")
    if isinstance(several, list):
        yield from (each for each in several if isinstance(each, int))


class Elements:
    """The element handles that one CDP session's client was given and has not released."""

    def __init__(self) -> None:
        self._held: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._held)

    def given(self, raw: bytes) -> None:
        """Note what a reply gives; large replies give no handles."""
        if len(raw) < _SMALL and b'"subtype":"node"' in raw and len(self._held) < _MOST_ELEMENTS:
            self._held.update(_ELEMENT.findall(raw))

    def released(self, params: Mapping[str, Any]) -> None:
        """Note a `Runtime.releaseObject`."""
        self._held.discard(str(params.get("objectId")).encode())

    def clear(self) -> int:
        """They have gone with their document; returns how many they were."""
        gone = len(self._held)
        self._held.clear()
        return gone


class Handles:
    """One CDP session since the last return of control: what its client has been given, and what was found good."""

    def __init__(self, *, replaced: bool) -> None:
        self._good: set[Handle] = set()
        self._first: dict[str, int] = {}
        self._replaced = replaced
        self.looked = False
        """The client has asked for nodes since."""

    @property
    def is_blind(self) -> bool:
        """Whether the document is another one, of which the client has seen no node: every node id is an old one."""
        return self._replaced and not self.looked

    def doubtful(self, method: str, params: Mapping[str, Any]) -> list[Handle]:
        """Return the handles in a command that must be looked at before it is sent."""
        if method in _RELEASES:
            return []
        return [handle for handle in named(params) if handle not in self._good and not self._is_new(handle)]

    def _is_new(self, handle: Handle) -> bool:
        if isinstance(handle, int):
            return False
        context, _, number = handle.rpartition(".")
        first = self._first.get(context)
        return first is not None and number.isdecimal() and int(number) >= first

    def good(self, handle: Handle) -> None:
        """Note that a handle was looked at, or was given since."""
        if len(self._good) >= _MOST:
            self._good.clear()
        self._good.add(handle)

    def given(self, method: str, raw: bytes) -> None:
        """Note what a reply or an event gives the client."""
        if method.startswith(_TREES):
            self.looked = True
        if len(raw) >= _SMALL:
            return
        for context, number in _OBJECT.findall(raw):
            name = context.decode()
            self._first[name] = min(int(number), self._first.get(name, int(number)))
        for number in _BACKEND.findall(raw):
            self.looked = True
            self.good(int(number))
