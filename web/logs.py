"""Logs: structured, one shape for our own lines and the libraries', and never a secret in them.

Two nets: keys that could hold a secret are dropped whatever their value, and every string is searched for tokens
and links, which are cut off after their prefix (a library may log a URL we never meant it to).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from agent_bridge.access.secrets import redact

FORBIDDEN: Final = frozenset(
    {
        "token", "secret", "cookie", "cookies", "set-cookie", "authorization", "text", "password", "username", "value",
        "body", "note", "instructions", "clipboard", "otp", "code_value", "key", "keys", "files", "link", "query",
        "query_string", "headers", "data",
    }
)  # fmt: skip
"""Keys that are dropped from every log line, at any depth."""

QUIET: Final = {
    "uvicorn.access": "CRITICAL", "uvicorn.error": "WARNING", "websockets.client": "WARNING",
    "websockets.server": "WARNING", "httpx": "WARNING", "httpcore": "WARNING", "aiosqlite": "WARNING",
    "sqlalchemy": "WARNING", "apprise": "CRITICAL", "urllib3": "CRITICAL",
}  # fmt: skip
"""Libraries below these levels log addresses with queries, web hooks' addresses, statements with values, or bodies."""


def drop_forbidden(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop forbidden keys at any depth, and cut tokens and links out of every string."""
    return {k: _clean(v) for k, v in event.items() if not _forbidden(k)}


def _forbidden(key: object) -> bool:
    return isinstance(key, str) and key.lower() in FORBIDDEN


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {k: _clean(v) for k, v in value.items() if not _forbidden(k)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(v) for v in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value


def setup(level: str = "info", style: str = "console", *, stream: Any = None) -> None:
    """Send our lines and the libraries' to `stream` (standard error), as lines for people or as JSON.

    May be called again; the last call counts.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    out = stream or sys.stderr
    finish: list[Processor] = (
        [structlog.processors.format_exc_info, drop_forbidden, structlog.processors.JSONRenderer()]
        if style == "json"
        else [
            # Rendered here, and not by ConsoleRenderer, so that the net below sees the traceback too.
            structlog.processors.format_exc_info,
            drop_forbidden,
            structlog.dev.ConsoleRenderer(colors=hasattr(out, "isatty") and out.isatty()),
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(least)
