"""What stands before every request: the bound on bodies and the headers that keep pages to themselves.

Plain ASGI, because Starlette's function middleware copies every body and breaks WebSockets' back-pressure.
"""

from __future__ import annotations

import json
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.words import TooLarge

DRAIN: Final = 64_000_000
"""How much of an oversized body is read and thrown away, so that its sender gets to see the answer."""


class BodyLimit:
    """Answers 413 as soon as a body is known to be larger than `limit`, before anything parses it."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length")
        if length is not None and length.isdigit() and int(length) <= self.limit:
            await self.app(scope, receive, send)
            return
        body = await self._read(receive, keep=length is None)
        if body is None:
            await self._refuse(send)
            return
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive, *, keep: bool) -> bytes | None:
        """Read the whole body; None when it is too large, in which case it is drained within reason."""
        chunks: list[bytes] = []
        size = 0
        while size <= DRAIN:
            message = await receive()
            if message["type"] != "http.request":
                break
            size += len(message.get("body", b""))
            if keep and size <= self.limit:
                chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        return b"".join(chunks) if keep and size <= self.limit else None

    async def _refuse(self, send: Send) -> None:
        error = TooLarge(
            f"this request is larger than {self.limit} bytes; send less (instructions are for a human to read)",
            limit=self.limit,
        )
        body = json.dumps(error.to_wire()).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send(
            {
                "type": "http.response.start",
                "status": error.codes.http,
                "headers": [*headers, (b"content-length", str(len(body)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": body})


CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "manifest-src 'self'; media-src 'self' blob:; worker-src 'self'; connect-src 'self' data:{sockets}; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)

HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "clipboard-read=(self), clipboard-write=(self), fullscreen=(self), "
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()"
    ),
}


class SecurityHeaders:
    """Adds the content security policy and its companions to every response."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self.app = app
        self.tls = tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Safari before 15.4 does not count ws: as 'self'; the own host is named, and nothing when it looks odd.
        host = Headers(scope=scope).get("host", "")
        plain = bool(host) and all(c.isalnum() or c in ".:-[]" for c in host)
        csp = CSP.format(sockets=f" ws://{host} wss://{host}" if plain else "")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", csp)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if self.tls:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                if scope["path"].startswith(("/v1/", "/link")):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers)
