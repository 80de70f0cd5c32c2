"""Messages without decoding them: Chromium writes `{"id":N,…` and `{"method":"M","params":…`, and the session last."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from sandbox.words import BadRequest, Epoch

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


class Command(NamedTuple):
    """A client's message as it was read. `epoch` is its `batonEpoch`, where it has one; `size` is in bytes."""

    id: int
    session: str | None
    method: str
    params: dict[str, Any]
    epoch: Epoch | None
    size: int


def read_command(message: str | bytes) -> Command:
    """Read a client's message. Raises `BadRequest`."""
    try:
        data = json.loads(message)
    except (ValueError, RecursionError):
        raise BadRequest("this is not JSON") from None
    if not isinstance(data, dict):
        raise BadRequest("a CDP message is a JSON object")
    get = data.get
    number, session, method, params, epoch = (
        get("id"), get("sessionId"), get("method"), get("params", {}), get("batonEpoch")
    )  # fmt: skip
    if not isinstance(number, int) or isinstance(number, bool):
        raise BadRequest("Message must have integer 'id' property")
    if not isinstance(method, str) or not isinstance(params, dict) or not isinstance(session, str | None):
        raise BadRequest("Message must have string 'method', object 'params' and string 'sessionId'")
    if epoch is not None and (not isinstance(epoch, int) or isinstance(epoch, bool)):
        raise BadRequest("'batonEpoch' must be the integer that Baton.getControl gives")
    return Command(number, session, method, params, None if epoch is None else Epoch(epoch), len(message))
