"""What a human changed in a session, in the words of a person who knows the page and what was pressed.

A truth is written before the differ is asked, from the source of the page (or the manual of the site) and the script of
the session. It holds what an agent's developer would want to be told, and nothing that the page does by itself: clocks,
adverts, tickers, counters, rotating CSRF tokens, cookies of analytics.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `kind` and `op` are those of `judge.claims`; what the rest means hangs on the kind.

    page: `what` is the path of the address. tab: likewise. cookie: its name. storage: "local:key" or "session:key".
    field: its label, `value` the text it holds. element: its name, `role` its role where that matters.
    download: the name of the file. dialog: "accepted" or "dismissed".
    """

    kind: str
    op: str
    what: str
    value: str = ""
    role: str = ""
    document: bool = False
    """Whether the document of the tab was replaced, so that all its elements are new by consequence."""


def went(path: str) -> Change:
    """The tab shows another document."""
    return Change("page", "navigated", path, document=True)


def routed(path: str) -> Change:
    """The address changed, the document did not (client-side routing)."""
    return Change("page", "navigated", path)


def reloaded(path: str) -> Change:
    """The same address, a new document: a form that was sent and came back."""
    return Change("page", "reloaded", path, document=True)


def opened(path: str) -> Change:
    """A new tab."""
    return Change("tab", "opened", path, document=True)


def closed(path: str) -> Change:
    """A tab is gone."""
    return Change("tab", "closed", path)


def cookie(name: str, op: str = "added") -> Change:
    """A cookie was added, removed or changed."""
    return Change("cookie", op, name)


def stored(key: str, op: str = "added") -> Change:
    """A key of storage ("local:key", "session:key") was added, removed or changed."""
    return Change("storage", op, key)


def field(label: str, value: str) -> Change:
    """A field holds `value` now."""
    return Change("field", "changed", label, value)


def secret(label: str, op: str = "filled") -> Change:
    """A secret field was filled, changed or emptied; its value is told to nobody."""
    return Change("field", op, label)


def came(name: str, role: str = "") -> Change:
    """An element appeared."""
    return Change("element", "added", name, role=role)


def gone(name: str, role: str = "") -> Change:
    """An element vanished; `name` is what it was called."""
    return Change("element", "removed", name, role=role)


def now(name: str, role: str = "") -> Change:
    """An element that stays says something else; `name` is what it says now."""
    return Change("element", "changed", name, role=role)


def downloaded(name: str) -> Change:
    """A file was downloaded."""
    return Change("download", "completed", name)


def answered(kind: str, accepted: bool = True) -> Change:
    """A dialog of the page was answered."""
    return Change("dialog", kind, "accepted" if accepted else "dismissed")
