"""What can go wrong on the agent's side. How a handoff ends is a value (`HandoffResult.outcome`), never an error.

BatonClientError
├── NotConfigured       no URL or token was given; set BATON_URL and BATON_TOKEN
├── ServerUnreachable   the server could not be reached until the deadline; `reattach(error.handoff)` goes on
├── ServerError         the server answered with an error of its own
├── NotAuthorized       the token is unknown, expired, revoked, or of the wrong role
├── NotASandbox         the page does not live in a sandbox of Baton's
├── SandboxNotFound     there is no such sandbox (of this token's)
├── SandboxGone         the sandbox has ended
├── HandoffNotFound     there is no such handoff (of this token's)
├── HandoffOpen         another handoff is open in this sandbox; `reattach(error.handoff)` waits for that one
├── HandoffEnded        the handoff ended before
├── NotPossibleNow      the state does not allow it now; the message says who has control
├── InvalidRequest      what was sent cannot be read
│   └── InvalidCondition    the completion condition cannot be read
├── TooLarge            instructions or condition are too long
└── TooMany             too much at once; try again in `retry_after_s`
"""

from __future__ import annotations

from typing import Any, Final


class BatonClientError(Exception):
    """Root of all errors of the client. `fields` are the things the message names."""

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    @property
    def handoff(self) -> str | None:
        """The id of the handoff it is about, if it is about one."""
        found = self.fields.get("handoff")
        return str(found) if found is not None else None


class NotConfigured(BatonClientError):
    """No URL or token was given."""


class ServerUnreachable(BatonClientError):
    """The server could not be reached for too long. The handoff, if there is one, lives on there."""


class ServerError(BatonClientError):
    """The server answered with an error of its own."""


class NotAuthorized(BatonClientError):
    """The token may not do this."""


class NotASandbox(BatonClientError):
    """The page does not live in a sandbox of Baton's."""


class SandboxNotFound(BatonClientError):
    """There is no such sandbox."""


class SandboxGone(BatonClientError):
    """The sandbox has ended."""


class HandoffNotFound(BatonClientError):
    """There is no such handoff."""


class HandoffOpen(BatonClientError):
    """Another handoff is open in this sandbox."""


class HandoffEnded(BatonClientError):
    """The handoff ended before."""


class NotPossibleNow(BatonClientError):
    """The state does not allow it now."""


class InvalidRequest(BatonClientError):
    """What was sent cannot be read."""


class InvalidCondition(InvalidRequest):
    """The completion condition cannot be read."""


class TooLarge(BatonClientError):
    """Something is too long; the message names it and the bound."""


class TooMany(BatonClientError):
    """Too much at once."""


_BY_NAME: Final[dict[str, type[BatonClientError]]] = {
    "HandoffOpen": HandoffOpen, "HandoffEnded": HandoffEnded, "InvalidCondition": InvalidCondition,
}  # fmt: skip
_BY_STATUS: Final[dict[int, type[BatonClientError]]] = {
    401: NotAuthorized, 403: NotAuthorized, 409: NotPossibleNow, 410: SandboxGone, 413: TooLarge, 422: InvalidRequest,
    429: TooMany,
}  # fmt: skip


def error_of(status: int, body: Any, path: str) -> BatonClientError:
    """Return the error that an answer of the server stands for."""
    data = body if isinstance(body, dict) else {}
    message = str(data.get("message") or f"the server answered {status} to {path}")
    fields = {key: value for key, value in data.items() if key not in {"error", "kind", "message"}}
    found = _BY_NAME.get(str(data.get("error"))) or _BY_STATUS.get(status)
    if status == 404:  # noqa: PLR2004 - HTTP
        found = HandoffNotFound if path.startswith("/handoffs/") else SandboxNotFound
    return (found or ServerError)(message, **{"status": status, **fields})
