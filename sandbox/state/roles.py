"""Roles and accessible names from a DOM snapshot: the part of ARIA in HTML and AccName that a diff needs. Pure.

The browser's own accessibility tree is right in more cases but costs several times as much on a large page.
"""

from __future__ import annotations

from typing import Final

from sandbox.state.document import Document

FIELDS: Final = frozenset(
    {"textbox", "searchbox", "spinbutton", "slider", "combobox", "listbox", "checkbox", "radio", "switch", "file"}
)
TICKED: Final = frozenset({"checkbox", "radio", "switch"})
LIVE: Final = frozenset({"alert", "status", "alertdialog", "dialog"})
FROM_CONTENT: Final = frozenset(
    {"link", "button", "heading", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "option", "treeitem"}
)
REPORTED: Final = FIELDS | LIVE | FROM_CONTENT | {"img", "progressbar", "meter"}
TEXT_INPUTS: Final = frozenset(
    {
        "",
        "text",
        "email",
        "tel",
        "url",
        "password",
        "search",
        "number",
        "date",
        "time",
        "month",
        "week",
        "datetime-local",
    }
)

_INPUTS: Final = {
    "button": "button", "submit": "button", "reset": "button", "image": "button", "checkbox": "checkbox",
    "radio": "radio", "range": "slider", "number": "spinbutton", "search": "searchbox", "file": "file",
    "color": "button", "hidden": "",
}  # fmt: skip
_TAGS: Final = {
    "button": "button", "summary": "button", "textarea": "textbox", "h1": "heading", "h2": "heading", "h3": "heading",
    "h4": "heading", "h5": "heading", "h6": "heading", "dialog": "dialog", "output": "status",
    "progress": "progressbar", "meter": "meter",
}  # fmt: skip
_BUTTON_NAMES: Final = {"submit": "Submit", "reset": "Reset", "image": "Submit"}


def editable(document: Document, index: int) -> bool:
    """Whether the element is the outermost one of an area that the user can type into freely."""
    value = document.attributes(index).get("contenteditable")
    return value is not None and value.lower() != "false"


def role(document: Document, index: int) -> str:
    """Return the element's role, "" where it has none that a diff reports."""
    attributes = document.attributes(index)
    for token in attributes.get("role", "").lower().split():
        if token in REPORTED:
            return token
        if token in {"presentation", "none", "generic"}:
            return ""
    tag = document.tag(index)
    if tag == "input":
        kind = attributes.get("type", "").lower()
        return _INPUTS.get(kind, "combobox" if "list" in attributes else "textbox")
    if tag in {"a", "area"}:
        return "link" if "href" in attributes else ""
    if tag == "img":
        return "img" if attributes.get("alt", "").strip() else ""
    if tag == "select":
        return (
            "listbox" if "multiple" in attributes or attributes.get("size", "1") not in {"", "0", "1"} else "combobox"
        )
    if tag in _TAGS:
        return _TAGS[tag]
    return "textbox" if editable(document, index) else ""


def name(document: Document, index: int, of_role: str) -> str:
    """Return the element's accessible name, white space collapsed; "" where it has none."""
    attributes = document.attributes(index)
    named = _labelled(document, attributes) or " ".join(attributes.get("aria-label", "").split())
    if not named and of_role in TICKED and document.tag(index) != "input":
        named = document.content(index)
    elif not named and of_role in FIELDS:
        named = _field_label(document, index, attributes)
    elif not named and document.tag(index) == "input":
        kind = attributes.get("type", "").lower()
        named = attributes.get("alt", "") or attributes.get("value", "") or _BUTTON_NAMES.get(kind, "")
    elif not named and document.tag(index) in {"img", "area"}:
        named = attributes.get("alt", "")
    elif not named and of_role == "dialog":
        named = _first_heading(document, index)
    elif not named and (of_role in FROM_CONTENT or of_role in LIVE):
        named = document.content(index)
    return " ".join((named or attributes.get("title", "")).split())


def _labelled(document: Document, attributes: dict[str, str]) -> str:
    found = (document.by_id(each) for each in attributes.get("aria-labelledby", "").split())
    return " ".join(text for at in found if at is not None and (text := document.content(at)))


def _field_label(document: Document, index: int, attributes: dict[str, str]) -> str:
    for label in document.labels_for(attributes["id"]) if attributes.get("id") else ():
        if text := document.content(label):
            return text
    above = document.parent[index]
    while above >= 0:
        if document.tag(above) == "label":
            return document.content(above)
        above = document.parent[above]
    return attributes.get("placeholder") or attributes.get("aria-placeholder") or attributes.get("title") or ""


def _first_heading(document: Document, index: int) -> str:
    stack = [index]
    while stack:
        at = stack.pop()
        if document.tag(at) in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            return document.content(at)
        stack.extend(reversed(document.children[at]))
    return document.content(index, 80)
