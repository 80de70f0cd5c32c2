"""What an operator is shown of a command they are asked to approve. Pure.

Text that is typed is never shown, nor the query of an address, nor anything under a name that tells of a secret. Code
is, because nobody could judge it otherwise: an agent that asks for its approval shows it to a human on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from sandbox.pages import bare_url
from sandbox.state.secrecy import TELLING_NAME

LONGEST: Final = 1000
_VALUE: Final = 80
_MOST: Final = 12
_TELLING: Final = re.compile(TELLING_NAME, re.IGNORECASE)
_TYPED: Final = frozenset(
    {"text", "unmodifiedText", "key", "value", "postData", "headers", "cookies", "username", "password"}
)
"""Parameters of CDP whose values are somebody's input, or carry sign-ins."""


def summary(method: str, params: Mapping[str, Any]) -> str:
    """Return one line, or some lines of code, of at most `LONGEST` characters."""
    match method:
        case "Page.navigate":
            text = f"Go to {_address(params.get('url'))}"
        case "Input.dispatchMouseEvent" if params.get("type") in {"mousePressed", "mouseReleased"}:
            press = "Press" if params["type"] == "mousePressed" else "Release"
            text = f"{press} the {params.get('button', 'left')} button at {params.get('x')}, {params.get('y')}"
        case "Input.insertText" | "Input.imeSetComposition":
            text = "Type a text"
        case "Runtime.evaluate":
            text = f"Run in the page: {params.get('expression')}"
        case "Runtime.callFunctionOn":
            text = f"Run in the page: {params.get('functionDeclaration')}"
        case _:
            text = f"{method} {_listed(params)}".rstrip()
    text = " ".join(text.split()) if len(text.splitlines()) == 1 else text
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _listed(params: Mapping[str, Any]) -> str:
    parts = [f"{name}: {_shown(name, value)}" for name, value in list(params.items())[:_MOST]]
    return ", ".join([*parts, *(["…"] if len(params) > _MOST else [])])


def _shown(name: str, value: Any) -> str:
    if name in _TYPED or _TELLING.search(name):
        return "(not shown)"
    if name in {"url", "origin"}:
        return _address(value)
    if isinstance(value, str):
        return value if len(value) <= _VALUE else f"{value[: _VALUE - 1]}…"
    if isinstance(value, bool | int | float) or value is None:
        return json.dumps(value)
    # What is inside has names and values of its own.
    return f"({len(value)} parts)" if isinstance(value, list | dict) else "(not shown)"


def _address(value: Any) -> str:
    try:
        return bare_url(str(value))
    except ValueError:
        return "an address that cannot be read"
