"""What is remembered of the sandbox at one moment, and how it is read from DOM snapshots. Pure.

Plain values of fields that are not secret stay in the keeper's memory until the diff is made; everything else
is kept as a keyed digest whose key dies with the sandbox.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.state.document import ELEMENT, TEXT, Document
from sandbox.state.roles import FIELDS, REPORTED, TEXT_INPUTS, TICKED, editable, name, role
from sandbox.state.secrecy import is_secret

MAX_NODES: Final = 20_000
MAX_BYTES: Final = 2_000_000
LONGEST: Final = 400
"""Texts are kept twice as long as they are shown, so that a secret at the cut is scrubbed before it is cut."""

_INLINE: Final = frozenset(
    {"b", "strong", "i", "em", "span", "code", "small", "u", "mark", "sub", "sup", "abbr", "time", "label", "font", "s"}
)
_HIDES: Final = frozenset({"script", "style", "noscript", "template", "head", "svg", "object", "canvas"})


@dataclass(frozen=True, slots=True)
class Field:
    """One form field: what it is, and what is in it (the text itself only where it is not secret)."""

    frame: str
    label: str
    role: str
    node: tuple[str, int]
    """(CDP session, backend node id): the same element as long as its document lives."""
    secret: bool
    typed: bool
    """Whether what is in it is text that somebody may have typed."""
    filled: bool
    default: bool
    """Whether it holds what the page itself put there when it was loaded."""
    digest: bytes = field(repr=False)
    shown: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Element:
    """Something a user sees or can act on, by role and name."""

    role: str
    name: str
    node: tuple[str, int]


@dataclass(frozen=True, slots=True)
class TabState:
    """One tab."""

    target: str
    url: str
    address: bytes
    """Digest of the full address, to see changes in what must not be shown."""
    title: str
    document: tuple[str, int] = ("", 0)
    fields: tuple[Field, ...] = ()
    elements: tuple[Element, ...] = ()
    unfinished: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    answered: bool = True


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
    """Reads the documents of one page into fields and elements, within the bounds."""

    def __init__(self, digest: Digest, marked: Iterable[tuple[str, int]]) -> None:
        self._digest = digest
        self._marked = frozenset(marked)
        self._room = MAX_NODES
        self._bytes = MAX_BYTES
        self.fields: list[Field] = []
        self.elements: list[Element] = []
        self.closed_roots: dict[tuple[str, int], tuple[str, int]] = {}
        """Host of a shadow root that page scripts hide → (frame id, a backend node id inside it)."""
        self.timers: list[str] = []
        self.left_out: dict[str, int] = {}

    def read(self, session: str, raw: dict[str, Any], frame_name: Mapping[str, str]) -> tuple[str, int]:
        """Take in one `captureSnapshot` result; returns the identity of its first document."""
        first = ("", 0)
        for each in raw["documents"]:
            document = Document(each, raw["strings"], self._room)
            self._room -= document.size
            if document.left_out:
                self._leave("nodes", document.left_out)
            if document.size and not first[1]:
                first = (session, document.identity)
            _Walk(self, session, document, frame_name.get(document.frame, "")).run()
        return first

    def add_element(self, element: Element) -> None:
        """Keep an element, if there is room."""
        if self._spend(len(element.name)):
            self.elements.append(element)

    def add_field(self, session: str, document: Document, index: int, frame: str, of_role: str, label: str) -> None:
        """Keep a field, if there is room."""
        attributes, tag = document.attributes(index), document.tag(index)
        value, default = _value(document, index, of_role)
        kind = attributes.get("type", "").lower() if tag == "input" else ""
        typed = kind in TEXT_INPUTS and tag != "select" and of_role not in (TICKED | {"file"})
        node = (session, document.node[index])
        secret = typed and (is_secret({**attributes, "aria-label": label}) or node in self._marked)
        shown = "" if secret else value[:LONGEST]
        if self._spend(len(shown) + len(label)):
            self.fields.append(
                Field(
                    frame, label[:LONGEST], of_role, node, secret, typed, bool(value), value == default,
                    self._digest(value), shown,
                )
            )  # fmt: skip

    def _spend(self, size: int) -> bool:
        self._bytes -= size + 40
        if self._bytes < 0:
            self._leave("elements", 1)
        return self._bytes >= 0

    def _leave(self, what: str, count: int) -> None:
        self.left_out[what] = self.left_out.get(what, 0) + count


class _Walk:
    """One pass over one document, in document order."""

    def __init__(self, reader: Reader, session: str, document: Document, frame: str) -> None:
        self._reader, self._session, self._document, self._frame = reader, session, document, frame
        self._texts: dict[int, list[str]] = {}

    def run(self) -> None:
        """Hand every field, element and text of the document to the reader."""
        document = self._document
        hidden = bytearray(document.size)
        named = bytearray(document.size)
        for index in range(document.size):
            above = document.parent[index]
            if above >= 0 and hidden[above]:
                hidden[index] = 1
                continue
            if shadow := document.shadow.get(index):
                # A shadow root is no node of its own here: those directly below it say what kind it is.
                if shadow == "user-agent":
                    hidden[index] = 1
                    continue
                if shadow == "closed":
                    host = (self._session, document.node[above])
                    self._reader.closed_roots.setdefault(host, (document.frame, document.node[index]))
            named[index] = above >= 0 and named[above]
            if document.kind[index] == ELEMENT:
                hidden[index], inside = self._element(index)
                named[index] = named[index] or inside
            elif document.kind[index] == TEXT and not named[index] and index in document.shown:
                self._text(index)
        for block, texts in self._texts.items():
            if text := " ".join("".join(texts).split()):
                self._reader.add_element(Element("text", text[:LONGEST], (self._session, document.node[block])))

    def _element(self, index: int) -> tuple[bool, bool]:
        """Return (nothing below counts, text below belongs to this element's name)."""
        document = self._document
        tag = document.tag(index)
        if tag == "meta":
            self._meta(index)
        if tag in _HIDES:
            return tag != "head", False
        attributes = document.attributes(index)
        if attributes.get("aria-hidden", "").lower() == "true" and index in document.shown:
            return False, True
        of_role = role(document, index)
        if not of_role:
            return False, False
        is_field = of_role in FIELDS
        if index in document.shown:
            label = name(document, index, of_role)
            node = (self._session, document.node[index])
            self._reader.add_element(Element(of_role, label[:LONGEST], node))
            if is_field:
                self._reader.add_field(self._session, document, index, self._frame, of_role, label)
        typed_into = is_field and (tag in {"textarea", "select"} or editable(document, index))
        return typed_into, of_role in REPORTED - {"dialog", "alertdialog"}

    def _text(self, index: int) -> None:
        document = self._document
        text = document.text(index)
        if not text or text.isspace():
            return
        block = document.parent[index]
        while block > 0 and document.tag(block) in _INLINE:
            block = document.parent[block]
        self._texts.setdefault(block, []).append(text + " ")

    def _meta(self, index: int) -> None:
        attributes = self._document.attributes(index)
        if attributes.get("http-equiv", "").lower() == "refresh":
            self._reader.timers.append("the page reloads or moves on by itself (meta refresh)")


def _value(document: Document, index: int, of_role: str) -> tuple[str, str]:
    """Return what a field holds and what the page gave it at first."""
    attributes, tag = document.attributes(index), document.tag(index)
    if tag == "input" and of_role in TICKED:
        return _tick(index in document.checked), _tick("checked" in attributes)
    if of_role in TICKED:
        state = _tick(attributes.get("aria-checked", "").lower() == "true")
        return state, state
    if tag == "input":
        held = document.input_value.get(index, "")
        return (held.rsplit("\\", 1)[-1], "") if of_role == "file" else (held, attributes.get("value", ""))
    if tag == "textarea":
        first = "".join(document.text(child) for child in document.children[index] if document.kind[child] == TEXT)
        return document.text_value.get(index, ""), first.removeprefix("\n")
    if tag == "select":
        options = [at for at in _below(document, index) if document.tag(at) == "option"]
        chosen = [_option(document, at) for at in options if at in document.selected]
        first_ones = [_option(document, at) for at in options if "selected" in document.attributes(at)]
        return ", ".join(chosen), ", ".join(first_ones or [_option(document, at) for at in options[:1]])
    text = " ".join("".join(document.text(at) for at in _below(document, index) if document.kind[at] == TEXT).split())
    return text, text


def _option(document: Document, index: int) -> str:
    texts = (document.text(at) for at in _below(document, index) if document.kind[at] == TEXT)
    return document.attributes(index).get("label") or " ".join("".join(texts).split())


def _below(document: Document, index: int) -> list[int]:
    found, stack = [], list(reversed(document.children[index]))
    while stack:
        at = stack.pop()
        if document.shadow.get(at) == "user-agent":
            continue
        found.append(at)
        stack.extend(reversed(document.children[at]))
    return found


def _tick(on: bool) -> str:
    return "checked" if on else "unchecked"
