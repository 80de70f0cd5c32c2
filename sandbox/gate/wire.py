"""Messages without decoding them: Chromium writes `{"id":N,…` and `{"method":"M","params":…`, and the session last."""

from __future__ import annotations

import json
from typing import Any

_METHOD = b'{"method":"'


def method_of(raw: bytes) -> str:
    """Return an event's method."""
    return raw[len(_METHOD) : raw.index(b'"', len(_METHOD))].decode()


def with_id(raw: bytes, client_id: int) -> bytes:
    """Return a reply under the client's own id."""
    return b'{"id":%d' % client_id + raw[raw.index(b",") :]


def is_error(raw: bytes) -> bool:
    """Whether a reply is a refusal."""
    return raw.startswith(b'"error"', raw.index(b",") + 1)


def encode(message: dict[str, Any], session: str | None) -> bytes:
    """Return a message of our own, on a session or on the client's root."""
    if session is not None:
        message["sessionId"] = session
    return json.dumps(message, separators=(",", ":")).encode()
