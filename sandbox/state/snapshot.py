"""What is remembered of the sandbox at one moment, and how it is read from what the frames give. Pure.

Plain values of fields that are not secret stay in the keeper's memory until the diff is made; everything else
is kept as a keyed digest whose key dies with the sandbox.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

MAX_NODES: Final = 20_000
MAX_BYTES: Final = 2_000_000
LONGEST: Final = 400
"""Texts are kept twice as long as they are shown, so that a secret at the cut is scrubbed before it is cut."""

type Node = tuple[str, int]
"""(document, number in it): the same element as long as its document lives."""


class Motion(NamedTuple):
    """When something came, went or moved, and when else the part of the page that it belongs to moved (since 1970)."""

    at: float
    times: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One form field: what it is, and what is in it (the text itself only where it is not secret)."""

    frame: str
    label: str
    role: str
    node: Node
    secret: bool
    typed: bool
    """Whether what is in it is text that somebody may have typed."""
    filled: bool
    default: bool
    """Whether it holds what the page itself put there when it was loaded."""
    digest: bytes = field(repr=False)
    shown: str = field(default="", repr=False)


class Element(NamedTuple):
    """Something a user sees or can act on, by role and name."""

    role: str
    name: str
    node: Node
    came: Motion | None = None
    """Since the snapshot before; None where that is not known to have happened."""
    moved: Motion | None = None


@dataclass(frozen=True, slots=True)
class TabState:
    """One tab."""

    target: str
    url: str
    address: bytes
    """Digest of the full address, to see changes in what must not be shown."""
    title: str
    documents: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Frame id, the page's own first → (document, address without query)."""
    fields: tuple[Field, ...] = ()
    elements: tuple[Element, ...] = ()
    unfinished: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    answered: bool = True
    gone: Mapping[Node, Motion] = field(default_factory=dict)
    """What left the page since the snapshot before."""

    @property
    def document(self) -> str:
        """The page's own document."""
        return next((document for document, _ in self.documents.values()), "")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The sandbox at one moment."""

    active: str | None
    tabs: tuple[TabState, ...]
    cookies: Mapping[tuple[str, str, str], bytes] = field(default_factory=dict, repr=False)
    """(name, domain, path) → digest of the value."""
    storage: Mapping[tuple[str, str, str], bytes] = field(default_factory=dict, repr=False)
    """(origin, "local" or "session", key) → digest of the value."""

    @property
    def current(self) -> TabState | None:
        """The tab in front."""
        return next((tab for tab in self.tabs if tab.target == self.active), None)


class Digest:
    """Keyed digests; the key never leaves this process."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "<Digest>"

    def __call__(self, *texts: str) -> bytes:
        """Return HMAC-SHA256 of the texts."""
        return hmac.new(self._key, "\0".join(texts).encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


class Reader:
    """Reads what the frames of one page gave (see `look.js`) into fields and elements, within the bounds."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._room = MAX_BYTES
        self.fields: list[Field] = []
        self.elements: list[Element] = []
        self.gone: dict[Node, Motion] = {}
        self.timers: list[str] = []
        self.left_out: dict[str, int] = {}

    def read(self, document: str, frame: str, seen: Mapping[str, Any]) -> None:
        """Take in one frame's look."""
        for what, count in seen["left"].items():
            self.leave(what, int(count))
        if seen["refresh"]:
            self.timers.append("the page reloads or moves on by itself (meta refresh)")
        start = seen["origin"] / 1000
        times = [tuple(start + each / 1000 for each in listed) for listed in seen["lists"]]
        times.append(())  # at -1, where there are none
        for role, name, node, own, birth, into in seen["elements"]:
            if self._spend(len(name)):
                motion = None
                if birth >= 0:
                    motion = Motion(start + birth / 1000, times[into])
                elif own >= 0:
                    motion = Motion(times[own][-1], times[own])
                moved = Motion(times[own][-1], times[own]) if own >= 0 and birth >= 0 else motion
                self.elements.append(Element(role, name, (document, node), motion, moved))
        for label, role, node, secret, typed, filled, default, value, shown in seen["fields"]:
            if self._spend(len(shown) + len(label)):
                self.fields.append(
                    Field(
                        frame, label, role, (document, node), secret, typed, filled, default, self._digest(value), shown
                    )
                )
        for node, at, listed in seen["gone"]:
            self.gone[(document, node)] = Motion(start + at / 1000, times[listed])

    def _spend(self, size: int) -> bool:
        self._room -= size + 40
        if self._room < 0:
            self.leave("elements", 1)
        return self._room >= 0

    def leave(self, what: str, count: int) -> None:
        """Count what is left out."""
        self.left_out[what] = self.left_out.get(what, 0) + count
