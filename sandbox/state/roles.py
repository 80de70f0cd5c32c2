"""Roles that a diff knows, and what `look.js` needs to find them: the part of ARIA in HTML and AccName that counts.

The browser's own accessibility tree is right in more cases but costs several times as much on a large page.
"""

from __future__ import annotations

from typing import Any, Final

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
LOOKING: Final[dict[str, Any]] = {
    "fields": sorted(FIELDS),
    "ticked": sorted(TICKED),
    "live": sorted(LIVE),
    "fromContent": sorted(FROM_CONTENT),
    "reported": sorted(REPORTED),
    "textInputs": sorted(TEXT_INPUTS),
    "inputs": {
        "button": "button", "submit": "button", "reset": "button", "image": "button", "checkbox": "checkbox",
        "radio": "radio", "range": "slider", "number": "spinbutton", "search": "searchbox", "file": "file",
        "color": "button", "hidden": "",
    },
    "tags": {
        "button": "button", "summary": "button", "textarea": "textbox", "h1": "heading", "h2": "heading",
        "h3": "heading", "h4": "heading", "h5": "heading", "h6": "heading", "dialog": "dialog", "output": "status",
        "progress": "progressbar", "meter": "meter",
    },
    "buttons": {"submit": "Submit", "reset": "Reset", "image": "Submit"},
    "inline": [
        "b", "strong", "i", "em", "span", "code", "small", "u", "mark", "sub", "sup", "abbr", "time", "label", "font",
        "s",
    ],
    "hides": ["script", "style", "noscript", "template", "head", "svg", "object", "canvas", "iframe"],
    "mayHost": [
        "article", "aside", "blockquote", "body", "div", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "main",
        "nav", "p", "section", "span",
    ],
    "watched": [
        "class", "style", "hidden", "open", "alt", "title", "value", "placeholder", "aria-label", "aria-hidden",
        "aria-checked", "aria-expanded", "role",
    ],
}  # fmt: skip
"""The configuration of `look.js`; `mayHost`: what may have a shadow root (DOM, attach a shadow root)."""
