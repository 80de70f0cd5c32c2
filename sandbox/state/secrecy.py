"""Which fields are secret by what they are, and how a secret that got away is scrubbed from a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

TELLING_NAME: Final = (
    r"pass[-_ ]?(w(or)?d|phrase|code|key)|passwd|\bpwd\b|pwd$|^pwd|\bsecret\b|\bpin\b|pin[-_ ]?code"
    r"|\botp\b|otp[-_ ]|[-_ ]otp|totp|one[-_ ]?time|\b2fa\b|\bmfa\b|two[-_ ]?factor"
    r"|verification[-_ ]?code|auth[-_ ]?code"
    r"|sms[-_ ]?code|security[-_ ]?code|recovery[-_ ]?code|backup[-_ ]?code"
    r"|\bcvv|\bcvc|\bcsc\b|card[-_ ]?(num|no\b)|cc[-_ ]?(num|exp|csc)|\biban\b|api[-_ ]?key|access[-_ ]?token"
)
"""Matches name, id, label or placeholder of a field that is secret whatever its type; the page script uses it too."""

TELLING_AUTOCOMPLETE: Final = r"(^|\s)((current|new)-password|one-time-code|cc-\S+)(\s|$)"
"""Matches the autocomplete attribute of a secret field (HTML, autofill detail tokens)."""

SCRUBBED: Final = "[secret]"
_SHORTEST: Final = 3
_WHOLE_WORDS_BELOW: Final = 6

_NAME = re.compile(TELLING_NAME, re.IGNORECASE)
_AUTOCOMPLETE = re.compile(TELLING_AUTOCOMPLETE, re.IGNORECASE)


def is_secret(attributes: Mapping[str, str]) -> bool:
    """Whether a text field with these attributes is for a password, a code or a card, whoever fills it in."""
    if attributes.get("type", "").lower() == "password" or _AUTOCOMPLETE.search(attributes.get("autocomplete", "")):
        return True
    return any(_NAME.search(attributes.get(name, "")) for name in ("name", "id", "aria-label", "placeholder"))


def scrub(data: Any, values: Iterable[str]) -> Any:
    """Return `data` (JSON) with every occurrence of the given secret values in its texts replaced.

    So are those that are written as addresses write them. Very short values are left (they occur everywhere), short
    ones are replaced only as whole words.
    """
    patterns = [
        rf"(?<!\w){_written(value)}(?!\w)" if len(value) < _WHOLE_WORDS_BELOW else _written(value)
        for value in sorted({v.strip() for v in values} | {" ".join(v.split()) for v in values}, key=len, reverse=True)
        if len(value) >= _SHORTEST
    ]
    return _replace(data, re.compile("|".join(patterns), re.IGNORECASE)) if patterns else data


def _written(value: str) -> str:
    """A pattern for a text as it is, and as addresses may write it (RFC 3986; spaces in forms as plus signs)."""
    return "".join(char if char.isascii() and char.isalnum() else _encoded(char) for char in value)


def _encoded(char: str) -> str:
    octets = "".join(f"%{octet:02x}" for octet in char.encode("utf-8", "surrogatepass"))
    return f"(?:{re.escape(char)}|{octets}{'|[+]' if char == ' ' else ''})"


def _replace(data: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(data, str):
        return pattern.sub(SCRUBBED, data)
    if isinstance(data, dict):
        return {key: _replace(value, pattern) for key, value in data.items()}
    if isinstance(data, list):
        return [_replace(value, pattern) for value in data]
    return data
